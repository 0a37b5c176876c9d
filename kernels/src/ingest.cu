// Fused ingest: stored values -> window -> inversion -> shutter -> antialiased resize -> normalise -> the engine's own
// input tensor, one pass over the frame. Truth: reference/ingest.py. Launches and tiles: kernels/cuda/ingest.py.
//
// A block makes one tile of the tensor. It reads the stored values under the tile once, four neighbours a thread, maps
// them to grey in shared memory, sums them down the columns, then along the rows. Neighbouring tiles share the few
// pixels at their borders, which the second reader finds in the cache. Where the rows under a tile do not fit into
// shared memory, they come in chunks. The memory of a history is read and written by the one thread that makes the
// pixel of the tensor.
// Never timed: no GPU was at hand (docs/kernels.md).
#include "tensor.cuh"

namespace {

constexpr int kThreads = 256;
constexpr int kBlocks = 5;  // at least, on a multiprocessor: left free, ptxas spills a few bytes for a sixth or eighth
constexpr int kQuad = 4;    // neighbouring pixels that one thread loads and reduces at once
constexpr float kEmpty = -1.0F;                 // background of a pixel of which no frame was seen; grey lies in [0, 1]
constexpr float kCoveredAlike = 1.0F / 256.0F;  // as in tensor.hpp

// As the host counts what a channel shows (QUANTITIES in kernels/cuda/tables.py); what is neither of these is grey.
constexpr int kContrast = 1;
constexpr int kChange = 2;

// Four neighbours by one load; pixels: aligned to it.
__device__ __forceinline__ float4 grey_of_quad(const unsigned char* pixels, const Grey& grey) {
    const uchar4 quad = __ldg(reinterpret_cast<const uchar4*>(pixels));
    return make_float4(grey(quad.x), grey(quad.y), grey(quad.z), grey(quad.w));
}
__device__ __forceinline__ float4 grey_of_quad(const unsigned short* pixels, const Grey& grey) {
    const ushort4 quad = __ldg(reinterpret_cast<const ushort4*>(pixels));
    return make_float4(grey(quad.x), grey(quad.y), grey(quad.z), grey(quad.w));
}

// Grey of columns [x, x + 4) of one row; masked_value outside the exposed span, of which nothing is read.
template <typename Stored>
__device__ __forceinline__ float4 exposed_quad(const Stored* row, int x, int2 span, const Grey& grey,
                                               float masked_value) {
    const bool aligned = reinterpret_cast<unsigned long long>(row + x) % (kQuad * sizeof(Stored)) == 0;
    if (aligned && CU_BOUND(x >= span.x && x + kQuad <= span.y)) return grey_of_quad(row + x, grey);
    float quad[kQuad];
#pragma unroll
    for (int i = 0; i < kQuad; ++i)
        quad[i] = CU_BOUND(x + i >= span.x && x + i < span.y) ? grey(row[x + i]) : masked_value;
    return make_float4(quad[0], quad[1], quad[2], quad[3]);
}

// What the three channels show of one pixel of the tensor: grey, or of a run with a memory also the differences to it.
struct EqualChannels {
    __device__ __forceinline__ float3 operator()(long long, float grey) const { return make_float3(grey, grey, grey); }
};
struct History {
    float2* memory;         // background and recent mean of each pixel
    const float* covered;   // share of each pixel that is not exposed; null where it never changes
    float* covered_before;  // the same of what the memory holds
    const int* quantities;  // of the three channels; from memory, because as parameters they cost registers: spills
    float rise;
    float fall;
    float recent;

