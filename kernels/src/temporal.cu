// Motion-adaptive recursive temporal filter on the GPU; meaning: temporal.hpp, truth: reference/temporal.py.
// A block filters a tile of 128 x 8 pixels, four pixels of a row a thread. The differences of the tile and of the
// pixels around it meet in shared memory; frame, state and output each cross the memory bus once. The state is read
// from one buffer and written to another: in one, a block would find its neighbours' pixels already updated.
#include "gpu.cuh"

namespace {

constexpr int kTileHeight = 8;
constexpr int kPerThread = 4;
constexpr int kTileWidth = 32 * kPerThread;
constexpr int kBlockThreads = 32 * kTileHeight;
// A row of the tile starts at a multiple of 16 bytes, after a column from the tile on its left.
constexpr int kMargin = 4;
constexpr int kTilePitch = kMargin + kTileWidth + 4;
constexpr unsigned int kWholeWarp = 0xffffffffU;

template <typename Stored>
struct Four;
template <>
struct Four<unsigned char> {
    using Pixels = uchar4;
};
template <>
struct Four<unsigned short> {
    using Pixels = ushort4;
};

// Frame and state as one block sees them. vectors: rows may be read four pixels at a time.
template <typename Stored>
struct View {
    const Stored* pixels;
    long long pitch;
    const float* state;
    int rows;
    int columns;
    unsigned int mask;
    bool vectors;
};

template <typename Stored>
__device__ __forceinline__ const Stored* row_of(const Stored* pixels, long long pitch, int y) {
    return reinterpret_cast<const Stored*>(reinterpret_cast<const char*>(pixels) + y * pitch);
}

// Stored values and differences to the state of four pixels; 0 beyond the frame.
template <typename Stored>
__device__ __forceinline__ void load_four(const View<Stored>& view, int y, int x, float* values, float* differences) {
    for (int i = 0; i < kPerThread; ++i) values[i] = differences[i] = 0.0f;
    if (!CU_BOUND(y >= 0 && y < view.rows)) return;
    const Stored* pixels = row_of(view.pixels, view.pitch, y) + x;
    const float* state = view.state + static_cast<long long>(y) * view.columns + x;
    if (view.vectors) {
        if (!CU_BOUND(x < view.columns)) return;
        const auto four = *reinterpret_cast<const typename Four<Stored>::Pixels*>(pixels);
        const float4 before = *reinterpret_cast<const float4*>(state);
        values[0] = static_cast<float>(four.x & view.mask), differences[0] = values[0] - before.x;
        values[1] = static_cast<float>(four.y & view.mask), differences[1] = values[1] - before.y;
        values[2] = static_cast<float>(four.z & view.mask), differences[2] = values[2] - before.z;
        values[3] = static_cast<float>(four.w & view.mask), differences[3] = values[3] - before.w;
        return;
    }
    for (int i = 0; i < kPerThread; ++i) {
        if (!CU_BOUND(x + i < view.columns)) continue;
        values[i] = static_cast<float>(pixels[i] & view.mask);
        differences[i] = values[i] - state[i];
    }
}

// The difference of one pixel; 0 beyond the frame.
template <typename Stored>
__device__ __forceinline__ float difference_at(const View<Stored>& view, int y, int x) {
    if (!CU_BOUND(y >= 0 && y < view.rows && x >= 0 && x < view.columns)) return 0.0f;
    const auto value = static_cast<float>(row_of(view.pixels, view.pitch, y)[x] & view.mask);
    return value - view.state[static_cast<long long>(y) * view.columns + x];
}

// One row of the tile and a column on each side of it into shared memory, by one warp.
template <typename Stored>
__device__ __forceinline__ void load_row(const View<Stored>& view, int y, int x, float* tile_row, float* values) {
    const int lane = static_cast<int>(threadIdx.x);
    float differences[kPerThread];
    load_four(view, y, x, values, differences);
    *reinterpret_cast<float4*>(tile_row + kMargin + lane * kPerThread) =
        make_float4(differences[0], differences[1], differences[2], differences[3]);
    if (lane == 0) tile_row[kMargin - 1] = difference_at(view, y, x - 1);
    if (lane == 31) tile_row[kMargin + kTileWidth] = difference_at(view, y, x + kPerThread);
}

template <typename Stored>
__device__ __forceinline__ void filter(const View<Stored>& view, float (*tile)[kTilePitch], float* next_state,
                                       Stored* out, long long out_pitch, float noise_offset, float noise_gain,
                                       float still, float threshold, float slope, float ghosting_limit) {
    const int lane = static_cast<int>(threadIdx.x), line = static_cast<int>(threadIdx.y);
    const int first_y = static_cast<int>(blockIdx.y) * kTileHeight, y = first_y + line;
    const int x = static_cast<int>(blockIdx.x) * kTileWidth + lane * kPerThread;

    float values[kPerThread], unused[kPerThread];
    load_row(view, y, x, tile[line + 1], values);
    if (line == 0) load_row(view, first_y - 1, x, tile[0], unused);
    if (line == 1) load_row(view, first_y + kTileHeight, x, tile[kTileHeight + 1], unused);
    __syncthreads();

    const float *above = tile[line] + kMargin, *here = tile[line + 1] + kMargin, *below = tile[line + 2] + kMargin;
    // sums[i + 1]: the differences in the column of pixel i, over three rows.
    float sums[kPerThread + 2];
    for (int i = 0; i < kPerThread; ++i) {
        const int column = lane * kPerThread + i;
        sums[i + 1] = above[column] + here[column] + below[column];
    }
    sums[0] = __shfl_up_sync(kWholeWarp, sums[kPerThread], 1);
    sums[kPerThread + 1] = __shfl_down_sync(kWholeWarp, sums[1], 1);
    if (lane == 0) sums[0] = above[-1] + here[-1] + below[-1];
    if (lane == 31) sums[kPerThread + 1] = above[kTileWidth] + here[kTileWidth] + below[kTileWidth];

    const int rows_inside = 3 - (y == 0) - (y == view.rows - 1);
    float states[kPerThread];
    unsigned int rounded[kPerThread];
    for (int i = 0; i < kPerThread; ++i) {
        const int columns_inside = 3 - (x + i == 0) - (x + i == view.columns - 1);
        const float mean = (sums[i] + sums[i + 1] + sums[i + 2]) / static_cast<float>(rows_inside * columns_inside);
        const float sigma = sqrtf(noise_offset + noise_gain * values[i]);
        const float excess = fmaxf(fabsf(mean) / sigma - threshold, 0.0f);
        const float gain = fminf(still + slope * excess, 1.0f);
        // What the state keeps of its distance, see temporal.cpp.
        const float reach = ghosting_limit * sigma;
        const float rest = fminf(fmaxf((1.0f - gain) * here[lane * kPerThread + i], -reach), reach);
        states[i] = values[i] - rest;
        rounded[i] = static_cast<unsigned int>(states[i] + 0.5f);
    }

    if (!CU_BOUND(y < view.rows)) return;
    float* state_to = next_state + static_cast<long long>(y) * view.columns + x;
    Stored* out_to = reinterpret_cast<Stored*>(reinterpret_cast<char*>(out) + y * out_pitch) + x;
    if (view.vectors) {
        if (!CU_BOUND(x < view.columns)) return;
        *reinterpret_cast<float4*>(state_to) = make_float4(states[0], states[1], states[2], states[3]);
        typename Four<Stored>::Pixels four;
        four.x = static_cast<Stored>(rounded[0]), four.y = static_cast<Stored>(rounded[1]);
        four.z = static_cast<Stored>(rounded[2]), four.w = static_cast<Stored>(rounded[3]);
        *reinterpret_cast<typename Four<Stored>::Pixels*>(out_to) = four;
        return;
    }
    for (int i = 0; i < kPerThread; ++i) {
        if (!CU_BOUND(x + i < view.columns)) continue;
        state_to[i] = states[i];
        out_to[i] = static_cast<Stored>(rounded[i]);
    }
}

// state and next_state: (rows, columns), aligned to 16 bytes.
template <typename Stored>
__device__ __forceinline__ View<Stored> view_of(const Stored* pixels, long long pitch, const float* state,
                                                const Stored* out, long long out_pitch, int rows, int columns,
                                                unsigned int mask) {
    const unsigned long long steps = reinterpret_cast<unsigned long long>(pixels) |
                                     reinterpret_cast<unsigned long long>(out) |
                                     static_cast<unsigned long long>(pitch | out_pitch);
    const bool vectors = columns % kPerThread == 0 && steps % sizeof(typename Four<Stored>::Pixels) == 0;
    return {pixels, pitch, state, rows, columns, mask, vectors};
}

}  // namespace

