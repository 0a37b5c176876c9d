// 16 floats that are computed together: one register of AVX-512, two of AVX2, four of NEON. The compiler does the rest.
#pragma once

#include <cstring>

#include "dispatch.hpp"

namespace cathrt::decoder {

constexpr int kLane = 16;
using Lane = float __attribute__((vector_size(kLane * sizeof(float))));

CATHRT_INLINE Lane load(const float* values) {
    Lane lane;
    std::memcpy(&lane, values, sizeof lane);
    return lane;
}

CATHRT_INLINE void store(const Lane& lane, float* values) { std::memcpy(values, &lane, sizeof lane); }

CATHRT_INLINE float sum_of(const Lane& lane) {
    float sum = 0.0f;
    for (int j = 0; j < kLane; ++j) sum += lane[j];
    return sum;
}

}  // namespace cathrt::decoder
