// Variants tried and their time: docs/kernels.md.
#include "collimator.hpp"

#include <algorithm>

#include "dispatch.hpp"

namespace cathrt {
namespace {

// Rows added up before the column sums are touched: one load and one store of a sum for so many pixels.
constexpr std::int32_t kRows = 4;

template <typename Stored>
CATHRT_INLINE void add_rows(const Stored* const rows[kRows], std::int32_t columns, std::uint16_t mask,
                            std::uint32_t* __restrict row_sums, std::uint32_t* __restrict column_sums) {
    const Stored narrow = static_cast<Stored>(mask);
    const Stored *first = rows[0], *second = rows[1], *third = rows[2], *fourth = rows[3];
    std::uint32_t sums[kRows] = {};
    for (std::int32_t x = 0; x < columns; ++x) {
        const std::uint32_t a = first[x] & narrow, b = second[x] & narrow, c = third[x] & narrow,
                            d = fourth[x] & narrow;
        column_sums[x] += a + b + c + d;
        sums[0] += a, sums[1] += b, sums[2] += c, sums[3] += d;
    }
    std::copy(sums, sums + kRows, row_sums);
}

template <typename Stored>
CATHRT_INLINE std::uint32_t add_row(const Stored* row, std::int32_t columns, std::uint16_t mask,
                                    std::uint32_t* __restrict column_sums) {
    const Stored narrow = static_cast<Stored>(mask);
    std::uint32_t sum = 0;
    for (std::int32_t x = 0; x < columns; ++x) {
        const std::uint32_t value = row[x] & narrow;
        column_sums[x] += value;
        sum += value;
    }
    return sum;
}

template <typename Stored>
CATHRT_INLINE void add_frame(const StoredFrame& frame, std::uint32_t* row_sums, std::uint32_t* column_sums) {
    std::fill(column_sums, column_sums + frame.columns, 0U);
    std::int32_t y = 0;
    for (; y + kRows <= frame.rows; y += kRows) {
        const Stored* rows[kRows];
        for (std::int32_t i = 0; i < kRows; ++i) rows[i] = frame.row<Stored>(y + i);
        add_rows(rows, frame.columns, frame.mask, row_sums + y, column_sums);
    }
    for (; y < frame.rows; ++y) row_sums[y] = add_row(frame.row<Stored>(y), frame.columns, frame.mask, column_sums);
}

CATHRT_MULTIVERSION void add_frame_u8(const StoredFrame& frame, std::uint32_t* row_sums, std::uint32_t* column_sums) {
    add_frame<std::uint8_t>(frame, row_sums, column_sums);
}
CATHRT_MULTIVERSION void add_frame_u16(const StoredFrame& frame, std::uint32_t* row_sums, std::uint32_t* column_sums) {
    add_frame<std::uint16_t>(frame, row_sums, column_sums);
}

}  // namespace

void profile_sums(const StoredFrame& frame, std::uint32_t* row_sums, std::uint32_t* column_sums) {
    if (frame.wide)
        add_frame_u16(frame, row_sums, column_sums);
    else
        add_frame_u8(frame, row_sums, column_sums);
}

}  // namespace cathrt
