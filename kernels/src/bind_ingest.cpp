// Python face of the histogram and of fused ingest: argument checks and one call each.
#include <nanobind/stl/array.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <tuple>

#include "arguments.hpp"
#include "bindings.hpp"
#include "histogram.hpp"
#include "ingest.hpp"

namespace cathrt {
namespace {

constexpr float kMaxLine = 1e9F;
constexpr float kLargestHalf = 65504.0F;

// smallest: magnitude that entries other than 0 must have. The kernel relies on finite results.
std::vector<float> checked_table(const Table& table, float smallest) {
    require(table.dtype() == nb::dtype<float>() && table.ndim() == 1 && table.stride(0) == 1,
            "table is " + describe(table) + ": expected contiguous float32 (entries,)");
    const auto* values = static_cast<const float*>(table.data());
    std::vector<float> entries(values, values + table.shape(0));
    for (std::size_t i = 0; i < entries.size(); ++i) {
        const float magnitude = std::abs(entries[i]);
        require(magnitude == 0.0F || (magnitude >= smallest && magnitude <= kMaxLine),
                "table[" + std::to_string(i) + "] is " + std::to_string(entries[i]) +
                    ": expected 0 or a magnitude from " + std::to_string(smallest) + " to 1e9");
    }
    return entries;
}

Window linear_window(float origin, float slope, float intercept, bool invert) {
    require(std::abs(origin) <= kMaxLine && std::abs(slope) <= kMaxLine && std::abs(intercept) <= kMaxLine,
            "linear window is (" + std::to_string(origin) + ", " + std::to_string(slope) + ", " +
                std::to_string(intercept) + "): expected magnitudes of at most 1e9");
    return {{}, LinearWindow{origin, slope, intercept}, std::nullopt, invert};
}

Window table_window(const Table& grey, bool invert) {
    return {checked_table(grey, 0.0F), LinearWindow{0.0F, 1.0F, 0.0F}, std::nullopt, invert};
}

void require_percentiles(double low, double high) {
    require(0.0 <= low && low < high && high <= 100.0, "percentiles are (" + std::to_string(low) + ", " +
                                                           std::to_string(high) + "): expected 0 <= low < high <= 100");
}

Window percentile_window(double low, double high, bool descending, bool invert) {
    require_percentiles(low, high);
    return {{}, std::nullopt, PercentileWindow{low, high, descending}, invert};
}

Window table_percentile_window(double low, double high, const Table& modality, bool invert) {
    require_percentiles(low, high);
    // The percentile window divides by the difference of two entries.
    return {checked_table(modality, 1e-6F), std::nullopt, PercentileWindow{low, high, false}, invert};
}

using OwnedTable = nb::ndarray<nb::numpy, const float, nb::ndim<1>>;

std::optional<OwnedTable> entries_of(const Window& window) {
    if (window.table.empty()) return std::nullopt;
    auto* copy = new std::vector<float>(window.table);
    nb::capsule owner(copy, [](void* p) noexcept { delete static_cast<std::vector<float>*>(p); });
    return OwnedTable(copy->data(), {copy->size()}, owner);
}

std::optional<std::tuple<float, float, float>> line_of(const Window& window) {
    if (!window.fixed) return std::nullopt;
    return std::tuple(window.fixed->origin, window.fixed->slope, window.fixed->intercept);
}

std::optional<std::pair<double, double>> percentiles_of(const Window& window) {
    if (!window.percentile) return std::nullopt;
    return std::pair(window.percentile->low, window.percentile->high);
}

struct ElementType {
    const char* name;  // NumPy's
    Element element;
    nb::dlpack::dtype type;
};
const ElementType kElementTypes[] = {
    {"float32", Element::kFloat32, nb::dtype<float>()},
    {"float16", Element::kFloat16, {static_cast<std::uint8_t>(nb::dlpack::dtype_code::Float), 16, 1}},
    {"int8", Element::kInt8, nb::dtype<std::int8_t>()},
};

const ElementType& type_of(Element element) {
    return *std::find_if(std::begin(kElementTypes), std::end(kElementTypes),
                         [element](const ElementType& type) { return type.element == element; });
}

struct QuantityName {
    const char* name;
    Quantity quantity;
};
constexpr QuantityName kQuantities[] = {
    {"grey", Quantity::kGrey}, {"contrast", Quantity::kContrast}, {"change", Quantity::kChange}};

Quantity quantity_of(const std::string& name) {
    const auto* known = std::find_if(std::begin(kQuantities), std::end(kQuantities),
                                     [&name](const QuantityName& one) { return name == one.name; });
    require(known != std::end(kQuantities), "a channel is '" + name + "': expected grey, contrast or change");
    return known->quantity;
}

std::tuple<const char*, const char*, const char*> names_of(const std::array<Quantity, 3>& channels) {
    const auto name = [&channels](std::size_t c) {
        return std::find_if(std::begin(kQuantities), std::end(kQuantities),
                            [&](const QuantityName& one) { return one.quantity == channels[c]; })
            ->name;
    };
    return {name(0), name(1), name(2)};
}

void require_weight(const char* name, float weight) {
    require(0.0F < weight && weight <= 1.0F, std::string(name) + " is " + std::to_string(weight) +
                                                 ": expected the weight of one frame, above 0 and at "
                                                 "most 1");
}

History make_history(const std::vector<std::string>& channels, float rise, float fall, float recent) {
    require(channels.size() == 3,
            "there are " + std::to_string(channels.size()) + " channels: expected 3, each grey, contrast or change");
    const std::array<Quantity, 3> quantities{quantity_of(channels[0]), quantity_of(channels[1]),
                                             quantity_of(channels[2])};
    require(quantities != std::array<Quantity, 3>{},
            "all three channels are grey: expected one at least that is contrast or change; leave history out");
    require_weight("rise", rise);
    require_weight("fall", fall);
    require_weight("recent", recent);
    return {quantities, rise, fall, recent};
}

TensorLayout tensor_layout(std::int32_t height, std::int32_t width, bool channels_last,
                           const std::array<float, 3>& mean, const std::array<float, 3>& std, float masked_value,
                           const std::string& element, float scale, const std::optional<History>& history) {
    require_side("height", height);
    require_side("width", width);
    for (std::size_t c = 0; c < 3; ++c)
        require(std::abs(mean[c]) <= 1e9F && std[c] >= 1e-9F && std[c] <= 1e9F,
                "mean, std of channel " + std::to_string(c) + " are " + std::to_string(mean[c]) + ", " +
                    std::to_string(std[c]) + ": expected a mean within 1e9 and a std from 1e-9 to 1e9");
    require(0.0F <= masked_value && masked_value <= 1.0F,
            "masked_value is " + std::to_string(masked_value) + ": expected grey in [0, 1]");
    const auto* type = std::find_if(std::begin(kElementTypes), std::end(kElementTypes),
                                    [&element](const ElementType& known) { return element == known.name; });
    require(type != std::end(kElementTypes), "element is '" + element + "': expected float32, float16 or int8");
    if (type->element == Element::kInt8)
        require(scale >= 1e-9F && scale <= 1e9F,
                "scale is " + std::to_string(scale) + ": expected a quantisation step from 1e-9 to 1e9");
    else
        require(scale == 1.0F, "scale is " + std::to_string(scale) + " for " + element +
                                   ": expected 1; only int8 has a quantisation step");
    for (std::size_t c = 0; type->element == Element::kFloat16 && c < 3; ++c) {
        const bool difference = history && history->channels[c] != Quantity::kGrey;
        const float least = difference ? -1.0F : 0.0F;
        require(std::max(std::abs(least - mean[c]), std::abs(1.0F - mean[c])) / std[c] <= kLargestHalf,
                "mean, std of channel " + std::to_string(c) + " are " + std::to_string(mean[c]) + ", " +
                    std::to_string(std[c]) + ": expected (" + (difference ? "difference" : "grey") +
                    " - mean) / std within 65504, where float16 ends");
    }
    return {height, width, channels_last, mean, std, masked_value, type->element, scale, history};
}

// Place of `one` among those kept so far, to which it is added where none is equal.
template <typename T>
std::size_t place_of(std::vector<T>& kept, T one) {
    const auto found = std::find(kept.begin(), kept.end(), one);
    const auto place = static_cast<std::size_t>(found - kept.begin());
    if (found == kept.end()) kept.push_back(std::move(one));
    return place;
}

using ViewArguments = std::pair<std::optional<Spans>, const Window*>;  // exposed, window

void make_ingest(Ingest* self, const std::array<std::int32_t, 2>& shape, int bits_stored,
                 const std::optional<Spans>& exposed, const Window& window, const TensorLayout& tensor,
                 const std::vector<ViewArguments>& others) {
    require_bits_stored(bits_stored);
    require_side("rows", shape[0]);
    require_side("columns", shape[1]);
    std::vector<ViewArguments> arguments{{exposed, &window}};
    arguments.insert(arguments.end(), others.begin(), others.end());
    std::vector<std::vector<Span>> exposures;
    std::vector<const Window*> kept;
    std::vector<View> views;
    for (const auto& [spans, mapping] : arguments) {
        const std::size_t exposure = place_of(exposures, checked_spans(spans, shape[0], shape[1]));
        views.push_back({exposure, place_of(kept, mapping)});
    }
    std::vector<Window> windows;
    const std::size_t entries = std::size_t{1} << bits_stored;
    for (const Window* given : kept) {
        require(given->table.empty() || given->table.size() == entries,
                "the window's table has " + std::to_string(given->table.size()) + " entries: expected " +
                    std::to_string(entries) + ", one per stored value");
        windows.push_back(*given);
    }
    new (self)
        Ingest(shape[0], shape[1], bits_stored, std::move(exposures), std::move(windows), std::move(views), tensor);
}

bool run_ingest(Ingest& ingest, const Pixels& pixels, const Tensor& out, std::size_t view) {
    require(view < ingest.views(), "view is " + std::to_string(view) + ": expected one of the " +
                                       std::to_string(ingest.views()) + " that this plan was made for");
    const StoredFrame frame = stored_frame(pixels, ingest.bits_stored());
    require(frame.rows == ingest.rows() && frame.columns == ingest.columns(),
            "pixels are " + describe(pixels) + ": this plan was made for (" + std::to_string(ingest.rows()) + ", " +
                std::to_string(ingest.columns()) + ")");
    const TensorLayout& tensor = ingest.tensor();
    const auto height = static_cast<std::size_t>(tensor.height);
    const auto width = static_cast<std::size_t>(tensor.width);
    const std::array<std::size_t, 4> expected = tensor.channels_last ? std::array<std::size_t, 4>{1, height, width, 3}
                                                                     : std::array<std::size_t, 4>{1, 3, height, width};
    const ElementType& element = type_of(tensor.element);
    bool fits = out.dtype() == element.type && out.ndim() == 4;
    std::int64_t stride = 1;
    for (std::size_t i = 4; fits && i-- > 0;) {
        fits = out.shape(i) == expected[i] && (expected[i] == 1 || out.stride(i) == stride);
        stride *= static_cast<std::int64_t>(expected[i]);
    }
    require(fits, "out is " + describe(out) + ": expected contiguous " + element.name + " (1, " +
                      std::to_string(expected[1]) + ", " + std::to_string(expected[2]) + ", " +
                      std::to_string(expected[3]) + ")");
    return ingest.run(frame, out.data(), view);
}

nb::ndarray<nb::numpy, std::uint32_t, nb::ndim<1>> histogram(const Pixels& pixels, int bits_stored,
                                                             const std::optional<Spans>& exposed) {
    require_bits_stored(bits_stored);
    StoredFrame frame = stored_frame(pixels, bits_stored);
    const std::vector<Span> spans = checked_spans(exposed, frame.rows, frame.columns);
    frame.exposed = exposed ? spans.data() : nullptr;
    Histogram scratch(bits_stored);
    auto* counts = new std::vector<std::uint32_t>(scratch.count(frame));
    nb::capsule owner(counts, [](void* p) noexcept { delete static_cast<std::vector<std::uint32_t>*>(p); });
    return {counts->data(), {counts->size()}, owner};
}

std::optional<std::pair<int, int>> percentile_values(const Pixels& pixels, int bits_stored, double low, double high,
                                                     const std::optional<Spans>& exposed) {
    require_bits_stored(bits_stored);
    require_percentiles(low, high);
    StoredFrame frame = stored_frame(pixels, bits_stored);
    const std::vector<Span> spans = checked_spans(exposed, frame.rows, frame.columns);
    frame.exposed = exposed ? spans.data() : nullptr;
    const std::int64_t count = count_exposed(frame);
    if (count == 0) return std::nullopt;
    const auto values =
        Histogram(bits_stored).ranked_values(frame, {nearest_rank(low, count), nearest_rank(high, count)});
    return std::pair<int, int>(values[0], values[1]);
}

}  // namespace

void bind_ingest(nb::module_& module) {
    module.def("histogram", &histogram, nb::arg("pixels"), nb::arg("bits_stored"), nb::arg("exposed") = nb::none(),
               "Counts per stored value of the exposed pixels: uint32 (1 << bits_stored,).");
    module.def(
        "percentile_values", &percentile_values, nb::arg("pixels"), nb::arg("bits_stored"), nb::arg("low"),
        nb::arg("high"), nb::arg("exposed") = nb::none(),
        "The stored values at two nearest-rank percentiles of the exposed pixels, or None where none is exposed.");

    nb::class_<Window>(module, "Window", "How a stored value becomes grey in [0, 1].")
        .def_static("linear", &linear_window, nb::arg("origin"), nb::arg("slope"), nb::arg("intercept"),
                    nb::arg("invert"), "grey = clamp((stored - origin) * slope + intercept).")
        .def_static("table", &table_window, nb::arg("grey"), nb::arg("invert"),
                    "grey = clamp(table[stored]); float32, one entry per stored value.")
        .def_static("percentile", &percentile_window, nb::arg("low"), nb::arg("high"), nb::arg("descending"),
                    nb::arg("invert"), "Found from each frame; descending: modality values fall as stored values rise.")
        .def_static("table_percentile", &table_percentile_window, nb::arg("low"), nb::arg("high"), nb::arg("modality"),
                    nb::arg("invert"), "Found from the modality values of each frame; float32, one per stored value.")
        .def_prop_ro("entries", &entries_of, nb::rv_policy::automatic,
                     "Of table and table_percentile: (entries,) float32; else None.")
        .def_prop_ro("line", &line_of, "(origin, slope, intercept), applied to the entry or the stored value; or None.")
        .def_prop_ro("percentiles", &percentiles_of, "(low, high), where the window is found from each frame; or None.")
        .def_prop_ro("descending",
                     [](const Window& window) { return window.percentile && window.percentile->descending; })
        .def_ro("invert", &Window::invert);
    nb::class_<History>(module, "History", "What each channel shows of a pixel, and how fast its memory follows.")
        .def(nb::new_(&make_history), nb::arg("channels"), nb::arg("rise"), nb::arg("fall"), nb::arg("recent"))
        .def_prop_ro("channels", [](const History& history) { return names_of(history.channels); })
        .def_ro("rise", &History::rise)
        .def_ro("fall", &History::fall)
        .def_ro("recent", &History::recent);
    nb::class_<TensorLayout>(module, "TensorLayout", "Shape and normalisation of the tensor.")
        .def(nb::new_(&tensor_layout), nb::arg("height"), nb::arg("width"), nb::arg("channels_last"), nb::arg("mean"),
             nb::arg("std"), nb::arg("masked_value"), nb::arg("element") = "float32", nb::arg("scale") = 1.0F,
             nb::arg("history") = nb::none())
        .def_ro("height", &TensorLayout::height)
        .def_ro("width", &TensorLayout::width)
        .def_ro("channels_last", &TensorLayout::channels_last)
        .def_prop_ro("mean", [](const TensorLayout& tensor) { return std::tuple_cat(tensor.mean); })
        .def_prop_ro("std", [](const TensorLayout& tensor) { return std::tuple_cat(tensor.std); })
        .def_ro("masked_value", &TensorLayout::masked_value)
        .def_prop_ro("element", [](const TensorLayout& tensor) { return type_of(tensor.element).name; })
        .def_ro("scale", &TensorLayout::scale)
        .def_ro("history", &TensorLayout::history);
    nb::class_<Ingest>(module, "Ingest", "The plan and scratch of one run: frames in, tensor out.")
        .def("__init__", &make_ingest, nb::arg("shape"), nb::arg("bits_stored"), nb::arg("exposed").none(),
             nb::arg("window"), nb::arg("tensor"), nb::arg("others") = std::vector<ViewArguments>{})
        .def("__call__", &run_ingest, nb::arg("pixels"), nb::arg("out"), nb::arg("view") = 0,
             "Fill out; False where the view has no exposed pixel and everything became masked_value.")
        .def("reset", &Ingest::reset, "Forget the frames so far: the next one is the first. No-op without a history.");
}

}  // namespace cathrt
