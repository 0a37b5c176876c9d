// The engine's input tensor: its layout, its element type, and one row of grey written into it.
// Truth: reference/ingest.py (normalise, as_element). Not for: where grey comes from (ingest.hpp).
#pragma once

#include <array>
#include <cstdint>

namespace cathrt {

// What the engine reads. kFloat16: IEEE half, nearest, ties to even. kInt8: clamp(rint(value / scale), -128, 127).
enum class Element { kFloat32, kFloat16, kInt8 };

// Three equal channels, (grey - mean) / std, NCHW or NHWC. masked_value: grey of what was not exposed.
// scale: the engine's quantisation step, of kInt8 only.
struct TensorLayout {
    std::int32_t height;
    std::int32_t width;
    bool channels_last;
    std::array<float, 3> mean;
    std::array<float, 3> std;
    float masked_value;
    Element element = Element::kFloat32;
    float scale = 1.0F;
};

// value = grey * slope + intercept, in the engine's steps: what one channel makes of grey before it is rounded.
struct ChannelLine {
    float slope;
    float intercept;
};

std::array<ChannelLine, 3> channel_lines(const TensorLayout& tensor);

// Row `row` of all three channels, from `width` values of grey. out: the whole tensor, 3 * height * width elements.
void write_row(const TensorLayout& tensor, const std::array<ChannelLine, 3>& channels, const float* grey,
               std::int32_t row, void* out);

}  // namespace cathrt
