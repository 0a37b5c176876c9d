// The lanes of a warp and where they meet: shuffles, votes, __syncwarp. Not for: which thread runs next (block.cpp).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "block.hpp"

namespace cathrt::emulation {

inline constexpr unsigned warp_lanes = 32;

// Where the lanes of one mask meet, again and again: the next meeting cannot end before all have left this one.
struct Meeting {
    unsigned mask = 0;
    unsigned arrived = 0;
    unsigned present = 0;  // who was there when it last ended
    WarpOperation operation{};
    std::uint64_t arriving[warp_lanes];
    std::uint64_t given[warp_lanes];
};

class Warp {
  public:
    // All lanes of a new block; nobody has arrived anywhere.
    void begin(unsigned lanes);

    // Throws Error where CUDA forbids it: the lane's own mask, other lanes' masks, other lanes' operations.
    Meeting& arrive(unsigned lane, WarpOperation operation, unsigned mask, std::uint64_t given);

    void exit(unsigned lane) { live_ &= ~(1u << lane); }

    // Ends every meeting for which nobody is waited any more; returns the lanes that were there.
    unsigned end_complete_meetings();

  private:
    unsigned live_ = 0;
    std::vector<std::unique_ptr<Meeting>> meetings_;
};

}  // namespace cathrt::emulation
