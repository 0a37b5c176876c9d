// Kernels of every kind of synchronisation, without a fault: what the emulator must run and accept.
#include "gpu.cuh"

// Adds `count` values: shuffles within a warp, shared memory between warps, one atomic a block.
extern "C" __global__ void __launch_bounds__(128)
    block_sum_kernel(const unsigned int* __restrict__ values, int count, unsigned int* __restrict__ sum) {
    __shared__ unsigned int sums[4];
    const int at = blockIdx.x * blockDim.x + threadIdx.x;
    unsigned int value = 0;
    if (CU_BOUND(at < count)) value = values[at];
    for (int step = 16; step > 0; step /= 2) value += __shfl_down_sync(0xFFFFFFFFu, value, step);
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = value;
    __syncthreads();
    if (threadIdx.x == 0) atomicAdd(sum, sums[0] + sums[1] + sums[2] + sums[3]);
}

// Copies a picture whose rows are `pitch` bytes apart.
extern "C" __global__ void __launch_bounds__(64)
    copy_2d_kernel(const unsigned short* __restrict__ from, long long pitch, int width, int height,
                   unsigned short* __restrict__ to) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (!CU_BOUND(x < width) || !CU_BOUND(y < height)) return;
    const auto* row = reinterpret_cast<const unsigned short*>(reinterpret_cast<const char*>(from) + y * pitch);
    to[y * width + x] = row[x];
}

// Turns each block's values round, in dynamic shared memory.
extern "C" __global__ void reverse_kernel(float* values) {
    CU_DYN_SHARED(float, kept);
    kept[threadIdx.x] = values[blockIdx.x * blockDim.x + threadIdx.x];
    __syncthreads();
    values[blockIdx.x * blockDim.x + threadIdx.x] = kept[blockDim.x - 1 - threadIdx.x];
}
