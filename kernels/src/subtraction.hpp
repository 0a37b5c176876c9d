// Mask subtraction with a sub-pixel shift, for angiography and roadmap: what the live frame has and the mask has not.
// Truth: reference/subtraction.py. Not for choosing mask frames or finding the shift.
#pragma once

#include <cstdint>

#include "scratch.hpp"
#include "stored.hpp"

namespace cathrt {

// The mask is held as a sum in float32, which is exact for stored values up to 256 frames of 16 bits.
inline constexpr int kMaxMaskFrames = 256;

// linear: Pixel Intensity Relationship LIN, the logarithm is taken here; otherwise LOG, it was taken at acquisition.
// out = clamp(gain * (live - mask) + offset, 0, (1 << bits_out) - 1).
struct SubtractionSettings {
    bool linear;
    float gain;
    float offset;
    int bits_out;
};

// The mask of one run and the scratch of one frame: adding and subtracting allocate nothing. Not thread-safe.
class MaskSubtraction {
  public:
    MaskSubtraction(std::int32_t rows, std::int32_t columns, int bits_stored, SubtractionSettings settings);

    // frame, here and below: of this plan's size and mask. At most kMaxMaskFrames are added.
    void add_mask_frame(const StoredFrame& frame);
    void reset();

    // At least one mask frame was added. row_shift, column_shift: finite; positive moves the mask down and right.
    // out: (rows, columns), apart from the frame.
    void run(const StoredFrame& frame, double row_shift, double column_shift, std::uint16_t* out);

    std::int32_t rows() const { return rows_; }
    std::int32_t columns() const { return columns_; }
    int bits_stored() const { return bits_stored_; }
    int mask_frames() const { return mask_frames_; }

  private:
    const float* mask_row(std::int32_t y) const;

    std::int32_t rows_;
    std::int32_t columns_;
    int bits_stored_;
    SubtractionSettings settings_;
    int mask_frames_ = 0;
    Scratch<float> mask_sum_;  // (rows, columns)
    Scratch<float> blended_;   // (columns + 1): the mask between two rows, from the first column wanted on
};

}  // namespace cathrt
