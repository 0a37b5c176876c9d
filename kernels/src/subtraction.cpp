// Variants tried and their time: docs/kernels.md.
#include "subtraction.hpp"

#include <algorithm>
#include <cmath>

#include "dispatch.hpp"

namespace cathrt {
namespace {

// Where a pixel finds the shifted mask: `first` pixels further on, and the one after that, with these weights.
struct Tap {
    std::int32_t first;
    float weight;
    float next_weight;
};

// Beyond `side` pixels a shift shows the edge alone, so that a larger one need not be told apart.
Tap tap_of(double shift, std::int32_t side) {
    const double first = std::floor(-shift);
    const auto next_weight = static_cast<float>(-shift - first);
    return {static_cast<std::int32_t>(std::clamp<double>(first, -side, side - 1)), 1.0F - next_weight, next_weight};
}

// table: of ln(stored + 1), or null.
template <typename Stored>
CATHRT_INLINE void add(const Stored* stored, std::uint16_t mask, const float* table, std::int32_t columns, float* sum) {
    if (table != nullptr) {
        for (std::int32_t x = 0; x < columns; ++x) sum[x] += table[stored[x] & mask];
    } else {
        for (std::int32_t x = 0; x < columns; ++x) sum[x] += static_cast<float>(stored[x] & mask);
    }
}

CATHRT_INLINE std::uint16_t display(float difference, const SubtractionSettings& settings, float top) {
    float value = settings.gain * difference + settings.offset;
    value = value > 0.0F ? value : 0.0F;
    value = value < top ? value : top;
    return static_cast<std::uint16_t>(static_cast<std::int32_t>(value + 0.5F));
}

// mask: columns + 1 values; the one of column x lies between mask[x] and mask[x + 1].
template <typename Stored>
CATHRT_INLINE void subtract(const Stored* stored, std::uint16_t mask_bits, const float* table, const float* mask,
                            Tap tap, SubtractionSettings settings, std::int32_t columns, std::uint16_t* out) {
    const auto top = static_cast<float>((1 << settings.bits_out) - 1);
    if (table != nullptr) {
        for (std::int32_t x = 0; x < columns; ++x)
            out[x] = display(table[stored[x] & mask_bits] - (tap.weight * mask[x] + tap.next_weight * mask[x + 1]),
                             settings, top);
    } else {
        for (std::int32_t x = 0; x < columns; ++x)
            out[x] = display(
                static_cast<float>(stored[x] & mask_bits) - (tap.weight * mask[x] + tap.next_weight * mask[x + 1]),
                settings, top);
    }
}

CATHRT_MULTIVERSION void add_row(const std::uint8_t* stored, std::uint16_t mask, const float* table,
                                 std::int32_t columns, float* __restrict sum) {
    add(stored, mask, table, columns, sum);
}
CATHRT_MULTIVERSION void add_row(const std::uint16_t* stored, std::uint16_t mask, const float* table,
                                 std::int32_t columns, float* __restrict sum) {
    add(stored, mask, table, columns, sum);
}
CATHRT_MULTIVERSION void subtract_row(const std::uint8_t* stored, std::uint16_t mask_bits, const float* table,
                                      const float* mask, Tap tap, SubtractionSettings settings, std::int32_t columns,
                                      std::uint16_t* __restrict out) {
    subtract(stored, mask_bits, table, mask, tap, settings, columns, out);
}
CATHRT_MULTIVERSION void subtract_row(const std::uint16_t* stored, std::uint16_t mask_bits, const float* table,
                                      const float* mask, Tap tap, SubtractionSettings settings, std::int32_t columns,
                                      std::uint16_t* __restrict out) {
    subtract(stored, mask_bits, table, mask, tap, settings, columns, out);
}

CATHRT_MULTIVERSION void blend_rows(const float* row, const float* next, float weight, float next_weight,
                                    std::int32_t count, float* __restrict blended) {
    for (std::int32_t x = 0; x < count; ++x) blended[x] = weight * row[x] + next_weight * next[x];
}

}  // namespace

MaskSubtraction::MaskSubtraction(std::int32_t rows, std::int32_t columns, int bits_stored, SubtractionSettings settings)
    : rows_(rows),
      columns_(columns),
      bits_stored_(bits_stored),
      settings_(settings),
      logarithm_(settings.linear ? std::size_t{1} << bits_stored : 0),
      mask_sum_(static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns), 0.0F),
      blended_(static_cast<std::size_t>(columns) + 1, 0.0F) {
    for (std::size_t stored = 0; stored < logarithm_.size(); ++stored)
        logarithm_[stored] = static_cast<float>(std::log(static_cast<double>(stored) + 1.0));
}

void MaskSubtraction::add_mask_frame(const StoredFrame& frame) {
    const float* table = logarithm_.empty() ? nullptr : logarithm_.data();
    for (std::int32_t y = 0; y < rows_; ++y) {
        float* sum = mask_sum_.data() + static_cast<std::ptrdiff_t>(y) * columns_;
        if (frame.wide)
            add_row(frame.row<std::uint16_t>(y), frame.mask, table, columns_, sum);
        else
            add_row(frame.row<std::uint8_t>(y), frame.mask, table, columns_, sum);
    }
    ++mask_frames_;
}

void MaskSubtraction::reset() {
    std::fill(mask_sum_.begin(), mask_sum_.end(), 0.0F);
    mask_frames_ = 0;
}

// The row of the mask at y; beyond an edge, the row at the edge.
const float* MaskSubtraction::mask_row(std::int32_t y) const {
    return mask_sum_.data() + static_cast<std::ptrdiff_t>(std::clamp(y, 0, rows_ - 1)) * columns_;
}

void MaskSubtraction::run(const StoredFrame& frame, double row_shift, double column_shift, std::uint16_t* out) {
    const float* table = logarithm_.empty() ? nullptr : logarithm_.data();
    const Tap vertical = tap_of(row_shift, rows_), horizontal = tap_of(column_shift, columns_);
    const float per_frame = 1.0F / static_cast<float>(mask_frames_);
    const float weight = vertical.weight * per_frame, next_weight = vertical.next_weight * per_frame;
    // blended_[i] is the mask at column horizontal.first + i: `count` columns from `start` on go to `from`, and before
    // and after them the column at the edge goes on.
    const std::int32_t from = std::max(-horizontal.first, 0), start = std::max(horizontal.first, 0);
    const std::int32_t count = std::min(columns_ - start, columns_ + 1 - from);
    float* blended = blended_.data() + from;
    for (std::int32_t y = 0; y < rows_; ++y) {
        blend_rows(mask_row(y + vertical.first) + start, mask_row(y + vertical.first + 1) + start, weight, next_weight,
                   count, blended);
        std::fill(blended_.data(), blended, *blended);
        std::fill(blended + count, blended_.data() + columns_ + 1, blended[count - 1]);
        std::uint16_t* to = out + static_cast<std::ptrdiff_t>(y) * columns_;
        if (frame.wide)
            subtract_row(frame.row<std::uint16_t>(y), frame.mask, table, blended_.data(), horizontal, settings_,
                         columns_, to);
        else
            subtract_row(frame.row<std::uint8_t>(y), frame.mask, table, blended_.data(), horizontal, settings_,
                         columns_, to);
    }
}

}  // namespace cathrt
