// Python face of the histogram and of fused ingest: argument checks and one call each.
#include <nanobind/stl/array.h>
#include <nanobind/stl/pair.h>

#include <cmath>

#include "arguments.hpp"
#include "bindings.hpp"
#include "histogram.hpp"
#include "ingest.hpp"

namespace cathrt {
namespace {

constexpr float kMaxLine = 1e9F;

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

TensorLayout tensor_layout(std::int32_t height, std::int32_t width, bool channels_last,
                           const std::array<float, 3>& mean, const std::array<float, 3>& std, float masked_value) {
    require_side("height", height);
    require_side("width", width);
    for (std::size_t c = 0; c < 3; ++c)
        require(std::abs(mean[c]) <= 1e9F && std[c] >= 1e-9F && std[c] <= 1e9F,
                "mean, std of channel " + std::to_string(c) + " are " + std::to_string(mean[c]) + ", " +
                    std::to_string(std[c]) + ": expected a mean within 1e9 and a std from 1e-9 to 1e9");
    require(0.0F <= masked_value && masked_value <= 1.0F,
            "masked_value is " + std::to_string(masked_value) + ": expected grey in [0, 1]");
    return {height, width, channels_last, mean, std, masked_value};
}

void make_ingest(Ingest* self, const std::array<std::int32_t, 2>& shape, int bits_stored,
                 const std::optional<Spans>& exposed, const Window& window, const TensorLayout& tensor) {
    require_bits_stored(bits_stored);
    require_side("rows", shape[0]);
    require_side("columns", shape[1]);
    const std::size_t entries = std::size_t{1} << bits_stored;
    require(window.table.empty() || window.table.size() == entries,
            "the window's table has " + std::to_string(window.table.size()) + " entries: expected " +
                std::to_string(entries) + ", one per stored value");
    new (self) Ingest(shape[0], shape[1], bits_stored, checked_spans(exposed, shape[0], shape[1]), window, tensor);
}

bool run_ingest(Ingest& ingest, const Pixels& pixels, const Tensor& out) {
    const StoredFrame frame = stored_frame(pixels, ingest.bits_stored());
    require(frame.rows == ingest.rows() && frame.columns == ingest.columns(),
            "pixels are " + describe(pixels) + ": this plan was made for (" + std::to_string(ingest.rows()) + ", " +
                std::to_string(ingest.columns()) + ")");
    const TensorLayout& tensor = ingest.tensor();
    const auto height = static_cast<std::size_t>(tensor.height);
    const auto width = static_cast<std::size_t>(tensor.width);
    const std::array<std::size_t, 4> expected = tensor.channels_last ? std::array<std::size_t, 4>{1, height, width, 3}
                                                                     : std::array<std::size_t, 4>{1, 3, height, width};
    bool fits = out.dtype() == nb::dtype<float>() && out.ndim() == 4;
    std::int64_t stride = 1;
    for (std::size_t i = 4; fits && i-- > 0;) {
        fits = out.shape(i) == expected[i] && (expected[i] == 1 || out.stride(i) == stride);
        stride *= static_cast<std::int64_t>(expected[i]);
    }
    require(fits, "out is " + describe(out) + ": expected contiguous float32 (1, " + std::to_string(expected[1]) +
                      ", " + std::to_string(expected[2]) + ", " + std::to_string(expected[3]) + ")");
    return ingest.run(frame, static_cast<float*>(out.data()));
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
                    nb::arg("invert"), "Found from the modality values of each frame; float32, one per stored value.");
    nb::class_<TensorLayout>(module, "TensorLayout", "Shape and normalisation of the tensor.")
        .def(nb::new_(&tensor_layout), nb::arg("height"), nb::arg("width"), nb::arg("channels_last"), nb::arg("mean"),
             nb::arg("std"), nb::arg("masked_value"));
    nb::class_<Ingest>(module, "Ingest", "The plan and scratch of one run: frames in, tensor out.")
        .def("__init__", &make_ingest, nb::arg("shape"), nb::arg("bits_stored"), nb::arg("exposed").none(),
             nb::arg("window"), nb::arg("tensor"))
        .def("__call__", &run_ingest, nb::arg("pixels"), nb::arg("out"),
             "Fill out; False where no pixel of the run is exposed and everything became masked_value.");
}

}  // namespace cathrt
