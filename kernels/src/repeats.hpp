// Is this frame the one before it once more? An exact content hash and exact differences, in one pass over both frames.
// Truth, and what the numbers mean: reference/repeats.py. Not for the decision itself, which needs no speed.
#pragma once

#include <cstdint>

#include "stored.hpp"

namespace cathrt {

// All of it in integers: every instruction set, and every order of summing, gives the same bits.
struct Comparison {
    std::uint64_t content_hash;    // of the current frame
    std::uint64_t difference_sum;  // of |current - previous|
    std::uint64_t difference_max;
    std::uint64_t above_limit;  // pixels that differ by more than the limit
    std::uint64_t texture;      // differences between neighbours in a row of the current frame, each at most the limit
};

// Both frames of one size, kind and mask; their exposed is not looked at.
Comparison compare_frames(const StoredFrame& previous, const StoredFrame& current, std::uint16_t limit);

// The same pixels under the mask? Stops at the first few thousand pixels that are not. Preconditions as above.
bool same_pixels(const StoredFrame& previous, const StoredFrame& current);

}  // namespace cathrt
