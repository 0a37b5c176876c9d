// What a binding that writes a whole frame checks of the array it writes into. Not for the tensor (bind_ingest.cpp).
#pragma once

#include "arguments.hpp"

namespace cathrt {

using FrameOut = nb::ndarray<nb::device::cpu>;

inline void require_shape(const Pixels& pixels, std::int32_t rows, std::int32_t columns) {
    require(pixels.shape(0) == static_cast<std::size_t>(rows) && pixels.shape(1) == static_cast<std::size_t>(columns),
            "pixels are " + describe(pixels) + ": this plan was made for (" + std::to_string(rows) + ", " +
                std::to_string(columns) + ")");
}

// out: contiguous, (rows, columns) of the frame, uint16 where wide, else uint8; no byte of it may be the frame's,
// because rows are read again after rows beside them were written.
inline void* checked_frame_out(const FrameOut& out, const StoredFrame& frame, bool wide) {
    const auto rows = static_cast<std::size_t>(frame.rows), columns = static_cast<std::size_t>(frame.columns);
    const bool typed = out.dtype() == (wide ? nb::dtype<std::uint16_t>() : nb::dtype<std::uint8_t>());
    require(typed && out.ndim() == 2 && out.shape(0) == rows && out.shape(1) == columns &&
                (rows == 1 || out.stride(0) == static_cast<std::int64_t>(columns)) &&
                (columns == 1 || out.stride(1) == 1),
            "out is " + describe(out) + ": expected contiguous " + (wide ? "uint16 (" : "uint8 (") +
                std::to_string(rows) + ", " + std::to_string(columns) + ")");
    const auto span = (frame.rows - 1) * frame.row_stride;
    const std::byte* first = frame.data + (span < 0 ? span : 0);
    const std::byte* last = frame.data + (span < 0 ? 0 : span) + frame.columns * (frame.wide ? 2 : 1);
    const auto* begin = static_cast<const std::byte*>(out.data());
    require(begin >= last || begin + rows * columns * (wide ? 2 : 1) <= first,
            "out shares memory with pixels: hand over an array of its own");
    return out.data();
}

}  // namespace cathrt
