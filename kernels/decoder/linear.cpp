// Which variant computes a layer, and the plain one. Variants with intrinsics: linear_vnni.cpp, linear_amx.cpp.
#include "linear.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "dispatch.hpp"
#include "lane.hpp"
#include "linear_wide.hpp"

namespace cathrt::decoder {
namespace {

constexpr int kRowsAtATime = 6;
static_assert(kPanel == kLane);

// 16 half floats as floats. Their exponent is put where a float has it, and what its bias differs by is multiplied in.
CATHRT_INLINE Lane scales_of(const std::uint16_t* halves) {
    using Bits = std::uint32_t __attribute__((vector_size(sizeof(Lane))));
    using Halves = std::uint16_t __attribute__((vector_size(sizeof(Lane) / 2)));
    Halves stored;
    std::memcpy(&stored, halves, sizeof stored);
    const Bits words = __builtin_convertvector(stored, Bits);
    const Bits bits = (words & 0x7fffu) << 13 | (words & 0x8000u) << 16;
    Lane lane;
    std::memcpy(&lane, &bits, sizeof lane);
    return lane * 0x1p112f;
}

using Words = std::int32_t __attribute__((vector_size(sizeof(Lane))));

// 64 stored bytes as a word for each of the 16 outputs: 4 values of 8 bits, or 8 of 4 bits.
CATHRT_INLINE Words words_of(const std::uint8_t* stored) {
    Words words;
    std::memcpy(&words, stored, sizeof words);
    return words;
}

// The values of all outputs at one of the inputs that a word holds; those of 4 bits have 8 too much.
template <int kBits>
CATHRT_INLINE Lane values_at(const Words& words, int input) {
    if constexpr (kBits == 8) return __builtin_convertvector((words << (24 - 8 * input)) >> 24, Lane);
    return __builtin_convertvector((words >> (input / kQuad * 4 + input % kQuad * 8)) & 15, Lane);
}

template <int kBits>
constexpr int kHeld = kBits == 8 ? kQuad : 2 * kQuad;  // inputs in a word

// One group of a panel as floats, input by input, 16 outputs each.
template <int kBits>
CATHRT_INLINE void unpack(const std::uint8_t* stored, int group, const Lane& scale, float* values) {
    for (int start = 0; start < group; start += kHeld<kBits>) {
        const Words words = words_of(stored);
        stored += sizeof words;
        for (int input = 0; input < kHeld<kBits>; ++input) {
            Lane value = values_at<kBits>(words, input);
            if constexpr (kBits == 4) value -= 8.0f;
            store(value * scale, values + (start + input) * kPanel);
        }
    }
}

template <int kRows>
CATHRT_INLINE void multiply(const float* values, int group, const float* activations, std::size_t stride, float* sums) {
    Lane sum[kRows];
    for (int row = 0; row < kRows; ++row) sum[row] = load(sums + row * kPanel);
    for (int input = 0; input < group; ++input) {
        const Lane value = load(values + input * kPanel);
        for (int row = 0; row < kRows; ++row) {
            sum[row] += activations[static_cast<std::size_t>(row) * stride + static_cast<std::size_t>(input)] * value;
        }
    }
    for (int row = 0; row < kRows; ++row) store(sum[row], sums + row * kPanel);
}

CATHRT_MULTIVERSION void panel_plain(const StoredLinear& layer, int panel, const float* activations, int rows,
                                     float* values, float* sums, float* results) {
    const auto stride = static_cast<std::size_t>(layer.inputs);
    const std::uint8_t* stored = layer.weights + static_cast<std::size_t>(panel) * layer.panel_bytes();
    const std::uint16_t* halves =
        layer.scales + static_cast<std::size_t>(panel) * static_cast<std::size_t>(layer.groups() * kPanel);
    std::fill(sums, sums + rows * kPanel, 0.0f);
    for (int group = 0; group < layer.groups(); ++group) {
        const Lane scale = scales_of(halves + group * kPanel);
        const std::uint8_t* read =
            stored + static_cast<std::size_t>(group) * layer.panel_bytes() / static_cast<std::size_t>(layer.groups());
        if (layer.bits == 4) {
            unpack<4>(read, layer.group, scale, values);
        } else {
            unpack<8>(read, layer.group, scale, values);
        }
        const float* inputs = activations + static_cast<std::size_t>(group) * static_cast<std::size_t>(layer.group);
        int row = 0;
        for (; row + kRowsAtATime <= rows; row += kRowsAtATime) {
            multiply<kRowsAtATime>(values, layer.group, inputs + static_cast<std::size_t>(row) * stride, stride,
                                   sums + row * kPanel);
        }
        for (; row < rows; ++row) {
            multiply<1>(values, layer.group, inputs + static_cast<std::size_t>(row) * stride, stride,
                        sums + row * kPanel);
        }
    }
    for (int row = 0; row < rows; ++row) {
        float* result =
            results + static_cast<std::size_t>(row) * static_cast<std::size_t>(layer.outputs) + panel * kPanel;
        for (int j = 0; j < kPanel; ++j) result[j] = sums[row * kPanel + j];
    }
}

// One panel with one row. The 8 that values of 4 bits have too much is taken out by the sum of the activations.
template <int kBits>
CATHRT_INLINE void panel_row(const StoredLinear& layer, int panel, const float* activations, const float* sums,
                             float* results) {
    const std::uint8_t* stored = layer.weights + static_cast<std::size_t>(panel) * layer.panel_bytes();
    const std::uint16_t* halves =
        layer.scales + static_cast<std::size_t>(panel) * static_cast<std::size_t>(layer.groups() * kPanel);
    Lane total = {};
    for (int group = 0; group < layer.groups(); ++group) {
        Lane sum[kHeld<kBits>] = {};
        for (int start = 0; start < layer.group; start += kHeld<kBits>) {
            const Words words = words_of(stored);
            stored += sizeof words;
            for (int input = 0; input < kHeld<kBits>; ++input) {
                sum[input] += activations[input] * values_at<kBits>(words, input);
            }
            activations += kHeld<kBits>;
        }
        for (int input = 1; input < kHeld<kBits>; ++input) sum[0] += sum[input];
        if constexpr (kBits == 4) sum[0] -= 8.0f * sums[group];
        total += sum[0] * scales_of(halves + group * kPanel);
    }
    store(total, results + panel * kPanel);
}
CATHRT_MULTIVERSION void panels_of_4(const StoredLinear& layer, int first, int last, const float* activations,
                                     const float* sums, float* results) {
    for (int panel = first; panel < last; ++panel) panel_row<4>(layer, panel, activations, sums, results);
}
CATHRT_MULTIVERSION void panels_of_8(const StoredLinear& layer, int first, int last, const float* activations,
                                     const float* sums, float* results) {
    for (int panel = first; panel < last; ++panel) panel_row<8>(layer, panel, activations, sums, results);
}

void apply_row(const StoredLinear& layer, const float* activations, float* results, Threads& threads) {
    std::vector<float> sums(static_cast<std::size_t>(layer.groups()));
    for (int input = 0; input < layer.inputs; ++input)
        sums[static_cast<std::size_t>(input / layer.group)] += activations[input];
    const int panels = layer.outputs / kPanel;
    threads.run([&](int part) {
        const int parts = threads.count();
        (layer.bits == 4 ? panels_of_4 : panels_of_8)(layer, panels * part / parts, panels * (part + 1) / parts,
                                                      activations, sums.data(), results);
    });
}

void apply_plain(const StoredLinear& layer, const float* activations, int rows, float* results, Threads& threads) {
    if (rows == 1) return apply_row(layer, activations, results, threads);
    const int panels = layer.outputs / kPanel;
    threads.run([&](int part) {
        std::vector<float> values(static_cast<std::size_t>(layer.group) * kPanel);
        std::vector<float> sums(static_cast<std::size_t>(rows) * kPanel);
        const int parts = threads.count();
        for (int panel = panels * part / parts; panel < panels * (part + 1) / parts; ++panel) {
            panel_plain(layer, panel, activations, rows, values.data(), sums.data(), results);
        }
    });
}

}  // namespace

Variant widest_variant() {
#if CATHRT_WIDE
    if (amx_granted()) return Variant::amx;
    if (has_vnni()) return Variant::vnni;
#endif
    return Variant::plain;
}

void apply(const StoredLinear& layer, const float* activations, int rows, float* results, Threads& threads,
           Variant variant) {
#if CATHRT_WIDE
    if (variant != Variant::plain && rows < kFewestAmxRows) {
        return apply_vnni(layer, activations, rows, results, threads);
    }
    if (variant == Variant::amx && block_of(layer) != 0) return apply_amx(layer, activations, rows, results, threads);
    if (variant == Variant::vnni) return apply_vnni(layer, activations, rows, results, threads);
#else
    (void)variant;
#endif
    apply_plain(layer, activations, rows, results, threads);
}

}  // namespace cathrt::decoder
