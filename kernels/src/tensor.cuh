// What every kernel that makes a network's input does with one pixel: stored value to grey, and a value to the tensor's
// element. Not for: resizing, or where in the tensor an element lies.
#pragma once

#include "gpu.cuh"

namespace {

// As the host counts a tensor's elements (ELEMENTS in kernels/cuda/tables.py); what is neither of these is int8.
constexpr int kFloat32 = 0;
constexpr int kFloat16 = 1;

// grey = clamp((t - origin) * slope + intercept, 0, 1), t being the table's entry or, without one, the stored value.
struct Grey {
    const float* table;
    float origin;
    float slope;
    float intercept;
    unsigned int mask;

    __device__ __forceinline__ float operator()(unsigned int stored) const {
        const unsigned int value = stored & mask;
        const float t = table != nullptr ? __ldg(table + value) : static_cast<float>(value);
        return fminf(fmaxf((t - origin) * slope + intercept, 0.0F), 1.0F);
    }
};

__device__ __forceinline__ void write_element(void* out, long long index, int element, float value) {
    if (element == kFloat32)
        static_cast<float*>(out)[index] = value;
    else if (element == kFloat16)
        static_cast<unsigned short*>(out)[index] = cu_half_bits(value);
    else
        static_cast<signed char*>(out)[index] = static_cast<signed char>(fminf(fmaxf(rintf(value), -128.0F), 127.0F));
}

}  // namespace