extern "C" __global__ void __launch_bounds__(kBlockThreads)
    temporal_u8_kernel(const unsigned char* __restrict__ pixels, long long pitch, const float* __restrict__ state,
                       float* __restrict__ next_state, unsigned char* __restrict__ out, long long out_pitch, int rows,
                       int columns, unsigned int mask, float noise_offset, float noise_gain, float still,
                       float threshold, float slope, float ghosting_limit) {
    __shared__ __align__(16) float tile[kTileHeight + 2][kTilePitch];
    filter(view_of(pixels, pitch, state, out, out_pitch, rows, columns, mask), tile, next_state, out, out_pitch,
           noise_offset, noise_gain, still, threshold, slope, ghosting_limit);
}

extern "C" __global__ void __launch_bounds__(kBlockThreads)
    temporal_u16_kernel(const unsigned short* __restrict__ pixels, long long pitch, const float* __restrict__ state,
                        float* __restrict__ next_state, unsigned short* __restrict__ out, long long out_pitch, int rows,
                        int columns, unsigned int mask, float noise_offset, float noise_gain, float still,
                        float threshold, float slope, float ghosting_limit) {
    __shared__ __align__(16) float tile[kTileHeight + 2][kTilePitch];
    filter(view_of(pixels, pitch, state, out, out_pitch, rows, columns, mask), tile, next_state, out, out_pitch,
           noise_offset, noise_gain, still, threshold, slope, ghosting_limit);
}
