// Histogram of the exposed stored values, and the percentile window found from it, all on the device.
// Truth: reference/ingest.py (percentile_limits). Launches: kernels/cuda/histogram.py.
//
// count_values_*: one warp a row, 16-byte loads, runs of equal neighbours added at once, because X-ray frames have flat
// borders in which all lanes would queue at one counter. Up to 12 bits each block counts in shared memory, the
// shallower the frame the more copies of each counter side by side, so that lanes seldom meet. Deeper tables do not fit
// there: counters in global memory, where the noise of such frames spreads over many thousand addresses. The other way,
// a coarse and a fine pass in shared memory, reads the frame twice and cannot rank values by a table.
// Never timed: no GPU was at hand (docs/kernels.md).
#include "gpu.cuh"

namespace {

constexpr int kWarp = 32;
constexpr int kCountThreads = 512;
constexpr int kScanThreads = 1024;
constexpr int kSharedCounters = 4096;

// Calls add(value, count) for runs of equal stored values until every exposed pixel of the rows of this warp was
// counted once. spans: [start, stop) of each row; nothing outside is read.
template <typename Stored, typename Add>
__device__ __forceinline__ void for_each_run(const unsigned char* pixels, long long pitch, const int2* spans, int rows,
                                             unsigned int mask, Add add) {
    constexpr int kPixels = 16 / static_cast<int>(sizeof(Stored));
    constexpr int kPixelsPerWord = 4 / static_cast<int>(sizeof(Stored));
    constexpr int kBits = 8 * static_cast<int>(sizeof(Stored));
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    const int warps = static_cast<int>(gridDim.x) * (kCountThreads / kWarp);
    const int warp = static_cast<int>(blockIdx.x) * (kCountThreads / kWarp) + static_cast<int>(threadIdx.x) / kWarp;
    for (int y = warp; CU_BOUND(y < rows); y += warps) {
        const Stored* row = reinterpret_cast<const Stored*>(pixels + y * pitch);
        const int2 span = spans[y];
        // Loads start where 16 bytes are aligned, at or before the span, whatever the alignment of this row.
        const int early = static_cast<int>(reinterpret_cast<unsigned long long>(row + span.x) % 16 / sizeof(Stored));
        for (int x = span.x - early + lane * kPixels; x < span.y; x += kWarp * kPixels) {
            if (CU_BOUND(x >= span.x && x + kPixels <= span.y)) {
                const uint4 loaded = __ldg(reinterpret_cast<const uint4*>(row + x));
                const unsigned int words[4] = {loaded.x, loaded.y, loaded.z, loaded.w};
                unsigned int value = words[0] & mask;
                unsigned int length = 1;
#pragma unroll
                for (int i = 1; i < kPixels; ++i) {
                    const unsigned int next = words[i / kPixelsPerWord] >> (i % kPixelsPerWord * kBits) & mask;
                    if (next != value) {
                        add(value, length);
                        value = next;
                        length = 0;
                    }
                    ++length;
                }
                add(value, length);
            } else {
                for (int i = x; i < x + kPixels; ++i)
                    if (CU_BOUND(i >= span.x && i < span.y)) add(row[i] & mask, 1U);
            }
        }
    }
}

// counters: kSharedCounters of them, in shared memory.
template <typename Stored>
__device__ __forceinline__ void count_in_shared(const unsigned char* pixels, long long pitch, const int2* spans,
                                                int rows, int bits_stored, unsigned int* counters,
                                                unsigned int* counts) {
    const int thread = static_cast<int>(threadIdx.x);
    const int entries = 1 << bits_stored;
    const unsigned int copies = min(kSharedCounters >> bits_stored, kWarp);
    const unsigned int copy = threadIdx.x % copies;
    for (int i = thread; i < kSharedCounters; i += kCountThreads) counters[i] = 0;
    __syncthreads();
    for_each_run<Stored>(
        pixels, pitch, spans, rows, static_cast<unsigned int>(entries - 1),
        [&](unsigned int value, unsigned int length) { atomicAdd(&counters[value * copies + copy], length); });
    __syncthreads();
    for (int value = thread; CU_BOUND(value < entries); value += kCountThreads) {
        unsigned int sum = 0;
        for (unsigned int i = 0; i < copies; ++i) sum += counters[static_cast<unsigned int>(value) * copies + i];
        if (sum > 0) atomicAdd(&counts[value], sum);
    }
}

}  // namespace

