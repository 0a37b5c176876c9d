// Weights of the antialiased bilinear resize along one axis. Truth: reference/ingest.py (resize_weights).
// Half-pixel centres; a triangle of half-width max(1, in / out) input pixels, cut at the edges and renormalised.
#pragma once

#include <cstdint>
#include <vector>

namespace cathrt {

// Output i is the sum over t < taps of weight(i)[t] * input[first[i] + t]. first never falls, and first[i] + taps stays
// within the input; where an output needs fewer inputs, its weights are padded with zeros.
struct ResizeAxis {
    std::int32_t taps;
    std::vector<std::int32_t> first;
    std::vector<float> weights;  // (outputs, taps)

    const float* weight(std::int32_t output) const {
        return weights.data() + static_cast<std::ptrdiff_t>(output) * taps;
    }
};

ResizeAxis resize_axis(std::int32_t size_in, std::int32_t size_out);

// Adjacent inputs, and their weights for one output and for the one after it.
inline constexpr std::int32_t kStepInputs = 5;
struct Step {
    std::int32_t first;
    std::int32_t count;  // 1 to kStepInputs
    bool begins;         // the first of its output: the next output has nothing yet
    bool completes;      // the last of its output
    float weights[kStepInputs];
    float next_weights[kStepInputs];
};

// A walk over all outputs in order. Shrinking, each input stands in one step alone, because the triangles of an output
// and of the next but one do not overlap; enlarging, each output takes its inputs anew and gives the next one nothing.
std::vector<Step> resize_steps(std::int32_t size_in, std::int32_t size_out);

}  // namespace cathrt
