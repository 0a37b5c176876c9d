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

// Counts values by their lowest four bits: atomics on shared memory, a barrier either side.
extern "C" __global__ void __launch_bounds__(64)
    count_kernel(const unsigned int* __restrict__ values, int count, unsigned int* __restrict__ counts) {
    __shared__ unsigned int local[16];
    if (threadIdx.x < 16) local[threadIdx.x] = 0;
    __syncthreads();
    for (int at = threadIdx.x; CU_BOUND(at < count); at += blockDim.x) atomicAdd(&local[values[at] & 15], 1u);
    __syncthreads();
    if (threadIdx.x < 16) counts[threadIdx.x] = local[threadIdx.x];
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

template <class T>
__device__ __forceinline__ void rotate(T* values) {
    __shared__ T kept[32];
    kept[threadIdx.x] = values[threadIdx.x];
    __syncwarp();
    values[threadIdx.x] = kept[(threadIdx.x + 1) % 32];
}

// Each block hands its values on by one lane, in shared memory of a template.
extern "C" __global__ void __launch_bounds__(32) rotate_kernel(unsigned int* values) {
    rotate(values + blockIdx.x * 32);
}

// The block that comes last adds what all blocks have written.
extern "C" __global__ void __launch_bounds__(1)
    last_block_kernel(unsigned int* parts, unsigned int* arrived, unsigned int* sum) {
    parts[blockIdx.x] = blockIdx.x + 1;
    __threadfence();
    if (atomicAdd(arrived, 1u) != gridDim.x - 1) return;
    __threadfence();
    unsigned int total = 0;
    for (unsigned int part = 0; part < gridDim.x; ++part) total += parts[part];
    *sum = total;
}

// What lane and block intrinsics give, one word each.
extern "C" __global__ void __launch_bounds__(40) votes_kernel(unsigned int* words) {
    const unsigned int lane = threadIdx.x % 32;
    const bool odd = threadIdx.x % 2 == 1;
    const int some = __syncthreads_or(threadIdx.x == 33);
    const int all = __syncthreads_and(threadIdx.x != 39);
    const int count = __syncthreads_count(odd);
    if (threadIdx.x >= 32) return;
    const unsigned int ballot = __ballot_sync(0xFFFFFFFFu, odd);
    const int any = __any_sync(0xFFFFFFFFu, lane == 7);
    const int none = __all_sync(0xFFFFFFFFu, odd);
    const unsigned int up = __shfl_up_sync(0xFFFFFFFFu, lane, 3);
    const unsigned int across = __shfl_xor_sync(0xFFFFFFFFu, lane, 1);
    const unsigned int segment = __shfl_sync(0xFFFFFFFFu, lane, 2, 8);
    if (lane != 13) return;
    const unsigned int found[] = {
        unsigned(some), unsigned(all), unsigned(count), ballot, unsigned(any), unsigned(none), up, across, segment};
    for (int at = 0; at < 9; ++at) words[at] = found[at];
}

// What arithmetic intrinsics give for one number.
extern "C" __global__ void __launch_bounds__(1) arithmetic_kernel(float value, int* words) {
    words[0] = __float2int_rn(value);
    words[1] = __float2int_rn(value * 1e10f);
    words[2] = cu_half_bits(value);
    words[3] = cu_half_bits(1e6f);
    words[4] = __popc(0xF0F0u) + 100 * __ffs(8) + 10000 * __clz(1);
    words[5] = int(__brev(1u) >> 31);
    words[6] = int(1000 * __saturatef(value)) + int(1000 * __saturatef(value / 10));
    words[7] = min(3, -4) + max(3u, 5u) + int(max(1.5f, 2.5f));
}

// Every atomic the kernels may use, by all threads at once; words start as {0, 1000, 0, 1000, 0xFFFFFFFF, 0, 0, 0}.
extern "C" __global__ void __launch_bounds__(40) atomics_kernel(unsigned int* words, float* total) {
    const unsigned int at = threadIdx.x;
    atomicAdd(&words[0], at);
    atomicSub(&words[1], 2u);
    atomicMax(&words[2], at);
    atomicMin(&words[3], at + 7);
    atomicAnd(&words[4], ~(1u << at % 20));
    atomicOr(&words[5], 1u << at % 20);
    atomicXor(&words[6], 1u << at % 20 | 1u << 31);
    atomicAdd(total, 0.5f);
    unsigned int seen = 0, expected;
    do {
        expected = seen;
        seen = atomicCAS(&words[7], expected, expected + 3);
    } while (seen != expected);
}
