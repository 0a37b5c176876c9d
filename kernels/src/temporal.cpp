// Variants tried and their time: docs/kernels.md.
#include "temporal.hpp"

#include <cmath>

#include "dispatch.hpp"

namespace cathrt {
namespace {

constexpr std::int32_t kRing = 3;
constexpr std::int32_t kLine = 16;  // floats of a cache line

CATHRT_INLINE float least(float a, float b) { return a < b ? a : b; }
CATHRT_INLINE float greatest(float a, float b) { return a > b ? a : b; }

// One row of frame - state.
template <typename Stored>
CATHRT_INLINE void subtract(const Stored* stored, Stored mask, const float* state, std::int32_t columns,
                            float* difference) {
    for (std::int32_t x = 0; x < columns; ++x) {
        const Stored value = stored[x] & mask;
        difference[x] = static_cast<float>(value) - state[x];
    }
}

// State and output of one row. sums: of the differences over the rows around; sums[-1] and sums[columns] exist.
// weight: 1 / how many of the nine neighbours count.
template <typename Stored>
CATHRT_INLINE void update(const float* sums, float weight, const float* difference, const Stored* stored, Stored mask,
                          std::int32_t columns, TemporalSettings settings, float* state, Stored* out) {
    for (std::int32_t x = 0; x < columns; ++x) {
        const Stored masked = stored[x] & mask;
        const auto value = static_cast<float>(masked);
        const float sigma = std::sqrt(settings.noise_offset + settings.noise_gain * value);
        const float mean = (sums[x - 1] + sums[x] + sums[x + 1]) * weight;
        const float excess = greatest(std::fabs(mean) / sigma - settings.threshold, 0.0F);
        const float gain = least(settings.still + settings.slope * excess, 1.0F);
        // What the state keeps of its distance. From the frame's side, so that motion (gain 1) gives exactly the frame
        // and the state stays within the range of the stored values, whatever is rounded.
        const float reach = settings.ghosting_limit * sigma;
        const float rest = least(greatest((1.0F - gain) * difference[x], -reach), reach);
        state[x] = value - rest;
        out[x] = static_cast<Stored>(static_cast<std::int32_t>(state[x] + 0.5F));
    }
}

CATHRT_MULTIVERSION void subtract_row(const std::uint8_t* stored, std::uint16_t mask, const float* state,
                                      std::int32_t columns, float* __restrict difference) {
    subtract(stored, static_cast<std::uint8_t>(mask), state, columns, difference);
}
CATHRT_MULTIVERSION void subtract_row(const std::uint16_t* stored, std::uint16_t mask, const float* state,
                                      std::int32_t columns, float* __restrict difference) {
    subtract(stored, mask, state, columns, difference);
}
CATHRT_MULTIVERSION void update_row(const float* sums, float weight, const float* difference,
                                    const std::uint8_t* stored, std::uint16_t mask, std::int32_t columns,
                                    TemporalSettings settings, float* __restrict state, std::uint8_t* __restrict out) {
    update(sums, weight, difference, stored, static_cast<std::uint8_t>(mask), columns, settings, state, out);
}
CATHRT_MULTIVERSION void update_row(const float* sums, float weight, const float* difference,
                                    const std::uint16_t* stored, std::uint16_t mask, std::int32_t columns,
                                    TemporalSettings settings, float* __restrict state, std::uint16_t* __restrict out) {
    update(sums, weight, difference, stored, mask, columns, settings, state, out);
}
CATHRT_MULTIVERSION void add_rows(const float* above, const float* here, const float* below, std::int32_t columns,
                                  float* __restrict sums) {
    for (std::int32_t x = 0; x < columns; ++x) sums[x] = above[x] + here[x] + below[x];
}

}  // namespace

TemporalFilter::TemporalFilter(std::int32_t rows, std::int32_t columns, int bits_stored, TemporalSettings settings)
    : rows_(rows),
      columns_(columns),
      bits_stored_(bits_stored),
      settings_(settings),
      state_(static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns), 0.0F),
      // Whole cache lines, and two more: rows 4 KiB apart would fall on the same cache sets.
      pitch_((static_cast<std::ptrdiff_t>(columns) + kLine - 1) / kLine * kLine + 2 * kLine),
      differences_(static_cast<std::size_t>((kRing + 1) * pitch_), 0.0F),
      sums_(kLine + static_cast<std::size_t>(columns) + 1, 0.0F) {}

template <typename Stored>
void TemporalFilter::filter(const StoredFrame& frame, Stored* out) {
    TemporalSettings settings = settings_;
    if (begins_) settings.still = 1.0F;  // all of the frame, nothing of the state
    begins_ = false;
    const float* zeros = differences_.data() + kRing * pitch_;
    float* sums = sums_.data() + kLine;
    const auto ring = [this](std::int32_t y) { return differences_.data() + y % kRing * pitch_; };
    const auto state = [this](std::int32_t y) { return state_.data() + static_cast<std::ptrdiff_t>(y) * columns_; };
    const auto subtract_from = [&](std::int32_t y) {
        subtract_row(frame.row<Stored>(y), frame.mask, state(y), columns_, ring(y));
    };
    subtract_from(0);
    for (std::int32_t y = 0; y < rows_; ++y) {
        const bool top = y == 0, bottom = y == rows_ - 1;
        if (!bottom) subtract_from(y + 1);
        add_rows(top ? zeros : ring(y - 1), ring(y), bottom ? zeros : ring(y + 1), columns_, sums);
        // Beyond the edge the mean of what is inside: the mean of three is then the mean of the two that exist.
        const std::int32_t last = columns_ - 1, inner = columns_ > 1 ? 1 : 0;
        sums[-1] = (sums[0] + sums[inner]) * 0.5F;
        sums[columns_] = (sums[last] + sums[last - inner]) * 0.5F;
        const float weight = 1.0F / static_cast<float>(3 * (3 - top - bottom));
        update_row(sums, weight, ring(y), frame.row<Stored>(y), frame.mask, columns_, settings, state(y),
                   out + static_cast<std::ptrdiff_t>(y) * columns_);
    }
}

void TemporalFilter::run(const StoredFrame& frame, void* out) {
    if (frame.wide)
        filter(frame, static_cast<std::uint16_t*>(out));
    else
        filter(frame, static_cast<std::uint8_t*>(out));
}

}  // namespace cathrt
