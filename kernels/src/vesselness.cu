// The vesselness of a frame on the GPU; meaning: vesselness.hpp, truth: reference/vesselness.py. Three launches: sum
// the cells, measure tiles of 32 x 16 of them, add the tiles up. What is added in no fixed order is integers;
// floating-point sums are taken in one order, so that a frame has the same number every time. Host side:
// kernels/cuda/vesselness.py.
#include "gpu.cuh"

namespace {

constexpr int kWarp = 32;
constexpr int kWarps = 8;  // rows of a block
constexpr unsigned int kAllLanes = 0xFFFFFFFFU;

constexpr int kRadius = 9;  // the largest a Gaussian has; a smaller one has zeros at its ends
constexpr int kHalo = kRadius + 1;
constexpr int kTileWidth = kWarp;
constexpr int kTileHeight = 2 * kWarps;
// A tile's values with all that its smooth cells rest on, and its smooth cells with those the Hessian needs.
constexpr int kRawWidth = kTileWidth + 2 * kHalo;
constexpr int kRawHeight = kTileHeight + 2 * kHalo;
constexpr int kSmoothWidth = kTileWidth + 2;
constexpr int kSmoothHeight = kTileHeight + 2;

// Sums of a whole warp, in lane 0.
template <typename Number>
__device__ __forceinline__ Number warp_sum(Number value) {
    for (int step = kWarp / 2; step > 0; step /= 2) value += __shfl_down_sync(kAllLanes, value, step);
    return value;
}

// field: cells [x, y) of each row of the grid that count. total: of the cells that count; zero beforehand.
template <typename Stored>
__device__ __forceinline__ void sum_cells(const void* pixels, long long pitch, unsigned int mask, int side, int rows,
                                          int columns, const int2* field, int* cells, unsigned long long* total) {
    const int x = static_cast<int>(blockIdx.x * kWarp + threadIdx.x);
    const int y = static_cast<int>(blockIdx.y * kWarps + threadIdx.y);
    unsigned int sum = 0;
    unsigned long long counted = 0;
    if (CU_BOUND(x < columns && y < rows)) {
        for (int row = 0; row < side; ++row) {
            const auto* line =
                static_cast<const unsigned char*>(pixels) + (static_cast<long long>(y) * side + row) * pitch;
            const Stored* stored = reinterpret_cast<const Stored*>(line) + x * side;
            for (int column = 0; column < side; ++column) sum += __ldg(stored + column) & mask;
        }
        cells[y * columns + x] = static_cast<int>(sum);
        const int2 span = field[y];
        if (x >= span.x && x < span.y) counted = sum;
    }
    counted = warp_sum(counted);
    if (threadIdx.x == 0) atomicAdd(total, counted);
}

// The cells around a tile less the field's mean; 0 beyond the grid.
__device__ __forceinline__ void load_tile(const int* cells, int rows, int columns, double mean, int first_y,
                                          int first_x, int thread, float (*raw)[kRawWidth]) {
    for (int i = thread; i < kRawHeight * kRawWidth; i += kWarp * kWarps) {
        const int row = i / kRawWidth, column = i % kRawWidth;
        const int y = first_y + row, x = first_x + column;
        float value = 0.0F;
        if (CU_BOUND(y >= 0 && y < rows && x >= 0 && x < columns))
            value = static_cast<float>(static_cast<double>(__ldg(cells + y * columns + x)) - mean);
        raw[row][column] = value;
    }
}

// One of the two passes: out[i] from `in`, whose taps lie `step` floats apart, the middle one at kRadius steps.
__device__ __forceinline__ float filtered(const float* in, int step, const float* weights) {
    float sum = in[kRadius * step] * weights[0];
#pragma unroll
    for (int k = 1; k <= kRadius; ++k) sum += (in[(kRadius - k) * step] + in[(kRadius + k) * step]) * weights[k];
    return sum;
}

}  // namespace

extern "C" __global__ void __launch_bounds__(kWarp* kWarps)
    sum_cells_u8_kernel(const void* __restrict__ pixels, long long pitch, unsigned int mask, int side, int rows,
                        int columns, const int2* __restrict__ field, int* __restrict__ cells,
                        unsigned long long* __restrict__ total) {
    sum_cells<unsigned char>(pixels, pitch, mask, side, rows, columns, field, cells, total);
}

