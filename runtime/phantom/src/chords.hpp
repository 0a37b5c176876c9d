// Chords of rays through tubes, painted link by link into an image. What a tube and its links are: tubes.py.
// The same inputs give the same bytes on every IEEE machine: no library function but sqrt, no contraction.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cathrt::phantom {

// Row after row of float, without gaps.
struct Image {
    float* pixels;
    std::int32_t rows;
    std::int32_t columns;
};

// The points of many tubes laid end to end, and what is known at each. Finite; magnitudes of at most 1e6 or so.
struct Tubes {
    std::size_t count;
    const double* patient_mm;     // (count, 3)
    const double* seen;           // (count, 3): column, row, pixels per mm
    const double* radius_mm;      // (count,), at least 0
    const double* weight;         // (count,) or null for 1 everywhere
    const double* blur_variance;  // (count,) pixel², at least 0
    const bool* joined;           // (count - 1,)
};

// Adds the chord length, mm, of each pixel's ray through the tubes.
void add_chords(const Image& image, const Tubes& tubes);

}  // namespace cathrt::phantom
