// A clip for a video encoder: sampled frames of a run -> grey -> antialiased resize -> normalise -> its slot of a
// batch. Truth, and which frames are sampled: reference/clip.py. Not for single frames with shutters (ingest.hpp) or
// decoding.
#pragma once

#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "resize.hpp"
#include "stored.hpp"

namespace cathrt {

// grey = clamp((stored - origin) * slope + intercept, 0, 1). One line for the whole clip: a window found anew for each
// frame would make the picture flicker, which the encoder would take for motion.
struct GreyLine {
    float origin;
    float slope;
    float intercept;
};

// Or grey = clamp(table[stored], 0, 1), one entry per stored value.
using GreyTable = std::vector<float>;

// (255 * grey - mean) / std in three equal channels: (frames, height, width, 3), or (3, frames, height, width).
struct ClipLayout {
    std::int32_t frames;
    std::int32_t height;
    std::int32_t width;
    bool channels_last;
    float mean;
    float std;
};

// The bits of an IEEE 754 binary16.
enum class Half : std::uint16_t {};

// Everything that is the same for all clips of a run, and the scratch of one: running allocates nothing. Not
// thread-safe.
class Clip {
  public:
    Clip(std::int32_t rows, std::int32_t columns, int bits_stored, std::variant<GreyLine, GreyTable> grey,
         ClipLayout layout);

    // frames: layout.frames of this plan's size and mask, all uint8 or all uint16; one may come several times. out: 3 *
    // frames * height * width elements.
    void run(std::span<const StoredFrame> frames, float* out);
    void run(std::span<const StoredFrame> frames, Half* out);

    std::int32_t rows() const { return rows_; }
    std::int32_t columns() const { return columns_; }
    int bits_stored() const { return bits_stored_; }
    const ClipLayout& layout() const { return layout_; }

  private:
    template <typename Element>
    void run_clip(std::span<const StoredFrame> frames, Element* out);
    void reduce_row(const StoredFrame& frame, std::int32_t output, float* reduced);
    void map_rows(const StoredFrame& frame, std::int32_t first);

    std::int32_t rows_;
    std::int32_t columns_;
    int bits_stored_;
    ClipLayout layout_;
    GreyLine line_;
    bool clamps_;  // whether the line leaves [0, 1] for some stored value
    GreyTable table_;
    float scale_;  // from what was resized, grey or stored values, to the tensor
    float offset_;
    ResizeAxis vertical_;
    ResizeAxis horizontal_;
    std::vector<float> mapped_;      // (taps, columns): with a table, the rows that the last output row needed
    std::int32_t mapped_until_ = 0;  // the row of the frame after the last of them
    std::vector<float> reduced_;     // (lanes, columns) after the vertical resize
    std::vector<float> turned_;      // the same, (columns, lanes)
    std::vector<float> lanes_;       // (width, lanes) after the horizontal resize
    std::vector<float> row_;         // (width,) of one lane
};

}  // namespace cathrt
