// The Python face of the CPU twins: argument checks and one call each. What the arguments mean is in the headers.
// The interpreter lock stays held: a call is shorter than waiting for the lock again.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>

#include <cmath>
#include <string>

#include "histogram.hpp"
#include "ingest.hpp"

namespace nb = nanobind;

namespace {

using cathrt::Span;
using cathrt::StoredFrame;

using Pixels = nb::ndarray<nb::ro, nb::device::cpu>;
using Tensor = nb::ndarray<nb::device::cpu>;
using Spans = nb::ndarray<nb::ro, nb::device::cpu>;
using Table = nb::ndarray<nb::ro, nb::device::cpu>;

constexpr float kMaxLine = 1e9F;
constexpr std::int32_t kMaxSide = 65535;  // Rows and Columns are US in DICOM

void require(bool fits, const std::string& message) {
    if (!fits) throw nb::value_error(message.c_str());
}

template <typename Array>
std::string describe(const Array& array) {
    std::string shape;
    for (std::size_t i = 0; i < array.ndim(); ++i) shape += (i > 0 ? ", " : "") + std::to_string(array.shape(i));
    const nb::dlpack::dtype type = array.dtype();
    const char* code = "other";
    if (type.code == static_cast<std::uint8_t>(nb::dlpack::dtype_code::Int)) code = "int";
    if (type.code == static_cast<std::uint8_t>(nb::dlpack::dtype_code::UInt)) code = "uint";
    if (type.code == static_cast<std::uint8_t>(nb::dlpack::dtype_code::Float)) code = "float";
    if (type.code == static_cast<std::uint8_t>(nb::dlpack::dtype_code::Bool)) code = "bool";
    return code + std::to_string(type.bits) + " (" + shape + ")";
}

void require_bits_stored(int bits_stored) {
    require(bits_stored >= 1 && bits_stored <= 16,
            "bits_stored is " + std::to_string(bits_stored) + ": expected 1 to 16");
}

void require_side(const char* name, std::int64_t side) {
    require(side >= 1 && side <= kMaxSide,
            std::string(name) + " is " + std::to_string(side) + ": expected 1 to " + std::to_string(kMaxSide));
}

StoredFrame stored_frame(const Pixels& pixels, int bits_stored) {
    const bool narrow = pixels.dtype() == nb::dtype<std::uint8_t>();
    require(pixels.ndim() == 2 && (narrow || pixels.dtype() == nb::dtype<std::uint16_t>()),
            "pixels are " + describe(pixels) + ": expected uint8 or uint16 (rows, columns)");
    require(!narrow || bits_stored <= 8, "pixels are uint8 but bits_stored is " + std::to_string(bits_stored) +
                                             ": hand over uint16 for more than 8 bits");
    require_side("rows", static_cast<std::int64_t>(pixels.shape(0)));
    require_side("columns", static_cast<std::int64_t>(pixels.shape(1)));
    require(pixels.shape(1) == 1 || pixels.stride(1) == 1,
            "pixels of a row are " + std::to_string(pixels.stride(1)) +
                " elements apart: expected 1 (rows may have any stride); hand over numpy.ascontiguousarray(pixels)");
    require(narrow || reinterpret_cast<std::uintptr_t>(pixels.data()) % alignof(std::uint16_t) == 0,
            "uint16 pixels start at an odd address: hand over an aligned copy");
    return {static_cast<const std::byte*>(pixels.data()),
            static_cast<std::ptrdiff_t>(pixels.stride(0)) * (narrow ? 1 : 2),
            static_cast<std::int32_t>(pixels.shape(0)),
            static_cast<std::int32_t>(pixels.shape(1)),
            !narrow,
            static_cast<std::uint16_t>((1U << bits_stored) - 1U),
            nullptr};
}

std::vector<Span> checked_spans(const std::optional<Spans>& exposed, std::int32_t rows, std::int32_t columns) {
    if (!exposed) return {};
    const auto expected = "expected contiguous int32 (" + std::to_string(rows) + ", 2), [start, stop) of each row";
    require(exposed->dtype() == nb::dtype<std::int32_t>() && exposed->ndim() == 2 &&
                exposed->shape(0) == static_cast<std::size_t>(rows) && exposed->shape(1) == 2 &&
                exposed->stride(0) == 2 && exposed->stride(1) == 1,
            "exposed is " + describe(*exposed) + ": " + expected);
    const auto* values = static_cast<const std::int32_t*>(exposed->data());
    std::vector<Span> spans;
    spans.reserve(static_cast<std::size_t>(rows));
    for (std::ptrdiff_t y = 0; y < rows; ++y) {
        const Span span{values[2 * y], values[2 * y + 1]};
        require(0 <= span.start && span.start <= span.stop && span.stop <= columns,
                "exposed[" + std::to_string(y) + "] is [" + std::to_string(span.start) + ", " +
                    std::to_string(span.stop) +
                    "): expected 0 <= start <= stop <= columns = " + std::to_string(columns));
        spans.push_back(span);
    }
    return spans;
}

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

cathrt::Window linear_window(float origin, float slope, float intercept, bool invert) {
    require(std::abs(origin) <= kMaxLine && std::abs(slope) <= kMaxLine && std::abs(intercept) <= kMaxLine,
            "linear window is (" + std::to_string(origin) + ", " + std::to_string(slope) + ", " +
                std::to_string(intercept) + "): expected magnitudes of at most 1e9");
    return {{}, cathrt::LinearWindow{origin, slope, intercept}, std::nullopt, invert};
}

cathrt::Window table_window(const Table& grey, bool invert) {
    return {checked_table(grey, 0.0F), cathrt::LinearWindow{0.0F, 1.0F, 0.0F}, std::nullopt, invert};
}

void require_percentiles(double low, double high) {
    require(0.0 <= low && low < high && high <= 100.0, "percentiles are (" + std::to_string(low) + ", " +
                                                           std::to_string(high) + "): expected 0 <= low < high <= 100");
}

cathrt::Window percentile_window(double low, double high, bool descending, bool invert) {
    require_percentiles(low, high);
    return {{}, std::nullopt, cathrt::PercentileWindow{low, high, descending}, invert};
}

cathrt::Window table_percentile_window(double low, double high, const Table& modality, bool invert) {
    require_percentiles(low, high);
    // The percentile window divides by the difference of two entries.
    return {checked_table(modality, 1e-6F), std::nullopt, cathrt::PercentileWindow{low, high, false}, invert};
}

cathrt::TensorLayout tensor_layout(std::int32_t height, std::int32_t width, bool channels_last,
                                   const std::array<float, 3>& mean, const std::array<float, 3>& std,
                                   float masked_value) {
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

void make_ingest(cathrt::Ingest* self, const std::array<std::int32_t, 2>& shape, int bits_stored,
                 const std::optional<Spans>& exposed, const cathrt::Window& window,
                 const cathrt::TensorLayout& tensor) {
    require_bits_stored(bits_stored);
    require_side("rows", shape[0]);
    require_side("columns", shape[1]);
    const std::size_t entries = std::size_t{1} << bits_stored;
    require(window.table.empty() || window.table.size() == entries,
            "the window's table has " + std::to_string(window.table.size()) + " entries: expected " +
                std::to_string(entries) + ", one per stored value");
    new (self)
        cathrt::Ingest(shape[0], shape[1], bits_stored, checked_spans(exposed, shape[0], shape[1]), window, tensor);
}

bool run_ingest(cathrt::Ingest& ingest, const Pixels& pixels, const Tensor& out) {
    const StoredFrame frame = stored_frame(pixels, ingest.bits_stored());
    require(frame.rows == ingest.rows() && frame.columns == ingest.columns(),
            "pixels are " + describe(pixels) + ": this plan was made for (" + std::to_string(ingest.rows()) + ", " +
                std::to_string(ingest.columns()) + ")");
    const cathrt::TensorLayout& tensor = ingest.tensor();
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
    cathrt::Histogram scratch(bits_stored);
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
    const std::int64_t count = cathrt::count_exposed(frame);
    if (count == 0) return std::nullopt;
    const auto values =
        cathrt::Histogram(bits_stored)
            .ranked_values(frame, {cathrt::nearest_rank(low, count), cathrt::nearest_rank(high, count)});
    return std::pair<int, int>(values[0], values[1]);
}

}  // namespace

NB_MODULE(_kernels, module) {
    module.doc() = "CPU twins of the cathrt preprocessing kernels; truth and meaning: cathrt.kernels.reference.";

    module.def("histogram", &histogram, nb::arg("pixels"), nb::arg("bits_stored"), nb::arg("exposed") = nb::none(),
               "Counts per stored value of the exposed pixels: uint32 (1 << bits_stored,).");
    module.def(
        "percentile_values", &percentile_values, nb::arg("pixels"), nb::arg("bits_stored"), nb::arg("low"),
        nb::arg("high"), nb::arg("exposed") = nb::none(),
        "The stored values at two nearest-rank percentiles of the exposed pixels, or None where none is exposed.");

    nb::class_<cathrt::Window>(module, "Window", "How a stored value becomes grey in [0, 1].")
        .def_static("linear", &linear_window, nb::arg("origin"), nb::arg("slope"), nb::arg("intercept"),
                    nb::arg("invert"), "grey = clamp((stored - origin) * slope + intercept).")
        .def_static("table", &table_window, nb::arg("grey"), nb::arg("invert"),
                    "grey = clamp(table[stored]); float32, one entry per stored value.")
        .def_static("percentile", &percentile_window, nb::arg("low"), nb::arg("high"), nb::arg("descending"),
                    nb::arg("invert"), "Found from each frame; descending: modality values fall as stored values rise.")
        .def_static("table_percentile", &table_percentile_window, nb::arg("low"), nb::arg("high"), nb::arg("modality"),
                    nb::arg("invert"), "Found from the modality values of each frame; float32, one per stored value.");
    nb::class_<cathrt::TensorLayout>(module, "TensorLayout", "Shape and normalisation of the tensor.")
        .def(nb::new_(&tensor_layout), nb::arg("height"), nb::arg("width"), nb::arg("channels_last"), nb::arg("mean"),
             nb::arg("std"), nb::arg("masked_value"));
    nb::class_<cathrt::Ingest>(module, "Ingest", "The plan and scratch of one run: frames in, tensor out.")
        .def("__init__", &make_ingest, nb::arg("shape"), nb::arg("bits_stored"), nb::arg("exposed").none(),
             nb::arg("window"), nb::arg("tensor"))
        .def("__call__", &run_ingest, nb::arg("pixels"), nb::arg("out"),
             "Fill out; False where no pixel of the run is exposed and everything became masked_value.");
}
