// A clip for a video encoder: 16 sampled frames -> grey -> antialiased resize -> normalise, in one launch. Truth:
// reference/clip.py; host side: kernels/cuda/clip.py. Not for single frames with shutters (ingest.cu).
//
// A block makes 32 columns of 8 output rows of one frame, a warp each row. The warp sums the input rows under its
// output row into shared memory, neighbouring lanes reading neighbouring pixels, then every lane sums the stretch under
// its column. No warp waits for another. Frames are found by address, because a live feed keeps them where they
// arrived, and because a short run's last frame is then repeated without a copy.
#include "tensor.cuh"

namespace {

constexpr int kWarps = 8;  // output rows a block
constexpr int kLanes = 32;
constexpr int kQuad = 4;  // neighbouring pixels a lane loads at once
constexpr unsigned int kAllLanes = 0xFFFFFFFFU;

__device__ __forceinline__ void load_quad(const unsigned char* stored, unsigned int* values) {
    const uchar4 quad = __ldg(reinterpret_cast<const uchar4*>(stored));
    values[0] = quad.x, values[1] = quad.y, values[2] = quad.z, values[3] = quad.w;
}
__device__ __forceinline__ void load_quad(const unsigned short* stored, unsigned int* values) {
    const ushort4 quad = __ldg(reinterpret_cast<const ushort4*>(stored));
    values[0] = quad.x, values[1] = quad.y, values[2] = quad.z, values[3] = quad.w;
}

// The weighted sum of the rows from `top` on, for columns [x, x + 4), into reduced; beyond the frame nothing.
template <typename Stored>
__device__ __forceinline__ void reduce_quad(const unsigned char* top, long long pitch, const float* weights, int taps,
                                            int x, int columns, const Grey& grey, float* reduced) {
    const unsigned int quad_bytes = kQuad * sizeof(Stored);
    const bool aligned =
        (reinterpret_cast<unsigned long long>(top) | static_cast<unsigned long long>(pitch)) % quad_bytes == 0;
    float sums[kQuad] = {0.0F, 0.0F, 0.0F, 0.0F};
    for (int t = 0; t < taps; ++t) {
        const Stored* row = reinterpret_cast<const Stored*>(top + t * pitch);
        const float weight = __ldg(weights + t);
        unsigned int values[kQuad] = {0, 0, 0, 0};
        if (aligned && CU_BOUND(x + kQuad <= columns)) {
            load_quad(row + x, values);
        } else {
            for (int i = 0; i < kQuad; ++i)
                if (CU_BOUND(x + i < columns)) values[i] = __ldg(row + x + i);
        }
        for (int i = 0; i < kQuad; ++i) sums[i] += grey(values[i]) * weight;
    }
    for (int i = 0; i < kQuad; ++i) reduced[i] = sums[i];
}

// channels: slope of each of the three, then intercept of each, in the engine's steps.
__device__ __forceinline__ float channel_value(const float* channels, int channel, float grey) {
    return grey * __ldg(channels + channel) + __ldg(channels + 3 + channel);
}

// frames: an address for each frame of the clip. column_first rises and its taps lie within the columns, and so do the
// rows'. span: columns of input under a block, a multiple of 4; a warp has that many floats of shared memory.
template <typename Stored>
__device__ __forceinline__ void assemble_clip(const unsigned long long* frames, long long pitch, int columns,
                                              const Grey& grey, const int* row_first, const float* row_weights,
                                              int row_taps, const int* column_first, const float* column_weights,
                                              int column_taps, int height, int width, int span, const float* channels,
                                              int channels_last, int element, void* out) {
    CU_DYN_SHARED(float, shared);
    const int lane = static_cast<int>(threadIdx.x);
    const int y = static_cast<int>(blockIdx.y * kWarps + threadIdx.y);
    const int left = static_cast<int>(blockIdx.x) * kLanes;
    if (!CU_BOUND(y < height)) return;  // the whole warp

    float* reduced = shared + static_cast<int>(threadIdx.y) * span;
    const int first_column = __ldg(column_first + left) / kQuad * kQuad;
    const int last = min(left + kLanes, width) - 1;
    const int stop = __ldg(column_first + last) + column_taps;
    const auto* frame = reinterpret_cast<const unsigned char*>(__ldg(frames + blockIdx.z));
    const unsigned char* top = frame + __ldg(row_first + y) * pitch;
    for (int x = first_column + lane * kQuad; x < stop; x += kLanes * kQuad)
        reduce_quad<Stored>(top, pitch, row_weights + static_cast<long long>(y) * row_taps, row_taps, x, columns, grey,
                            reduced + (x - first_column));
    __syncwarp();

    const int column = min(left + lane, last);  // lanes beyond the last column repeat it, and write nothing
    const float* under = reduced + (__ldg(column_first + column) - first_column);
    const float* weights = column_weights + static_cast<long long>(column) * column_taps;
    float sum = 0.0F;
    for (int t = 0; t < column_taps; ++t) sum += under[t] * __ldg(weights + t);

    const int count = last - left + 1;
    const long long plane = static_cast<long long>(height) * width;
    const long long pixel = blockIdx.z * plane + static_cast<long long>(y) * width + left;
    if (channels_last) {
        // Lanes write neighbouring elements, three a pixel, so that the warp's stores are whole lines.
        for (int i = lane; i < 3 * kLanes; i += kLanes) {
            const float grey_of_pixel = __shfl_sync(kAllLanes, sum, i / 3);
            if (CU_BOUND(i < 3 * count))
                write_element(out, 3 * pixel + i, element, channel_value(channels, i % 3, grey_of_pixel));
        }
    } else if (CU_BOUND(lane < count)) {
        for (int c = 0; c < 3; ++c)
            write_element(out, c * static_cast<long long>(gridDim.z) * plane + pixel + lane, element,
                          channel_value(channels, c, sum));
    }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(kLanes* kWarps)
    assemble_clip_u8_kernel(const unsigned long long* __restrict__ frames, long long pitch, int columns,
                            unsigned int mask, const float* __restrict__ table, float origin, float slope,
                            float intercept, const int* __restrict__ row_first, const float* __restrict__ row_weights,
                            int row_taps, const int* __restrict__ column_first,
                            const float* __restrict__ column_weights, int column_taps, int height, int width, int span,
                            const float* __restrict__ channels, int channels_last, int element,
                            void* __restrict__ out) {
    assemble_clip<unsigned char>(frames, pitch, columns, Grey{table, origin, slope, intercept, mask}, row_first,
                                 row_weights, row_taps, column_first, column_weights, column_taps, height, width, span,
                                 channels, channels_last, element, out);
}

extern "C" __global__ void __launch_bounds__(kLanes* kWarps)
    assemble_clip_u16_kernel(const unsigned long long* __restrict__ frames, long long pitch, int columns,
                             unsigned int mask, const float* __restrict__ table, float origin, float slope,
                             float intercept, const int* __restrict__ row_first, const float* __restrict__ row_weights,
                             int row_taps, const int* __restrict__ column_first,
                             const float* __restrict__ column_weights, int column_taps, int height, int width, int span,
                             const float* __restrict__ channels, int channels_last, int element,
                             void* __restrict__ out) {
    assemble_clip<unsigned short>(frames, pitch, columns, Grey{table, origin, slope, intercept, mask}, row_first,
                                  row_weights, row_taps, column_first, column_weights, column_taps, height, width, span,
                                  channels, channels_last, element, out);
}
