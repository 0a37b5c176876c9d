#include "tensor.hpp"

#include <bit>
#include <cmath>
#include <cstddef>

#include "dispatch.hpp"

namespace cathrt {
namespace {

// In integers and one addition, because not every compiler has a vectorised conversion. Finite values only.
CATHRT_INLINE std::uint16_t half_bits(float value) {
    constexpr std::uint32_t kSmallestNormal = 113U << 23;  // 2^-14, as float32
    constexpr std::uint32_t kInfinity = 0x47800000U;       // 2^16: halves end below; what rounds up to it is infinite
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t magnitude = bits & 0x7fffffffU;
    // The exponents are 112 apart, the fractions 13 bits: half of a unit, less one, plus the last bit rounds to even.
    const std::uint32_t normal = (magnitude - (112U << 23) + 0xfffU + (magnitude >> 13 & 1U)) >> 13;
    // Adding 0.5, whose last place is the smallest half, leaves the rounding to the addition.
    const std::uint32_t subnormal =
        std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5F) - std::bit_cast<std::uint32_t>(0.5F);
    std::uint32_t half = magnitude < kSmallestNormal ? subnormal : normal;
    half = magnitude < kInfinity ? half : 0x7c00U;
    return static_cast<std::uint16_t>(half | (bits >> 16 & 0x8000U));
}

CATHRT_INLINE std::int8_t int8_from(float value) {
    value = value > -128.0F ? value : -128.0F;
    value = value < 127.0F ? value : 127.0F;
    return static_cast<std::int8_t>(std::rint(value));
}

template <typename Out>
CATHRT_INLINE Out element_from(float value) {
    if constexpr (sizeof(Out) == 4) return value;
    if constexpr (sizeof(Out) == 2) return half_bits(value);
    if constexpr (sizeof(Out) == 1) return int8_from(value);
}

// quantities: a row for each channel.
template <typename Out>
CATHRT_INLINE void write(const TensorLayout& tensor, const std::array<ChannelLine, 3>& channels,
                         const std::array<const float*, 3>& quantities, std::int32_t row, void* to) {
    const std::ptrdiff_t plane = static_cast<std::ptrdiff_t>(tensor.height) * tensor.width;
    const std::ptrdiff_t first = static_cast<std::ptrdiff_t>(row) * tensor.width;
    const std::int32_t width = tensor.width;
    if (tensor.channels_last) {
        const float* __restrict a = quantities[0], * __restrict b = quantities[1], * __restrict c = quantities[2];
        Out* __restrict out = static_cast<Out*>(to) + 3 * first;
        for (std::int32_t x = 0; x < width; ++x) {
            out[3 * x] = element_from<Out>(a[x] * channels[0].slope + channels[0].intercept);
            out[3 * x + 1] = element_from<Out>(b[x] * channels[1].slope + channels[1].intercept);
            out[3 * x + 2] = element_from<Out>(c[x] * channels[2].slope + channels[2].intercept);
        }
    } else {
        for (std::size_t c = 0; c < 3; ++c) {
            const float* __restrict from = quantities[c];
            Out* __restrict out = static_cast<Out*>(to) + static_cast<std::ptrdiff_t>(c) * plane + first;
            const ChannelLine line = channels[c];
            for (std::int32_t x = 0; x < width; ++x) out[x] = element_from<Out>(from[x] * line.slope + line.intercept);
        }
    }
}

CATHRT_INLINE void write_any(const TensorLayout& tensor, const std::array<ChannelLine, 3>& channels,
                             const std::array<const float*, 3>& quantities, std::int32_t row, void* out) {
    switch (tensor.element) {
        case Element::kFloat32:
            return write<float>(tensor, channels, quantities, row, out);
        case Element::kFloat16:
            return write<std::uint16_t>(tensor, channels, quantities, row, out);
        case Element::kInt8:
            return write<std::int8_t>(tensor, channels, quantities, row, out);
    }
}

// Differences to the memory, which then takes the row in.
CATHRT_INLINE void remember(const History& history, const float* __restrict grey, std::int32_t width,
                            float* __restrict background, float* __restrict recent, float* __restrict contrast,
                            float* __restrict change) {
    const float rise = history.rise, fall = history.fall, weight = history.recent;
    for (std::int32_t x = 0; x < width; ++x) {
        const bool empty = background[x] < kEmpty / 2;
        const float before = empty ? grey[x] : background[x], mean = empty ? grey[x] : recent[x];
        contrast[x] = grey[x] - before;
        change[x] = grey[x] - mean;
        background[x] = before + (contrast[x] > 0.0F ? rise : fall) * contrast[x];
        recent[x] = mean + weight * change[x];
    }
}

}  // namespace

std::array<ChannelLine, 3> channel_lines(const TensorLayout& tensor) {
    std::array<ChannelLine, 3> lines{};
    for (std::size_t c = 0; c < 3; ++c) {
        const double step = static_cast<double>(tensor.std[c]) * static_cast<double>(tensor.scale);
        lines[c] = {static_cast<float>(1.0 / step), static_cast<float>(-static_cast<double>(tensor.mean[c]) / step)};
    }
    return lines;
}

CATHRT_MULTIVERSION void write_row(const TensorLayout& tensor, const std::array<ChannelLine, 3>& channels,
                                   const float* grey, std::int32_t row, void* out) {
    write_any(tensor, channels, {grey, grey, grey}, row, out);
}

CATHRT_MULTIVERSION void write_row(const TensorLayout& tensor, const std::array<ChannelLine, 3>& channels,
                                   const HistoryRow& remembered, const float* grey, std::int32_t row, void* out) {
    remember(*tensor.history, grey, tensor.width, remembered.background, remembered.recent, remembered.contrast,
             remembered.change);
    std::array<const float*, 3> quantities{grey, grey, grey};
    for (std::size_t c = 0; c < 3; ++c) {
        if (tensor.history->channels[c] == Quantity::kContrast) quantities[c] = remembered.contrast;
        if (tensor.history->channels[c] == Quantity::kChange) quantities[c] = remembered.change;
    }
    write_any(tensor, channels, quantities, row, out);
}

}  // namespace cathrt