// counts: (1 << bits_stored,), zero before. pitch: bytes from row to row, of any sign. Any number of blocks.
extern "C" __global__ void __launch_bounds__(kCountThreads)
    count_values_u8_kernel(const unsigned char* __restrict__ pixels, long long pitch, const int2* __restrict__ spans,
                           int rows, int bits_stored, unsigned int* __restrict__ counts) {
    __shared__ unsigned int counters[kSharedCounters];
    count_in_shared<unsigned char>(pixels, pitch, spans, rows, bits_stored, counters, counts);
}

// The same for uint16 of at most 12 bits.
extern "C" __global__ void __launch_bounds__(kCountThreads)
    count_values_u16_kernel(const unsigned char* __restrict__ pixels, long long pitch, const int2* __restrict__ spans,
                            int rows, int bits_stored, unsigned int* __restrict__ counts) {
    __shared__ unsigned int counters[kSharedCounters];
    count_in_shared<unsigned short>(pixels, pitch, spans, rows, bits_stored, counters, counts);
}

// The same for uint16 of 13 to 16 bits.
extern "C" __global__ void __launch_bounds__(kCountThreads)
    count_deep_values_u16_kernel(const unsigned char* __restrict__ pixels, long long pitch,
                                 const int2* __restrict__ spans, int rows, int bits_stored,
                                 unsigned int* __restrict__ counts) {
    for_each_run<unsigned short>(pixels, pitch, spans, rows, (1U << bits_stored) - 1U,
                                 [&](unsigned int value, unsigned int length) { atomicAdd(&counts[value], length); });
}

// The window of one frame: (origin, slope, intercept) as grey = clamp((t - origin) * slope + intercept), so that the
// value at rank_low becomes 0 and the one at rank_high 1; where the two are equal, slope 0. invert: 1 - grey.
// counts: a whole frame's. order: all stored values in the order in which ranks count. values: t of each stored value.
// entries: a power of two. Ranks are 1-based and at most the number of pixels counted. One block.
extern "C" __global__ void __launch_bounds__(kScanThreads)
    find_percentile_window_kernel(const unsigned int* __restrict__ counts, const unsigned short* __restrict__ order,
                                  const float* __restrict__ values, int entries, unsigned int rank_low,
                                  unsigned int rank_high, int invert, float* __restrict__ window) {
    __shared__ unsigned int warp_sums[kScanThreads / kWarp];
    __shared__ float found[2];
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    const int warp = static_cast<int>(threadIdx.x) / kWarp;
    // Each thread owns so many neighbours in the order; with few entries, the last threads own none.
    const int bins = max(1, entries / kScanThreads);
    const int first = static_cast<int>(threadIdx.x) * bins;
    unsigned int own = 0;
    if (CU_BOUND(first < entries))
        for (int i = first; i < first + bins; ++i) own += counts[order[i]];

    unsigned int up_to_here = own;
    for (int distance = 1; distance < kWarp; distance *= 2) {
        const unsigned int before = __shfl_up_sync(0xffffffffU, up_to_here, static_cast<unsigned int>(distance));
        if (lane >= distance) up_to_here += before;
    }
    if (lane == kWarp - 1) warp_sums[warp] = up_to_here;
    __syncthreads();
    unsigned int reached = up_to_here - own;
    for (int i = 0; i < warp; ++i) reached += warp_sums[i];

    const unsigned int ranks[2] = {rank_low, rank_high};
#pragma unroll
    for (int k = 0; k < 2; ++k) {
        // Of all threads one owns the rank.
        if (reached < ranks[k] && ranks[k] <= reached + own) {
            unsigned int sum = reached;
            int i = first;
            while ((sum += counts[order[i]]) < ranks[k]) ++i;
            found[k] = values[order[i]];
        }
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        const float slope = found[0] == found[1] ? 0.0F : 1.0F / (found[1] - found[0]);
        window[0] = found[0];
        window[1] = invert != 0 ? -slope : slope;
        window[2] = invert != 0 ? 1.0F : 0.0F;
    }
}
