// Sums of each row and each column of a frame in one launch, exact whatever the order of the blocks. Truth, and what is
// made of the sums: reference/collimator.py; launch shape: cuda/collimator.py.
#include "gpu.cuh"

namespace {

const int kWarps = 8;              // of a block
const int kBlockColumns = 4 * 32;  // four to a thread
const int kBlockRows = 64;
const unsigned int kFullWarp = 0xffffffffu;

// A warp takes every eighth row of its block: the row's sum by shuffles, the columns' in registers, which the block
// adds up at the end. vectors: every row starts where a load of four pixels may.
template <typename Stored, typename Four>
__device__ __forceinline__ void add_block(const unsigned char* pixels, long long pitch, int rows, int columns,
                                          unsigned int mask, int vectors, unsigned int* row_sums,
                                          unsigned int* column_sums, unsigned int (*partial)[kBlockColumns]) {
    const int lane = threadIdx.x, warp = threadIdx.y;
    const int left = blockIdx.x * kBlockColumns, x = left + 4 * lane;
    unsigned int sums[4] = {0, 0, 0, 0};
    for (int i = warp; i < kBlockRows; i += kWarps) {
        const int y = blockIdx.y * kBlockRows + i;
        unsigned int values[4] = {0, 0, 0, 0};
        const bool inside = CU_BOUND(y < rows);
        if (inside) {
            const Stored* row = reinterpret_cast<const Stored*>(pixels + y * pitch);
            if (vectors && CU_BOUND(x + 4 <= columns)) {
                const Four four = *reinterpret_cast<const Four*>(row + x);
                values[0] = four.x & mask, values[1] = four.y & mask;
                values[2] = four.z & mask, values[3] = four.w & mask;
            } else {
                for (int j = 0; j < 4; ++j)
                    if (CU_BOUND(x + j < columns)) values[j] = row[x + j] & mask;
            }
        }
        unsigned int sum = 0;
        for (int j = 0; j < 4; ++j) sums[j] += values[j], sum += values[j];
        for (int step = 16; step > 0; step /= 2) sum += __shfl_down_sync(kFullWarp, sum, step);
        if (inside && lane == 0) atomicAdd(&row_sums[y], sum);
    }
    for (int j = 0; j < 4; ++j) partial[warp][4 * lane + j] = sums[j];
    __syncthreads();
    const int column = warp * 32 + lane;
    if (!CU_BOUND(column < kBlockColumns) || !CU_BOUND(left + column < columns)) return;
    unsigned int sum = 0;
    for (int i = 0; i < kWarps; ++i) sum += partial[i][column];
    atomicAdd(&column_sums[left + column], sum);
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256)
    profile_sums_u8_kernel(const unsigned char* __restrict__ pixels, long long pitch, int rows, int columns,
                           unsigned int mask, int vectors, unsigned int* __restrict__ row_sums,
                           unsigned int* __restrict__ column_sums) {
    __shared__ unsigned int partial[kWarps][kBlockColumns];
    add_block<unsigned char, uchar4>(pixels, pitch, rows, columns, mask, vectors, row_sums, column_sums, partial);
}

extern "C" __global__ void __launch_bounds__(256)
    profile_sums_u16_kernel(const unsigned char* __restrict__ pixels, long long pitch, int rows, int columns,
                            unsigned int mask, int vectors, unsigned int* __restrict__ row_sums,
                            unsigned int* __restrict__ column_sums) {
    __shared__ unsigned int partial[kWarps][kBlockColumns];
    add_block<unsigned short, ushort4>(pixels, pitch, rows, columns, mask, vectors, row_sums, column_sums, partial);
}
