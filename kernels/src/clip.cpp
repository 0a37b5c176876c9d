#include "clip.hpp"

namespace cathrt {

void Clip::run(std::span<const StoredFrame> stored, void* out) {
    for (std::int32_t index = 0; index < frames_; ++index)
        ingest_.run(stored[static_cast<std::size_t>(index)], out, 0, index, frames_);
}

}  // namespace cathrt
