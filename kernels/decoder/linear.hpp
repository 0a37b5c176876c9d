// A linear layer whose weights are stored in 4 or 8 bits, in groups along its input that share a scale.
//
// Variants: AMX (many rows), AVX-512 VNNI (one row), and plain C++ (both, on every CPU). The first two round
// activations to 8 bits, row by row and block by block; the plain one computes in float. docs/decoder.md has their
// times.
#pragma once

#include <cstddef>
#include <cstdint>

#include "threads.hpp"

namespace cathrt::decoder {

constexpr int kPanel = 16;  // outputs that are stored together
constexpr int kQuad = 4;    // inputs of one output that lie side by side

enum class Variant { plain, vnni, amx };  // each has what those before it have
Variant widest_variant();

// Stored weights, in memory that the caller keeps.
//
// weights: panel by panel; in a panel, for every 4 inputs, the 4 values of each of its 16 outputs in turn. 8 bits:
// signed bytes. 4 bits: of each 8 inputs, a byte has the value of one of the first four in its low half and that of one
// of the last four in its high half, both plus 8. scales: panel by panel, group by group, 16 IEEE half floats.
struct StoredLinear {
    const std::uint8_t* weights;
    const std::uint16_t* scales;
    int outputs;  // a multiple of 16
    int inputs;   // a multiple of group
    int group;    // a multiple of 8
    int bits;     // 4 or 8

    int groups() const { return inputs / group; }
    std::size_t panel_bytes() const {
        return static_cast<std::size_t>(inputs) * kPanel * static_cast<std::size_t>(bits) / 8;
    }
};

// results (rows, outputs) = activations (rows, inputs) x weights^T, all row by row.
void apply(const StoredLinear& layer, const float* activations, int rows, float* results, Threads& threads,
           Variant variant);

}  // namespace cathrt::decoder
