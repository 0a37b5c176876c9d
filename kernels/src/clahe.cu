// Contrast-limited adaptive histogram equalisation in two launches: a table for each tile, then each pixel from the
// tables of the four tiles around it. Truth: reference/clahe.py; launch shapes: cuda/clahe.py.
#include "gpu.cuh"

namespace {

const int kWarp = 32;
const unsigned int kFullWarp = 0xffffffffu;

// The pixel seen at `place` of a side that is mirrored on beyond its end, without its end itself.
__device__ __forceinline__ int mirrored(int place, int size) {
    if (place < size) return place;
    if (size == 1) return 0;
    const int within = place % (2 * (size - 1));
    return within < size ? within : 2 * (size - 1) - within;
}

// Sum of `value` in this lane and all before it.
__device__ __forceinline__ int scan_warp(int value, int lane) {
    for (int step = 1; step < kWarp; step *= 2) {
        const int before = __shfl_up_sync(kFullWarp, value, step);
        if (lane >= step) value += before;
    }
    return value;
}

// One block a tile: counts it into `copies` tables by turns of the lanes, so that equal neighbours seldom wait for each
// other, then clips, hands out again and sums. In shared memory: counts, copies times bins + 1, where the odd one
// shifts the banks; warp_sums, one a warp; cut.
template <typename Stored>
__device__ __forceinline__ void make_table(const unsigned char* pixels, long long pitch, int rows, int columns,
                                           int tile_rows, int tile_columns, int mask, int shift, int bins, int copies,
                                           int most, float scale, unsigned short* tables, int* counts, int* warp_sums,
                                           int& cut) {
    const int thread = threadIdx.x, threads = blockDim.x;
    const int lane = thread % kWarp, warp = thread / kWarp, warps = threads / kWarp;
    for (int i = thread; CU_BOUND(i < copies * (bins + 1)); i += threads) counts[i] = 0;
    if (thread == 0) cut = 0;
    __syncthreads();

    int* mine = counts + lane % copies * (bins + 1);
    const int top = blockIdx.y * tile_rows, left = blockIdx.x * tile_columns;
    for (int y = warp; y < tile_rows; y += warps) {
        const Stored* row = reinterpret_cast<const Stored*>(pixels + mirrored(top + y, rows) * pitch);
        for (int x = lane; x < tile_columns; x += kWarp)
            atomicAdd(&mine[(row[mirrored(left + x, columns)] & mask) >> shift], 1);
    }
    __syncthreads();

    int over = 0;
    for (int bin = thread; CU_BOUND(bin < bins); bin += threads) {
        int count = 0;
        for (int copy = 0; copy < copies; ++copy) count += counts[copy * (bins + 1) + bin];
        counts[bin] = min(count, most);
        over += max(count - most, 0);
    }
    for (int step = kWarp / 2; step > 0; step /= 2) over += __shfl_down_sync(kFullWarp, over, step);
    if (lane == 0 && over > 0) atomicAdd(&cut, over);
    __syncthreads();

    const int each = cut / bins, rest = cut % bins;
    const int step = rest > 0 ? bins / rest : 1;
    unsigned short* table = tables + (long long)(blockIdx.y * gridDim.x + blockIdx.x) * bins;
    int before = 0;  // sum of all bins of the turns before
    for (int first = 0; first < bins; first += threads) {
        const int bin = first + thread;
        const bool inside = CU_BOUND(bin < bins);
        const int count = inside ? counts[bin] + each + (bin % step == 0 && bin / step < rest ? 1 : 0) : 0;
        const int sum = scan_warp(count, lane);
        if (lane == kWarp - 1) warp_sums[warp] = sum;
        __syncthreads();
        if (warp == 0) {
            const int of_warp = lane < warps ? warp_sums[lane] : 0;
            warp_sums[lane] = scan_warp(of_warp, lane);
        }
        __syncthreads();
        const int here = before + sum + (warp > 0 ? warp_sums[warp - 1] : 0);
        if (inside) table[bin] = (unsigned short)rintf((float)here * scale);
        before += warp_sums[warps - 1];
        __syncthreads();
    }
}

// First pixel of a cell: the centre of the tile before it.
__device__ __forceinline__ int cell_start(int cell, int tile, int tiles, int size) {
    if (cell == 0) return 0;
    return cell > tiles ? size : min(size, ((2 * cell - 1) * tile + 1) / 2);
}

// quad: upper left, upper right, lower left and lower right entry of a bin, kept together so that one load finds all
// that a pixel needs. down, across: shares of the lower and the right one.
__device__ __forceinline__ float mixed(ushort4 quad, float down, float across) {
    const float upper = quad.x + ((float)quad.y - quad.x) * across;
    const float lower = quad.z + ((float)quad.w - quad.z) * across;
    return rintf(upper + (lower - upper) * down);
}

// Blocks of a cell, in z, share its rows. Threads take groups of four columns, as the memory is aligned; a group that
// two cells share is done pixel by pixel in both. vectors: every row starts where a load of four pixels may.
template <typename Stored, typename Four>
__device__ __forceinline__ void mix_cell(const unsigned char* pixels, long long pitch, int rows, int columns,
                                         int tile_rows, int tile_columns, int tiles_down, int tiles_across, int mask,
                                         int shift, int bins, const unsigned short* tables, int vectors,
                                         unsigned char* out, long long out_pitch, ushort4* quads) {
    const int cell_down = blockIdx.y, cell_across = blockIdx.x;
    const int left = cell_start(cell_across, tile_columns, tiles_across, columns);
    const int right = cell_start(cell_across + 1, tile_columns, tiles_across, columns);
    const int top = cell_start(cell_down, tile_rows, tiles_down, rows);
    const int bottom = cell_start(cell_down + 1, tile_rows, tiles_down, rows);

    const int above = max(cell_down - 1, 0), below = min(cell_down, tiles_down - 1);
    const int before = max(cell_across - 1, 0), after = min(cell_across, tiles_across - 1);
    const unsigned short* upper_left = tables + (long long)(above * tiles_across + before) * bins;
    const unsigned short* upper_right = tables + (long long)(above * tiles_across + after) * bins;
    const unsigned short* lower_left = tables + (long long)(below * tiles_across + before) * bins;
    const unsigned short* lower_right = tables + (long long)(below * tiles_across + after) * bins;
    for (int bin = threadIdx.y * blockDim.x + threadIdx.x; CU_BOUND(bin < bins); bin += blockDim.x * blockDim.y) {
        ushort4 quad;
        quad.x = upper_left[bin], quad.y = upper_right[bin], quad.z = lower_left[bin], quad.w = lower_right[bin];
        quads[bin] = quad;
    }
    __syncthreads();

    const float per_row = 0.5f / tile_rows, per_column = 0.5f / tile_columns;
    const int centre_down = (2 * cell_down - 1) * tile_rows;
    const int centre_across = (2 * cell_across - 1) * tile_columns;
    for (int y = top + blockIdx.z * blockDim.y + threadIdx.y; CU_BOUND(y < bottom); y += gridDim.z * blockDim.y) {
        const Stored* from = reinterpret_cast<const Stored*>(pixels + y * pitch);
        Stored* to = reinterpret_cast<Stored*>(out + y * out_pitch);
        const float down = (2 * y - centre_down) * per_row;
        for (int x = left / 4 * 4 + 4 * threadIdx.x; x < right; x += 4 * blockDim.x) {
            const float across = (2 * x - centre_across) * per_column;
            if (vectors && CU_BOUND(x >= left && x + 4 <= right)) {
                const Four four = *reinterpret_cast<const Four*>(from + x);
                Four result;
                result.x = (Stored)mixed(quads[(four.x & mask) >> shift], down, across);
                result.y = (Stored)mixed(quads[(four.y & mask) >> shift], down, across + 2 * per_column);
                result.z = (Stored)mixed(quads[(four.z & mask) >> shift], down, across + 4 * per_column);
                result.w = (Stored)mixed(quads[(four.w & mask) >> shift], down, across + 6 * per_column);
                *reinterpret_cast<Four*>(to + x) = result;
                continue;
            }
            for (int i = 0; i < 4; ++i) {
                if (CU_BOUND(x + i >= left && x + i < right))
                    to[x + i] = (Stored)mixed(quads[(from[x + i] & mask) >> shift], down, across + 2 * i * per_column);
            }
        }
    }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(512)
    clahe_table_u8_kernel(const unsigned char* __restrict__ pixels, long long pitch, int rows, int columns,
                          int tile_rows, int tile_columns, int mask, int shift, int bins, int copies, int most,
                          float scale, unsigned short* __restrict__ tables) {
    CU_DYN_SHARED(int, counts);
    __shared__ int warp_sums[kWarp];
    __shared__ int cut;
    make_table<unsigned char>(pixels, pitch, rows, columns, tile_rows, tile_columns, mask, shift, bins, copies, most,
                              scale, tables, counts, warp_sums, cut);
}

extern "C" __global__ void __launch_bounds__(512)
    clahe_table_u16_kernel(const unsigned char* __restrict__ pixels, long long pitch, int rows, int columns,
                           int tile_rows, int tile_columns, int mask, int shift, int bins, int copies, int most,
                           float scale, unsigned short* __restrict__ tables) {
    CU_DYN_SHARED(int, counts);
    __shared__ int warp_sums[kWarp];
    __shared__ int cut;
    make_table<unsigned short>(pixels, pitch, rows, columns, tile_rows, tile_columns, mask, shift, bins, copies, most,
                               scale, tables, counts, warp_sums, cut);
}

extern "C" __global__ void __launch_bounds__(256)
    clahe_mix_u8_kernel(const unsigned char* __restrict__ pixels, long long pitch, int rows, int columns, int tile_rows,
                        int tile_columns, int tiles_down, int tiles_across, int mask, int shift, int bins,
                        const unsigned short* __restrict__ tables, int vectors, unsigned char* __restrict__ out,
                        long long out_pitch) {
    CU_DYN_SHARED(ushort4, quads);
    mix_cell<unsigned char, uchar4>(pixels, pitch, rows, columns, tile_rows, tile_columns, tiles_down, tiles_across,
                                    mask, shift, bins, tables, vectors, out, out_pitch, quads);
}

extern "C" __global__ void __launch_bounds__(256)
    clahe_mix_u16_kernel(const unsigned char* __restrict__ pixels, long long pitch, int rows, int columns,
                         int tile_rows, int tile_columns, int tiles_down, int tiles_across, int mask, int shift,
                         int bins, const unsigned short* __restrict__ tables, int vectors,
                         unsigned char* __restrict__ out, long long out_pitch) {
    CU_DYN_SHARED(ushort4, quads);
    mix_cell<unsigned short, ushort4>(pixels, pitch, rows, columns, tile_rows, tile_columns, tiles_down, tiles_across,
                                      mask, shift, bins, tables, vectors, out, out_pitch, quads);
}
