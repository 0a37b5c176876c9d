// What every binding checks of its arguments, and the errors it says: kind and shape found, kind and shape expected.
// Not for: one op's own arguments (bind_<op>.cpp).
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "stored.hpp"

namespace cathrt {

namespace nb = nanobind;

using Pixels = nb::ndarray<nb::ro, nb::device::cpu>;
using Tensor = nb::ndarray<nb::device::cpu>;
using Spans = nb::ndarray<nb::ro, nb::device::cpu>;
using Table = nb::ndarray<nb::ro, nb::device::cpu>;

inline constexpr std::int32_t kMaxSide = 65535;  // Rows and Columns are US in DICOM

inline void require(bool fits, const std::string& message) {
    if (!fits) throw nb::value_error(message.c_str());
}

template <typename Array>
inline std::string describe(const Array& array) {
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

inline void require_bits_stored(int bits_stored) {
    require(bits_stored >= 1 && bits_stored <= 16,
            "bits_stored is " + std::to_string(bits_stored) + ": expected 1 to 16");
}

inline void require_side(const char* name, std::int64_t side) {
    require(side >= 1 && side <= kMaxSide,
            std::string(name) + " is " + std::to_string(side) + ": expected 1 to " + std::to_string(kMaxSide));
}

inline StoredFrame stored_frame(const Pixels& pixels, int bits_stored) {
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

inline std::vector<Span> checked_spans(const std::optional<Spans>& exposed, std::int32_t rows, std::int32_t columns) {
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

}  // namespace cathrt
