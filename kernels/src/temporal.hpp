// Motion-adaptive recursive temporal noise filter: each pixel follows the frame slowly where tissue is still and at
// once where it moves. One pass over memory. Truth: reference/temporal.py. Not for choosing parameters or when to
// reset.
#pragma once

#include <cstdint>

#include "scratch.hpp"
#include "stored.hpp"

namespace cathrt {

// noise_offset, noise_gain: variance of the detector's noise is offset + gain * stored value; offset above 0.
// still: share of the new frame taken where nothing moves, in (0, 1]. threshold, slope: the local mean difference, in
// noise standard deviations, from which the share rises, and by how much per deviation. ghosting_limit: the state is
// never further from the frame than this many standard deviations of one pixel. All finite.
struct TemporalSettings {
    float noise_offset;
    float noise_gain;
    float still;
    float threshold;
    float slope;
    float ghosting_limit;
};

// The state of one run and the scratch of one frame: running allocates nothing. Not thread-safe.
class TemporalFilter {
  public:
    TemporalFilter(std::int32_t rows, std::int32_t columns, int bits_stored, TemporalSettings settings);

    // frame: of this plan's size and mask. out: (rows, columns), of the frame's type, apart from the frame. The first
    // frame, and the first after reset(), comes out as it is.
    void run(const StoredFrame& frame, void* out);
    void reset() { begins_ = true; }

    std::int32_t rows() const { return rows_; }
    std::int32_t columns() const { return columns_; }
    int bits_stored() const { return bits_stored_; }
    const Scratch<float>& state() const { return state_; }

  private:
    template <typename Stored>
    void filter(const StoredFrame& frame, Stored* out);

    std::int32_t rows_;
    std::int32_t columns_;
    int bits_stored_;
    TemporalSettings settings_;
    bool begins_ = true;
    Scratch<float> state_;        // (rows, columns) in [0, (1 << bits_stored) - 1]
    std::ptrdiff_t pitch_;        // of differences_
    Scratch<float> differences_;  // (4, pitch): three rows of frame - state in turn, and one of zeros
    Scratch<float> sums_;  // (a cache line + columns + 1): differences summed over three rows, and one column each side
};

}  // namespace cathrt
