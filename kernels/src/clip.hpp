// A clip for a video encoder: sampled frames of a run -> grey -> antialiased resize -> normalise -> its slot of a
// batch. Truth, and which frames are sampled: reference/clip.py. Each frame goes the way of every other frame
// (ingest.hpp).
#pragma once

#include <cstdint>
#include <span>
#include <utility>

#include "ingest.hpp"

namespace cathrt {

// Everything that is the same for all clips of a run, and the scratch of one frame: running allocates nothing. Not
// thread-safe.
class Clip {
  public:
    // window: a fixed one. Found from each frame, it would make the picture flicker, and the encoder take that for
    // motion. tensor: of one frame, without a history; its masked_value is not used.
    Clip(std::int32_t rows, std::int32_t columns, int bits_stored, Window window, std::int32_t frames,
         TensorLayout tensor)
        : frames_(frames), ingest_(rows, columns, bits_stored, {}, std::move(window), tensor) {}

    // stored: as many frames as the clip has, of this plan's size and mask; one may come several times. out: elements
    // (frames, height, width, 3), or (3, frames, height, width).
    void run(std::span<const StoredFrame> stored, void* out);

    std::int32_t frames() const { return frames_; }
    const Ingest& ingest() const { return ingest_; }

  private:
    std::int32_t frames_;
    Ingest ingest_;
};

}  // namespace cathrt