    // The memory takes grey in after the differences are made.
    __device__ __forceinline__ float3 operator()(long long pixel, float grey) const {
        const float2 before = memory[pixel];
        bool empty = before.x < kEmpty / 2;
        if (covered != nullptr) {
            const float share = __ldg(covered + pixel);
            empty = empty || fabsf(share - covered_before[pixel]) > kCoveredAlike;
            covered_before[pixel] = share;
        }
        const float background = empty ? grey : before.x;
        const float mean = empty ? grey : before.y;
        const float contrast = grey - background;
        const float change = grey - mean;
        memory[pixel] = make_float2(background + (contrast > 0.0F ? rise : fall) * contrast, mean + recent * change);
        const auto shown = [&](int quantity) {
            return quantity == kContrast ? contrast : quantity == kChange ? change : grey;
        };
        return make_float3(shown(__ldg(quantities)), shown(__ldg(quantities + 1)), shown(__ldg(quantities + 2)));
    }
};

template <typename Stored, typename Channels>
__device__ __forceinline__ void ingest(const unsigned char* pixels, long long pitch, const int2* spans,
                                       const float* table, const float* window, int bits_stored, float masked_value,
                                       const int* row_first, const float* row_weights, int row_taps,
                                       const int* column_first, const float* column_weights, int column_taps,
                                       int height, int width, int tile_height, int tile_width, int chunk_rows,
                                       const Channels& quantities_of, const float* channels, int element,
                                       int channels_last, unsigned char* out) {
    const int thread = static_cast<int>(threadIdx.x);
    const int top = static_cast<int>(blockIdx.y) * tile_height;
    const int left = static_cast<int>(blockIdx.x) * tile_width;
    const int tile_rows = min(tile_height, height - top);
    const int tile_columns = min(tile_width, width - left);
    const Grey grey{table, window[0], window[1], window[2], (1U << bits_stored) - 1U};

    // The pixels under the tile: rows [first_row, last_row), and quads of columns from first_column.
    const int first_row = row_first[top];
    const int last_row = row_first[top + tile_rows - 1] + row_taps;
    const int first_column = column_first[left] & ~(kQuad - 1);
    const int quads = (column_first[left + tile_columns - 1] + column_taps - first_column + kQuad - 1) / kQuad;

    CU_DYN_SHARED(float4, shared);
    float4* staged = shared;                        // (chunk_rows, quads) of grey
    float4* reduced = shared + chunk_rows * quads;  // (tile_rows, quads), after the sum down the columns
    for (int chunk = first_row; chunk < last_row; chunk += chunk_rows) {
        const int rows = min(chunk_rows, last_row - chunk);
        for (int i = thread; CU_BOUND(i < rows * quads); i += kThreads) {
            const int y = chunk + i / quads;
            staged[i] = exposed_quad(reinterpret_cast<const Stored*>(pixels + y * pitch),
                                     first_column + i % quads * kQuad, spans[y], grey, masked_value);
        }
        __syncthreads();
        for (int i = thread; CU_BOUND(i < tile_rows * quads); i += kThreads) {
            const int row = top + i / quads;
            const int quad = i % quads;
            const int begin = max(row_first[row], chunk);
            const int end = min(row_first[row] + row_taps, chunk + rows);
            float4 sum = chunk == first_row ? make_float4(0.0F, 0.0F, 0.0F, 0.0F) : reduced[i];
            for (int y = begin; y < end; ++y) {
                const float weight = __ldg(row_weights + row * row_taps + y - row_first[row]);
                const float4 from = staged[(y - chunk) * quads + quad];
                sum.x += weight * from.x;
                sum.y += weight * from.y;
                sum.z += weight * from.z;
                sum.w += weight * from.w;
            }
            reduced[i] = sum;
        }
        // What was staged is read before the next chunk takes its place, and all is reduced before it is read below.
        __syncthreads();
    }

    const float* columns = reinterpret_cast<const float*>(reduced);
    const long long plane = static_cast<long long>(height) * width;
    for (int i = thread; CU_BOUND(i < tile_rows * tile_columns); i += kThreads) {
        const int row = i / tile_columns;
        const int x = left + i % tile_columns;
        const float* from = columns + row * quads * kQuad + column_first[x] - first_column;
        float sum = 0.0F;
        for (int t = 0; t < column_taps; ++t) sum += __ldg(column_weights + t * width + x) * from[t];
        const long long pixel = static_cast<long long>(top + row) * width + x;
        const float3 shown = quantities_of(pixel, sum);
        const float quantities[3] = {shown.x, shown.y, shown.z};
#pragma unroll
        for (int c = 0; c < 3; ++c)
            write_element(out, channels_last != 0 ? 3 * pixel + c : c * plane + pixel, element,
                          quantities[c] * channels[2 * c] + channels[2 * c + 1]);
    }
}

}  // namespace

