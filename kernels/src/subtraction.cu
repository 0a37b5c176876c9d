// Mask subtraction on the GPU; meaning: subtraction.hpp, truth: reference/subtraction.py.
// A thread subtracts four rows of one column, so that a mask row serves the two frame rows beside it. One column,
// because the shift leaves no mask row aligned: neighbouring threads on neighbouring pixels read it whole from the
// cache, where four pixels a thread would read every line four times. The mask frames, unshifted, are added four pixels
// at a time.
#include "gpu.cuh"

namespace {

constexpr int kBlockWidth = 32;
constexpr int kBlockHeight = 8;
constexpr int kBlockThreads = kBlockWidth * kBlockHeight;
constexpr int kPixelsPerThread = 4;

template <typename Stored>
struct FourPixels;
template <>
struct FourPixels<unsigned char> {
    using Type = uchar4;
};
template <>
struct FourPixels<unsigned short> {
    using Type = ushort4;
};

template <typename Stored>
__device__ __forceinline__ const Stored* stored_row(const Stored* pixels, long long pitch, int y) {
    return reinterpret_cast<const Stored*>(reinterpret_cast<const char*>(pixels) + y * pitch);
}

// A stored value in the space that is subtracted in.
__device__ __forceinline__ float attenuation(unsigned int stored, int linear) {
    const auto value = static_cast<float>(stored);
    return linear ? logf(value + 1.0f) : value;
}

template <typename Stored>
__device__ __forceinline__ void add(const Stored* pixels, long long pitch, float* mask_sum, int rows, int columns,
                                    unsigned int stored_mask, int linear) {
    const int x = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * kPixelsPerThread;
    const int y = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
    if (!CU_BOUND(y < rows)) return;
    const Stored* from = stored_row(pixels, pitch, y) + x;
    float* to = mask_sum + static_cast<long long>(y) * columns + x;
    using Four = typename FourPixels<Stored>::Type;
    const unsigned long long steps =
        reinterpret_cast<unsigned long long>(pixels) | static_cast<unsigned long long>(pitch);
    if (columns % kPixelsPerThread == 0 && steps % sizeof(Four) == 0) {
        if (!CU_BOUND(x < columns)) return;
        const Four stored = *reinterpret_cast<const Four*>(from);
        float4 sum = *reinterpret_cast<const float4*>(to);
        sum.x += attenuation(stored.x & stored_mask, linear);
        sum.y += attenuation(stored.y & stored_mask, linear);
        sum.z += attenuation(stored.z & stored_mask, linear);
        sum.w += attenuation(stored.w & stored_mask, linear);
        *reinterpret_cast<float4*>(to) = sum;
        return;
    }
    for (int i = 0; i < kPixelsPerThread; ++i) {
        if (!CU_BOUND(x + i < columns)) continue;
        to[i] += attenuation(from[i] & stored_mask, linear);
    }
}

template <typename Stored>
__device__ __forceinline__ void subtract(const Stored* pixels, long long pitch, const float* mask_sum,
                                         unsigned short* out, long long out_pitch, int rows, int columns,
                                         unsigned int stored_mask, int linear, int row_first, float row_weight,
                                         float row_next_weight, int column_first, float column_weight,
                                         float column_next_weight, float gain, float offset, float top) {
    const int x = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    const int y = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y) * kPixelsPerThread;
    if (!CU_BOUND(x < columns)) return;
    // Beyond an edge the row or column at the edge goes on.
    const int column = min(max(x + column_first, 0), columns - 1);
    const int next_column = min(max(x + column_first + 1, 0), columns - 1);
    float blended[kPixelsPerThread + 1];
    for (int i = 0; i <= kPixelsPerThread; ++i) {
        const int row = min(max(y + i + row_first, 0), rows - 1);
        const float* mask_row = mask_sum + static_cast<long long>(row) * columns;
        blended[i] = column_weight * mask_row[column] + column_next_weight * mask_row[next_column];
    }
    for (int i = 0; i < kPixelsPerThread; ++i) {
        if (!CU_BOUND(y + i < rows)) return;
        const float shifted = row_weight * blended[i] + row_next_weight * blended[i + 1];
        const float live = attenuation(stored_row(pixels, pitch, y + i)[x] & stored_mask, linear);
        const float value = fminf(fmaxf(gain * (live - shifted) + offset, 0.0f), top);
        unsigned short* to = reinterpret_cast<unsigned short*>(reinterpret_cast<char*>(out) + (y + i) * out_pitch);
        to[x] = static_cast<unsigned short>(static_cast<unsigned int>(value + 0.5f));
    }
}

}  // namespace

// mask_sum: (rows, columns), aligned to 16 bytes; linear: 0 or 1.
extern "C" __global__ void __launch_bounds__(kBlockThreads)
    add_mask_frame_u8_kernel(const unsigned char* __restrict__ pixels, long long pitch, float* __restrict__ mask_sum,
                             int rows, int columns, unsigned int stored_mask, int linear) {
    add(pixels, pitch, mask_sum, rows, columns, stored_mask, linear);
}

extern "C" __global__ void __launch_bounds__(kBlockThreads)
    add_mask_frame_u16_kernel(const unsigned short* __restrict__ pixels, long long pitch, float* __restrict__ mask_sum,
                              int rows, int columns, unsigned int stored_mask, int linear) {
    add(pixels, pitch, mask_sum, rows, columns, stored_mask, linear);
}

// The mask at pixel (y, x) lies between rows y + row_first and the next, and between columns x + column_first and the
// next, with these weights; those of the rows also divide the sum by the number of mask frames.
extern "C" __global__ void __launch_bounds__(kBlockThreads)
    subtract_u8_kernel(const unsigned char* __restrict__ pixels, long long pitch, const float* __restrict__ mask_sum,
                       unsigned short* __restrict__ out, long long out_pitch, int rows, int columns,
                       unsigned int stored_mask, int linear, int row_first, float row_weight, float row_next_weight,
                       int column_first, float column_weight, float column_next_weight, float gain, float offset,
                       float top) {
    subtract(pixels, pitch, mask_sum, out, out_pitch, rows, columns, stored_mask, linear, row_first, row_weight,
             row_next_weight, column_first, column_weight, column_next_weight, gain, offset, top);
}

extern "C" __global__ void __launch_bounds__(kBlockThreads)
    subtract_u16_kernel(const unsigned short* __restrict__ pixels, long long pitch, const float* __restrict__ mask_sum,
                        unsigned short* __restrict__ out, long long out_pitch, int rows, int columns,
                        unsigned int stored_mask, int linear, int row_first, float row_weight, float row_next_weight,
                        int column_first, float column_weight, float column_next_weight, float gain, float offset,
                        float top) {
    subtract(pixels, pitch, mask_sum, out, out_pitch, rows, columns, stored_mask, linear, row_first, row_weight,
             row_next_weight, column_first, column_weight, column_next_weight, gain, offset, top);
}
