// The engine's input tensor: its layout, its element type, and one row of grey written into it.
// Truth: reference/ingest.py (normalise, as_element, History). Not for: where grey comes from (ingest.hpp).
#pragma once

#include <array>
#include <cstdint>
#include <optional>

namespace cathrt {

// What the engine reads. kFloat16: IEEE half, nearest, ties to even. kInt8: clamp(rint(value / scale), -128, 127).
enum class Element { kFloat32, kFloat16, kInt8 };

// What a channel shows of a pixel. kContrast: grey less the remembered background. kChange: grey less the recent mean.
enum class Quantity { kGrey, kContrast, kChange };

// The quantity of each channel, and how fast a pixel's memory follows its grey: the weight of one frame, above 0 and at
// most 1. rise, fall: of the background where grey is above it, and where it is not. recent: of the recent mean.
struct History {
    std::array<Quantity, 3> channels;
    float rise;
    float fall;
    float recent;
};

// Three channels, (quantity - mean) / std, NCHW or NHWC; without a history all three are grey. masked_value: grey of
// what was not exposed. scale: the engine's quantisation step, of kInt8 only.
struct TensorLayout {
    std::int32_t height;
    std::int32_t width;
    bool channels_last;
    std::array<float, 3> mean;
    std::array<float, 3> std;
    float masked_value;
    Element element = Element::kFloat32;
    float scale = 1.0F;
    std::optional<History> history = std::nullopt;
};

// value = quantity * slope + intercept, in the engine's steps: what one channel holds before it is rounded.
struct ChannelLine {
    float slope;
    float intercept;
};

std::array<ChannelLine, 3> channel_lines(const TensorLayout& tensor);

// Row `row` of all three channels, from `width` values of grey. out: the whole tensor, 3 * height * width elements.
void write_row(const TensorLayout& tensor, const std::array<ChannelLine, 3>& channels, const float* grey,
               std::int32_t row, void* out);

// Background of a pixel of which no frame was seen. Grey lies in [0, 1], but for rounding.
inline constexpr float kEmpty = -1.0F;
// Shares of an element that was not exposed count as the same up to here: less moves its grey by less than a step of 8
// bits.
inline constexpr float kCoveredAlike = 1.0F / 256.0F;

// What a run remembers of one row of the tensor, `width` values each. contrast and change are scratch.
struct HistoryRow {
    float* background;
    float* recent;
    float* contrast;
    float* change;
};

// The same for a tensor with a history: the differences to what was remembered before, then the memory takes `grey` in.
void write_row(const TensorLayout& tensor, const std::array<ChannelLine, 3>& channels, const HistoryRow& remembered,
               const float* grey, std::int32_t row, void* out);

}  // namespace cathrt
