#include "resize.hpp"

#include <algorithm>
#include <cmath>

namespace cathrt {
namespace {

// Inputs [first, last) whose triangle weight is above zero, and the weights themselves.
struct Reach {
    std::int32_t first;
    std::vector<double> weights;
};

Reach reach(std::int32_t output, std::int32_t size_in, double scale) {
    const double support = std::max(scale, 1.0);
    const double centre = (output + 0.5) * scale;
    const auto first = std::max(0, static_cast<std::int32_t>(std::floor(centre - support)));
    const auto last = std::min(size_in, static_cast<std::int32_t>(std::ceil(centre + support)));
    Reach result{first, {}};
    double sum = 0.0;
    for (std::int32_t x = first; x < last; ++x) {
        result.weights.push_back(std::max(0.0, 1.0 - std::abs(x + 0.5 - centre) / support));
        sum += result.weights.back();
    }
    for (double& weight : result.weights) weight /= sum;
    // Zeros at the ends cost time in every frame.
    while (result.weights.back() == 0.0) result.weights.pop_back();
    const auto zeros = std::find_if(result.weights.begin(), result.weights.end(), [](double w) { return w > 0.0; });
    result.first += static_cast<std::int32_t>(zeros - result.weights.begin());
    result.weights.erase(result.weights.begin(), zeros);
    return result;
}

}  // namespace

ResizeAxis resize_axis(std::int32_t size_in, std::int32_t size_out) {
    const double scale = static_cast<double>(size_in) / size_out;
    std::vector<Reach> reaches;
    std::size_t taps = 0;
    for (std::int32_t i = 0; i < size_out; ++i) {
        reaches.push_back(reach(i, size_in, scale));
        taps = std::max(taps, reaches.back().weights.size());
    }
    ResizeAxis axis{static_cast<std::int32_t>(taps), {}, std::vector<float>(reaches.size() * taps, 0.0F)};
    for (std::size_t i = 0; i < reaches.size(); ++i) {
        const std::int32_t first = std::min(reaches[i].first, size_in - axis.taps);
        const std::size_t shift = static_cast<std::size_t>(reaches[i].first - first);
        for (std::size_t t = 0; t < reaches[i].weights.size(); ++t)
            axis.weights[i * taps + shift + t] = static_cast<float>(reaches[i].weights[t]);
        axis.first.push_back(first);
    }
    return axis;
}

std::vector<Step> resize_steps(std::int32_t size_in, std::int32_t size_out) {
    const ResizeAxis axis = resize_axis(size_in, size_out);
    const auto weight = [&axis, size_out](std::int32_t output, std::int32_t input) {
        if (output == size_out) return 0.0F;
        const std::int32_t tap = input - axis.first[static_cast<std::size_t>(output)];
        return 0 <= tap && tap < axis.taps ? axis.weight(output)[tap] : 0.0F;
    };
    const bool shrinks = size_in >= size_out;
    std::vector<Step> steps;
    std::int32_t first = 0;
    for (std::int32_t i = 0; i < size_out; ++i) {
        if (!shrinks) first = axis.first[static_cast<std::size_t>(i)];
        std::int32_t stop = axis.first[static_cast<std::size_t>(i)] + axis.taps;
        while (weight(i, stop - 1) == 0.0F) --stop;
        for (std::int32_t x = first; x < stop; x += kStepInputs) {
            Step step{x, std::min(kStepInputs, stop - x), x == first, x + kStepInputs >= stop, {}, {}};
            for (std::int32_t k = 0; k < step.count; ++k) {
                step.weights[k] = weight(i, x + k);
                step.next_weights[k] = shrinks ? weight(i + 1, x + k) : 0.0F;
            }
            steps.push_back(step);
        }
        first = stop;
    }
    return steps;
}

}  // namespace cathrt
