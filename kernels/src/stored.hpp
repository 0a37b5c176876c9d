// StoredFrame: the stored values of one frame, borrowed from the caller, and the spans of it that were exposed.
// Not for meaning: what a stored value stands for is the window's business (ingest.hpp).
#pragma once

#include <cstddef>
#include <cstdint>

namespace cathrt {

// Columns [start, stop) of one row that lie inside shutter and collimator.
struct Span {
    std::int32_t start;
    std::int32_t stop;
};
inline bool operator==(const Span& a, const Span& b) { return a.start == b.start && a.stop == b.stop; }

// data: first pixel of row 0. row_stride: bytes from one row to the next, of any sign. Pixels of a row are adjacent.
// wide: uint16 (aligned to 2 bytes), else uint8. mask: (1 << bits_stored) - 1, applied to every value read, so that a
// value can never index beyond a table of 1 << bits_stored entries. exposed: one span a row, or null: all of it.
struct StoredFrame {
    const std::byte* data;
    std::ptrdiff_t row_stride;
    std::int32_t rows;
    std::int32_t columns;
    bool wide;
    std::uint16_t mask;
    const Span* exposed;

    template <typename Stored>
    const Stored* row(std::int32_t index) const {
        return reinterpret_cast<const Stored*>(data + index * row_stride);
    }
    Span span(std::int32_t index) const { return exposed != nullptr ? exposed[index] : Span{0, columns}; }
};

}  // namespace cathrt
