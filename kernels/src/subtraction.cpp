// Variants tried and their time: docs/kernels.md.
#include "subtraction.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

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

// ln of v >= 1, within two units in the last place. v = m * 2**e with m in [sqrt(1/2), sqrt(2)), and ln m from the
// series of atanh((m - 1) / (m + 1)): five terms leave 1e-9. No table, because a lookup is one pixel at a time and this
// is sixteen.
CATHRT_INLINE float logarithm(float v) {
    constexpr std::int32_t exponent_bit = 23;
    const auto bits = std::bit_cast<std::int32_t>(v);
    const std::int32_t e = (bits - std::bit_cast<std::int32_t>(0.70710678F)) >> exponent_bit;
    const auto m = std::bit_cast<float>(bits - (e << exponent_bit));
    const float s = (m - 1.0F) / (m + 1.0F), ss = s * s;
    const float series = 1.0F + ss * (1.0F / 3 + ss * (1.0F / 5 + ss * (1.0F / 7 + ss * (1.0F / 9))));
    return static_cast<float>(e) * std::numbers::ln2_v<float> + 2.0F * s * series;
}

// A stored value in the space that is subtracted in.
template <bool linear, typename Stored>
CATHRT_INLINE float attenuation(Stored stored, Stored mask) {
    const Stored masked = stored & mask;
    const auto value = static_cast<float>(masked);
    return linear ? logarithm(value + 1.0F) : value;
}

template <bool linear, typename Stored>
CATHRT_INLINE void add(const Stored* stored, Stored mask, std::int32_t columns, float* sum) {
    for (std::int32_t x = 0; x < columns; ++x) sum[x] += attenuation<linear>(stored[x], mask);
}

// blended: columns + 1 values; the mask at column x lies between blended[x] and blended[x + 1].
template <bool linear, typename Stored>
CATHRT_INLINE void subtract(const Stored* stored, Stored mask, const float* blended, Tap tap,
                            SubtractionSettings settings, std::int32_t columns, std::uint16_t* out) {
    const auto top = static_cast<float>((1 << settings.bits_out) - 1);
    for (std::int32_t x = 0; x < columns; ++x) {
        const float shifted = tap.weight * blended[x] + tap.next_weight * blended[x + 1];
        float value = settings.gain * (attenuation<linear>(stored[x], mask) - shifted) + settings.offset;
        value = value > 0.0F ? value : 0.0F;
        value = value < top ? value : top;
        out[x] = static_cast<std::uint16_t>(static_cast<std::int32_t>(value + 0.5F));
    }
}

CATHRT_MULTIVERSION void add_row(const std::uint8_t* stored, std::uint8_t mask, bool linear, std::int32_t columns,
                                 float* __restrict sum) {
    if (linear)
        add<true>(stored, mask, columns, sum);
    else
        add<false>(stored, mask, columns, sum);
}
CATHRT_MULTIVERSION void add_row(const std::uint16_t* stored, std::uint16_t mask, bool linear, std::int32_t columns,
                                 float* __restrict sum) {
    if (linear)
        add<true>(stored, mask, columns, sum);
    else
        add<false>(stored, mask, columns, sum);
}
CATHRT_MULTIVERSION void subtract_row(const std::uint8_t* stored, std::uint8_t mask, const float* blended, Tap tap,
                                      SubtractionSettings settings, std::int32_t columns,
                                      std::uint16_t* __restrict out) {
    if (settings.linear)
        subtract<true>(stored, mask, blended, tap, settings, columns, out);
    else
        subtract<false>(stored, mask, blended, tap, settings, columns, out);
}
CATHRT_MULTIVERSION void subtract_row(const std::uint16_t* stored, std::uint16_t mask, const float* blended, Tap tap,
                                      SubtractionSettings settings, std::int32_t columns,
                                      std::uint16_t* __restrict out) {
    if (settings.linear)
        subtract<true>(stored, mask, blended, tap, settings, columns, out);
    else
        subtract<false>(stored, mask, blended, tap, settings, columns, out);
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
      mask_sum_(static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns), 0.0F),
      blended_(static_cast<std::size_t>(columns) + 1, 0.0F) {}

void MaskSubtraction::add_mask_frame(const StoredFrame& frame) {
    const auto narrow = static_cast<std::uint8_t>(frame.mask);
    for (std::int32_t y = 0; y < rows_; ++y) {
        float* sum = mask_sum_.data() + static_cast<std::ptrdiff_t>(y) * columns_;
        if (frame.wide)
            add_row(frame.row<std::uint16_t>(y), frame.mask, settings_.linear, columns_, sum);
        else
            add_row(frame.row<std::uint8_t>(y), narrow, settings_.linear, columns_, sum);
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
    const Tap vertical = tap_of(row_shift, rows_), horizontal = tap_of(column_shift, columns_);
    const float per_frame = 1.0F / static_cast<float>(mask_frames_);
    const float weight = vertical.weight * per_frame, next_weight = vertical.next_weight * per_frame;
    // blended_[i] is the mask at column horizontal.first + i: `count` columns from `start` on go to `from`, and before
    // and after them the column at the edge goes on.
    const std::int32_t from = std::max(-horizontal.first, 0), start = std::max(horizontal.first, 0);
    const std::int32_t count = std::min(columns_ - start, columns_ + 1 - from);
    float* blended = blended_.data() + from;
    const auto narrow = static_cast<std::uint8_t>(frame.mask);
    for (std::int32_t y = 0; y < rows_; ++y) {
        blend_rows(mask_row(y + vertical.first) + start, mask_row(y + vertical.first + 1) + start, weight, next_weight,
                   count, blended);
        std::fill(blended_.data(), blended, *blended);
        std::fill(blended + count, blended_.data() + columns_ + 1, blended[count - 1]);
        std::uint16_t* to = out + static_cast<std::ptrdiff_t>(y) * columns_;
        if (frame.wide)
            subtract_row(frame.row<std::uint16_t>(y), frame.mask, blended_.data(), horizontal, settings_, columns_, to);
        else
            subtract_row(frame.row<std::uint8_t>(y), narrow, blended_.data(), horizontal, settings_, columns_, to);
    }
}

}  // namespace cathrt
