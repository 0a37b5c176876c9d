// One fault a kernel: what the emulator, AddressSanitizer or ThreadSanitizer must find.
#include "gpu.cuh"

// A template, whose shared memory the compiler places elsewhere.
template <class T>
__device__ __forceinline__ void reverse(T* values) {
    __shared__ T kept[64];
    kept[threadIdx.x] = values[threadIdx.x];
    values[threadIdx.x] = kept[63 - threadIdx.x];
}

extern "C" __global__ void missing_barrier_kernel(unsigned int* values) { reverse(values); }

extern "C" __global__ void divergent_barrier_kernel(unsigned int* values) {
    if (threadIdx.x < 16) __syncthreads();
    values[threadIdx.x] = 1;
    __syncthreads();
}

extern "C" __global__ void barrier_beside_warp_kernel(unsigned int* values) {
    if (threadIdx.x < 16) {
        __syncthreads();
    } else {
        values[threadIdx.x] = __ballot_sync(0xFFFFFFFFu, 1);
    }
}

extern "C" __global__ void outside_global_kernel(unsigned char* values, int count) {
    if (threadIdx.x <= count) values[threadIdx.x] = 1;
}

extern "C" __global__ void outside_shared_kernel(unsigned int* values) {
    __shared__ unsigned int kept[32];
    kept[threadIdx.x + 1] = threadIdx.x;
    __syncthreads();
    values[threadIdx.x] = kept[threadIdx.x];
}

extern "C" __global__ void outside_shared_pointer_kernel(unsigned int* values) {
    __shared__ unsigned int kept[32], other[40];
    unsigned int* either = values[0] == 0 ? kept : other;
    either[threadIdx.x + 1] = threadIdx.x;
    __syncthreads();
    values[threadIdx.x] = either[threadIdx.x];
}

extern "C" __global__ void outside_dynamic_kernel(unsigned int* values) {
    CU_DYN_SHARED(unsigned int, kept);
    kept[threadIdx.x] = threadIdx.x;
    __syncthreads();
    values[threadIdx.x] = kept[threadIdx.x];
}

extern "C" __global__ void misaligned_kernel(const unsigned int* values, unsigned int* sum) {
    const uint4 four = *reinterpret_cast<const uint4*>(values + 1);
    *sum = four.x + four.y + four.z + four.w;
}

extern "C" __global__ void race_between_blocks_kernel(unsigned int* sum) {
    if (threadIdx.x == 0) *sum += blockIdx.x;
}

extern "C" __global__ void race_between_threads_kernel(unsigned int* last) { *last = threadIdx.x; }

extern "C" __global__ void missing_fence_kernel(unsigned int* parts, unsigned int* arrived, unsigned int* sum) {
    parts[blockIdx.x] = 1;
    if (atomicAdd(arrived, 1u) != gridDim.x - 1) return;
    unsigned int total = 0;
    for (unsigned int part = 0; part < gridDim.x; ++part) total += parts[part];
    *sum = total;
}

extern "C" __global__ void foreign_mask_kernel(unsigned int* values) {
    values[threadIdx.x] = __shfl_sync(0xF0u, threadIdx.x, 4);
}

extern "C" __global__ void gone_lane_kernel(unsigned int* values) {
    if (threadIdx.x >= 8) return;
    values[threadIdx.x] = __shfl_sync(0xFFFFFFFFu, threadIdx.x, 20);
}

extern "C" __global__ void different_masks_kernel(unsigned int* values) {
    values[threadIdx.x] = threadIdx.x < 8 ? __ballot_sync(0xFFFFu, 1) : __ballot_sync(0xFFFEu, 1);
}

extern "C" __global__ void different_operations_kernel(unsigned int* values) {
    values[threadIdx.x] = threadIdx.x < 8 ? __ballot_sync(0xFFFFFFFFu, 1) : __shfl_sync(0xFFFFFFFFu, threadIdx.x, 0);
}

// Leaves the order in which its threads began: no fault, but what seeds change.
extern "C" __global__ void order_kernel(unsigned int* taken, unsigned int* order) {
    order[threadIdx.x] = atomicAdd(taken, 1u);
}