// pixels: the first of row 0, aligned to its type; pitch: bytes from row to row, of any sign. spans: exposed [start,
// stop) of each row. table: (1 << bits_stored,) or null. window: (origin, slope, intercept). row_weights: (height,
// row_taps), column_weights: (column_taps, width): output i is the sum of taps from first[i] on. channels: slope and
// intercept of each of three. element: 0 float32, 1 float16, 2 int8. Dynamic shared memory: float4 (chunk_rows +
// tile_height, quads of the widest tile).
extern "C" __global__ void __launch_bounds__(kThreads, kBlocks)
    ingest_u8_kernel(const unsigned char* __restrict__ pixels, long long pitch, const int2* __restrict__ spans,
                     const float* __restrict__ table, const float* __restrict__ window, int bits_stored,
                     float masked_value, const int* __restrict__ row_first, const float* __restrict__ row_weights,
                     int row_taps, const int* __restrict__ column_first, const float* __restrict__ column_weights,
                     int column_taps, int height, int width, int tile_height, int tile_width, int chunk_rows,
                     const float* __restrict__ channels, int element, int channels_last,
                     unsigned char* __restrict__ out) {
    ingest<unsigned char>(pixels, pitch, spans, table, window, bits_stored, masked_value, row_first, row_weights,
                          row_taps, column_first, column_weights, column_taps, height, width, tile_height, tile_width,
                          chunk_rows, EqualChannels{}, channels, element, channels_last, out);
}

// The same for uint16.
extern "C" __global__ void __launch_bounds__(kThreads, kBlocks)
    ingest_u16_kernel(const unsigned char* __restrict__ pixels, long long pitch, const int2* __restrict__ spans,
                      const float* __restrict__ table, const float* __restrict__ window, int bits_stored,
                      float masked_value, const int* __restrict__ row_first, const float* __restrict__ row_weights,
                      int row_taps, const int* __restrict__ column_first, const float* __restrict__ column_weights,
                      int column_taps, int height, int width, int tile_height, int tile_width, int chunk_rows,
                      const float* __restrict__ channels, int element, int channels_last,
                      unsigned char* __restrict__ out) {
    ingest<unsigned short>(pixels, pitch, spans, table, window, bits_stored, masked_value, row_first, row_weights,
                           row_taps, column_first, column_weights, column_taps, height, width, tile_height, tile_width,
                           chunk_rows, EqualChannels{}, channels, element, channels_last, out);
}

// The same for a run with a history. memory: (height, width) of background and recent mean, background kEmpty before
// the first frame. covered, covered_before: (height, width), or null; pixels that are covered more or less than before
// begin anew. quantities: what each of the three channels shows, 0 grey, 1 contrast, 2 change. rise, fall, recent: how
// much of one frame the memory takes.
extern "C" __global__ void __launch_bounds__(kThreads, kBlocks) ingest_history_u8_kernel(
    const unsigned char* __restrict__ pixels, long long pitch, const int2* __restrict__ spans,
    const float* __restrict__ table, const float* __restrict__ window, int bits_stored, float masked_value,
    const int* __restrict__ row_first, const float* __restrict__ row_weights, int row_taps,
    const int* __restrict__ column_first, const float* __restrict__ column_weights, int column_taps, int height,
    int width, int tile_height, int tile_width, int chunk_rows, const float* __restrict__ channels, int element,
    int channels_last, unsigned char* __restrict__ out, float2* __restrict__ memory, const float* __restrict__ covered,
    float* __restrict__ covered_before, const int* __restrict__ quantities, float rise, float fall, float recent) {
    ingest<unsigned char>(pixels, pitch, spans, table, window, bits_stored, masked_value, row_first, row_weights,
                          row_taps, column_first, column_weights, column_taps, height, width, tile_height, tile_width,
                          chunk_rows, History{memory, covered, covered_before, quantities, rise, fall, recent},
                          channels, element, channels_last, out);
}

// The same for uint16.
extern "C" __global__ void __launch_bounds__(kThreads, kBlocks) ingest_history_u16_kernel(
    const unsigned char* __restrict__ pixels, long long pitch, const int2* __restrict__ spans,
    const float* __restrict__ table, const float* __restrict__ window, int bits_stored, float masked_value,
    const int* __restrict__ row_first, const float* __restrict__ row_weights, int row_taps,
    const int* __restrict__ column_first, const float* __restrict__ column_weights, int column_taps, int height,
    int width, int tile_height, int tile_width, int chunk_rows, const float* __restrict__ channels, int element,
    int channels_last, unsigned char* __restrict__ out, float2* __restrict__ memory, const float* __restrict__ covered,
    float* __restrict__ covered_before, const int* __restrict__ quantities, float rise, float fall, float recent) {
    ingest<unsigned short>(pixels, pitch, spans, table, window, bits_stored, masked_value, row_first, row_weights,
                           row_taps, column_first, column_weights, column_taps, height, width, tile_height, tile_width,
                           chunk_rows, History{memory, covered, covered_before, quantities, rise, fall, recent},
                           channels, element, channels_last, out);
}
