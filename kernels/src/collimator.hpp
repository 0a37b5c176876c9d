// Sums of each row and each column of a frame in one pass, from which the collimator's edges are found. Truth, and the
// finding itself: reference/collimator.py.
#pragma once

#include <cstdint>

#include "stored.hpp"

namespace cathrt {

// row_sums: (rows,), column_sums: (columns,). Sides are at most 65535, so that no sum overflows.
void profile_sums(const StoredFrame& frame, std::uint32_t* row_sums, std::uint32_t* column_sums);

}  // namespace cathrt
