// What is done to whole frames: organs shifted, iodine, noise, blur. The same inputs give the same bytes on every IEEE
// machine: no library function but sqrt, no contraction, no sum whose order depends on the instruction set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace cathrt::phantom {

// Two layers of (rows + 2 margin, columns + 2 margin) and how much of the second is seen.
struct Blend {
    const float* first;
    const float* second;
    float share;
};

struct Shift {
    double rows;     // content moves down
    double columns;  // content moves right
};

// out += the blend without its margins, shifted (bilinear). Shifts beyond the margin stop there.
void shift_layers(const Blend& layers, std::int32_t margin, Shift shift, std::int32_t rows, std::int32_t columns,
                  float* out);

// SD of a pixel's noise: sqrt(signal * per_photon + electronic_square) * share.
struct Noise {
    float per_photon;
    float electronic_square;
    float share;
    std::uint64_t seed;
};

void add_noise(std::span<float> signal, const Noise& noise);

// One energy bin of the beam.
struct Bin {
    float per_mm;
    float share;
};

// primary *= sum over the bins of share * exp(-per_mm * path), where path is above 1e-3 mm.
void transmit(std::span<float> primary, const float* path_mm, std::span<const Bin> bins);

// How much each block of block x block pixels gives to each row and column of the low-pass of an image.
struct Spread {
    const float* row;     // (rows, ceil(rows / block))
    const float* column;  // (ceil(columns / block), columns)
    std::int32_t block;
};

// out = row spread * means of the image's blocks * column spread; blocks that stick out repeat the image's edge.
void low_pass(const float* image, std::int32_t rows, std::int32_t columns, const Spread& spread, float* out);

// out = image blurred along columns, then rows, by (neighbour, 1 - 2 neighbour, neighbour) at `reach` pixels apart; the
// edges repeat. out and image must not overlap.
void separable_blur3(const float* image, std::int32_t rows, std::int32_t columns, float neighbour, std::int32_t reach,
                     float* out);

}  // namespace cathrt::phantom
