// A clip for a video encoder: sampled frames of a run -> grey -> antialiased resize -> normalise -> its slot of a
// batch. Truth, and which frames are sampled: reference/clip.py. Not for single frames with shutters (ingest.hpp) or
// decoding.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ingest.hpp"
#include "resize.hpp"
#include "stored.hpp"
#include "tensor.hpp"

namespace cathrt {

// Everything that is the same for all clips of a run, and the scratch of one frame: running allocates nothing. Not
// thread-safe.
class Clip {
  public:
    // window: with a line, not found from each frame: the picture would flicker, and the encoder take that for motion.
    // tensor: of one frame; its masked_value is not used.
    Clip(std::int32_t rows, std::int32_t columns, int bits_stored, Window window, std::int32_t frames,
         TensorLayout tensor);

    // stored: as many frames as the clip has, of this plan's size and mask; one may come several times. out: elements
    // (frames, height, width, 3), or (3, frames, height, width).
    void run(std::span<const StoredFrame> stored, void* out);

    std::int32_t rows() const { return rows_; }
    std::int32_t columns() const { return columns_; }
    int bits_stored() const { return bits_stored_; }
    std::int32_t frames() const { return frames_; }
    const TensorLayout& tensor() const { return tensor_; }

  private:
    void reduce_row(const StoredFrame& frame, std::int32_t output, float* reduced);
    void map_rows(const StoredFrame& frame, std::int32_t first);

    std::int32_t rows_;
    std::int32_t columns_;
    int bits_stored_;
    std::int32_t frames_;
    TensorLayout tensor_;
    TensorLayout tall_;  // the clip as one tensor, its frames on top of each other: the same elements in the same order
    std::array<ChannelLine, 3> channels_;
    std::vector<float> table_;
    LinearWindow line_;  // inversion included
    bool clamps_;        // whether the line leaves [0, 1] for some stored value
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