extern "C" __global__ void __launch_bounds__(kWarp* kWarps)
    sum_cells_u16_kernel(const void* __restrict__ pixels, long long pitch, unsigned int mask, int side, int rows,
                         int columns, const int2* __restrict__ field, int* __restrict__ cells,
                         unsigned long long* __restrict__ total) {
    sum_cells<unsigned short>(pixels, pitch, mask, side, rows, columns, field, cells, total);
}

// count: cells that count. gaussian: kRadius + 1 weights, from the middle outwards. sign: -1 where vessels are bright.
// partial: of each block the sum of the responses, then of the distances from the mean.
extern "C" __global__ void __launch_bounds__(kWarp* kWarps)
    measure_lines_kernel(const int* __restrict__ cells, int rows, int columns, const int2* __restrict__ field,
                         const unsigned long long* __restrict__ total, int count, const float* __restrict__ gaussian,
                         float sign, double* __restrict__ partial) {
    __shared__ float raw[kRawHeight][kRawWidth];
    __shared__ float down[kSmoothHeight][kRawWidth];
    __shared__ float smooth[kSmoothHeight][kSmoothWidth];
    __shared__ double of_warps[kWarps][2];
    const int lane = static_cast<int>(threadIdx.x), line = static_cast<int>(threadIdx.y);
    const int thread = line * kWarp + lane;
    const int left = static_cast<int>(blockIdx.x) * kTileWidth, top = static_cast<int>(blockIdx.y) * kTileHeight;
    float weights[kRadius + 1];
#pragma unroll
    for (int k = 0; k <= kRadius; ++k) weights[k] = __ldg(gaussian + k);

    const double mean = static_cast<double>(__ldg(total)) / static_cast<double>(count);
    load_tile(cells, rows, columns, mean, top - kHalo, left - kHalo, thread, raw);
    __syncthreads();
    for (int i = thread; i < kSmoothHeight * kRawWidth; i += kWarp * kWarps) {
        const int row = i / kRawWidth, column = i % kRawWidth;
        down[row][column] = filtered(&raw[row][column], kRawWidth, weights);
    }
    __syncthreads();
    for (int i = thread; i < kSmoothHeight * kSmoothWidth; i += kWarp * kWarps) {
        const int row = i / kSmoothWidth, column = i % kSmoothWidth;
        smooth[row][column] = filtered(&down[row][column], 1, weights);
    }
    __syncthreads();

    double response = 0.0, distance = 0.0;
    for (int row = line; row < kTileHeight; row += kWarps) {
        const int y = top + row, x = left + lane;
        if (!CU_BOUND(y < rows)) continue;
        const int2 span = field[y];
        if (x < span.x || x >= span.y) continue;
        const float *above = smooth[row] + lane + 1, *here = smooth[row + 1] + lane + 1,
                    *below = smooth[row + 2] + lane + 1;
        const float vertical = above[0] + below[0] - 2.0F * here[0];
        const float across = here[-1] + here[1] - 2.0F * here[0];
        const float mixed = 0.5F * ((above[-1] + below[1]) - (above[1] + below[-1]));
        const float apart = vertical - across;
        const float difference = sqrtf(apart * apart + mixed * mixed);
        response += static_cast<double>(fmaxf(fminf(sign * (vertical + across), difference), 0.0F));
        distance += static_cast<double>(fabsf(raw[row + kHalo][lane + kHalo]));
    }
    response = warp_sum(response);
    distance = warp_sum(distance);
    if (lane == 0) {
        of_warps[line][0] = response;
        of_warps[line][1] = distance;
    }
    __syncthreads();
    if (thread == 0) {
        response = distance = 0.0;
        for (int warp = 0; warp < kWarps; ++warp) {
            response += of_warps[warp][0];
            distance += of_warps[warp][1];
        }
        double* of_block = partial + 2 * (blockIdx.y * gridDim.x + blockIdx.x);
        of_block[0] = response;
        of_block[1] = distance;
    }
}

// One warp. scale: sigma squared.
extern "C" __global__ void __launch_bounds__(kWarp)
    finish_vesselness_kernel(const double* __restrict__ partial, int blocks, double scale, float* __restrict__ result) {
    const int lane = static_cast<int>(threadIdx.x);
    double response = 0.0, distance = 0.0;
    for (int i = lane; i < blocks; i += kWarp) {
        response += partial[2 * i];
        distance += partial[2 * i + 1];
    }
    response = warp_sum(response);
    distance = warp_sum(distance);
    if (lane == 0) *result = distance > 0.0 ? static_cast<float>(scale * response / distance) : 0.0F;
}
