// The repeat test of two frames: content hash and exact differences, in one pass. Truth: reference/repeats.py.
// A warp a row, eight pixels a lane at a time. All sums are of integers, so the order in which warps and blocks finish
// changes nothing. Host side: kernels/cuda/repeats.py. Not for the decision, which the host makes of five numbers.
#include "gpu.cuh"

namespace {

constexpr int kWarps = 8;   // rows a block
constexpr int kPixels = 8;  // a lane takes at a time: two words of the hash, one vector load of 16 (or 8) bytes
constexpr unsigned int kAllLanes = 0xFFFFFFFFU;

constexpr unsigned long long kGolden = 0x9E3779B97F4A7C15ULL;
constexpr unsigned long long kRoot3 = 0xBB67AE8584CAA73BULL;
constexpr unsigned long long kRoot7 = 0xA54FF53A5F1D36F1ULL;

__device__ __forceinline__ unsigned long long mix(unsigned long long word) {
    word = (word ^ (word >> 32)) * kRoot3;
    word = (word ^ (word >> 29)) * kRoot7;
    return word ^ (word >> 32);
}

__device__ __forceinline__ unsigned int distance(unsigned int a, unsigned int b) { return a > b ? a - b : b - a; }

__device__ __forceinline__ bool aligned(const void* row, int bytes) {
    return reinterpret_cast<unsigned long long>(row) % static_cast<unsigned int>(bytes) == 0;
}

__device__ __forceinline__ void load_vector(const unsigned short* stored, unsigned int* values) {
    const uint4 word = __ldg(reinterpret_cast<const uint4*>(stored));
    const unsigned int pairs[4] = {word.x, word.y, word.z, word.w};
    for (int i = 0; i < 4; ++i) {
        values[2 * i] = pairs[i] & 0xFFFFU;
        values[2 * i + 1] = pairs[i] >> 16;
    }
}

__device__ __forceinline__ void load_vector(const unsigned char* stored, unsigned int* values) {
    const uint2 word = __ldg(reinterpret_cast<const uint2*>(stored));
    for (int i = 0; i < 4; ++i) {
        values[i] = word.x >> (8 * i) & 0xFFU;
        values[4 + i] = word.y >> (8 * i) & 0xFFU;
    }
}

// Eight masked values from column x on, zeros beyond the row's end.
template <typename Stored>
__device__ __forceinline__ void load(const Stored* row, int x, int columns, bool vectors, unsigned int mask,
                                     unsigned int* values) {
    if (vectors && CU_BOUND(x + kPixels <= columns)) {
        load_vector(row + x, values);
    } else {
        for (int i = 0; i < kPixels; ++i) values[i] = CU_BOUND(x + i < columns) ? __ldg(row + x + i) : 0U;
    }
    for (int i = 0; i < kPixels; ++i) values[i] &= mask;
}

__device__ __forceinline__ unsigned long long word_of(const unsigned int* values) {
    const unsigned int low = values[0] | values[1] << 16;
    const unsigned int high = values[2] | values[3] << 16;
    return static_cast<unsigned long long>(high) << 32 | low;
}

struct Sums {
    unsigned long long hash;
    unsigned int difference;  // of one row: at most 65535 * 65535, which fits
    unsigned int max;
    unsigned int above;
    unsigned int texture;
};

template <typename Stored>
__device__ __forceinline__ void add_row(const Stored* previous, const Stored* current, int y, int columns,
                                        unsigned int mask, unsigned int limit, Sums& sums) {
    const bool vectors = aligned(previous, kPixels * sizeof(Stored)) && aligned(current, kPixels * sizeof(Stored));
    const int words = (columns + 3) / 4;
    for (int x = static_cast<int>(threadIdx.x) * kPixels; x < columns; x += 32 * kPixels) {
        unsigned int before[kPixels], now[kPixels];
        load(previous, x, columns, vectors, mask, before);
        load(current, x, columns, vectors, mask, now);
        const unsigned int next = CU_BOUND(x + kPixels < columns) ? __ldg(current + x + kPixels) & mask : 0U;

        const unsigned long long position = static_cast<unsigned long long>(y) * words + x / 4 + 1;
        sums.hash += mix(word_of(now) + position * kGolden);
        if (x + 4 < columns) sums.hash += mix(word_of(now + 4) + (position + 1) * kGolden);
        for (int i = 0; i < kPixels; ++i) {
            const unsigned int apart = distance(before[i], now[i]);
            sums.difference += apart;
            sums.max = max(sums.max, apart);
            sums.above += apart > limit ? 1U : 0U;
            const unsigned int neighbour = i + 1 < kPixels ? now[i + 1 < kPixels ? i + 1 : i] : next;
            if (x + i + 1 < columns) sums.texture += min(distance(now[i], neighbour), limit);
        }
    }
}

// Every lane comes; lane 0 leaves with the warp's sums.
__device__ __forceinline__ void reduce_warp(Sums& sums) {
    for (int step = 16; step > 0; step /= 2) {
        sums.hash += __shfl_down_sync(kAllLanes, sums.hash, step);
        sums.difference += __shfl_down_sync(kAllLanes, sums.difference, step);
        sums.max = max(sums.max, __shfl_down_sync(kAllLanes, sums.max, step));
        sums.above += __shfl_down_sync(kAllLanes, sums.above, step);
        sums.texture += __shfl_down_sync(kAllLanes, sums.texture, step);
    }
}

// result: content hash, sum and maximum of differences, pixels above the limit, texture; zero beforehand.
template <typename Stored>
__device__ __forceinline__ void compare_frames(const void* previous, long long previous_pitch, const void* current,
                                               long long current_pitch, int rows, int columns, unsigned int mask,
                                               unsigned int limit, unsigned long long* result) {
    __shared__ unsigned long long of_warps[kWarps][5];
    const int y = static_cast<int>(blockIdx.x * kWarps + threadIdx.y);
    Sums sums = {0, 0, 0, 0, 0};
    if (CU_BOUND(y < rows)) {
        const auto* before = static_cast<const unsigned char*>(previous) + y * previous_pitch;
        const auto* now = static_cast<const unsigned char*>(current) + y * current_pitch;
        add_row(reinterpret_cast<const Stored*>(before), reinterpret_cast<const Stored*>(now), y, columns, mask, limit,
                sums);
    }
    reduce_warp(sums);
    if (threadIdx.x == 0) {
        unsigned long long* row = of_warps[threadIdx.y];
        row[0] = sums.hash;
        row[1] = sums.difference;
        row[2] = sums.max;
        row[3] = sums.above;
        row[4] = sums.texture;
    }
    __syncthreads();
    // One atomic a block and number: thread i of the first warp adds up number i.
    const int number = static_cast<int>(threadIdx.x);
    if (threadIdx.y == 0 && CU_BOUND(number < 5)) {
        unsigned long long total = 0;
        for (int warp = 0; warp < kWarps; ++warp) {
            const unsigned long long part = of_warps[warp][number];
            total = number == 2 ? max(total, part) : total + part;
        }
        if (number == 0 && blockIdx.x == 0)
            total += mix(static_cast<unsigned long long>(rows) << 32 | static_cast<unsigned int>(columns));
        if (number == 2)
            atomicMax(result + 2, total);
        else
            atomicAdd(result + number, total);
    }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(32 * kWarps)
    compare_frames_u8_kernel(const void* __restrict__ previous, long long previous_pitch,
                             const void* __restrict__ current, long long current_pitch, int rows, int columns,
                             unsigned int mask, unsigned int limit, unsigned long long* __restrict__ result) {
    compare_frames<unsigned char>(previous, previous_pitch, current, current_pitch, rows, columns, mask, limit, result);
}

extern "C" __global__ void __launch_bounds__(32 * kWarps)
    compare_frames_u16_kernel(const void* __restrict__ previous, long long previous_pitch,
                              const void* __restrict__ current, long long current_pitch, int rows, int columns,
                              unsigned int mask, unsigned int limit, unsigned long long* __restrict__ result) {
    compare_frames<unsigned short>(previous, previous_pitch, current, current_pitch, rows, columns, mask, limit,
                                   result);
}
