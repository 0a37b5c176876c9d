// One scan of a JPEG stream, for jpeg.cpp: what it codes, and whether it codes all of it.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "completeness.hpp"
#include "jpeg_bits.hpp"

namespace cathrt::sources {

enum class Process { sequential, progressive, lossless };

// One component of the frame. A unit is a block of 8x8 coefficients, or a sample where the process is lossless.
struct Component {
    unsigned id = 0;
    std::size_t across = 1, down = 1;     // sampling factors: units of it in an MCU
    std::size_t columns = 0, rows = 0;    // units that a scan of it alone has
    std::size_t stride = 0;               // units in a row of MCUs
    std::array<int, 64> precision{};      // of each coefficient: the lowest bit that was coded, -1 for none
    std::vector<std::uint64_t> non_zero;  // progressive: of each unit, which coefficients are not zero so far
};

struct Scan {
    Process process;
    std::vector<Component*> components;
    std::vector<const HuffmanTable*> dc, ac;  // of each component
    unsigned first, last;                     // coefficients
    unsigned high, low;                       // successive approximation: bit before, bit now
    std::size_t mcu_columns, mcu_rows;
    std::size_t restart_interval;  // MCUs; 0 for none
};

// Walks over the coded data at `position`; returns the position of the marker that follows. Raises NotWhole.
std::size_t walk_scan(const Scan& scan, Bytes stream, std::size_t position);

}  // namespace cathrt::sources
