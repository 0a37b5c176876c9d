// One row at a time with AVX-512 VNNI: bound by how fast weights are read.
#include "linear_wide.hpp"

#if CATHRT_WIDE
#include <immintrin.h>

#include <cstring>
#include <vector>

namespace cathrt::decoder {
namespace {

constexpr int kAhead = 4096;  // bytes: weights are asked for so long before they are read

CATHRT_VNNI inline __m512i spread(const std::int8_t* quad) {
    std::int32_t four;
    std::memcpy(&four, quad, sizeof four);
    return _mm512_set1_epi32(four);
}

// Products are of unsigned weights: 8 or 128 is added to each, and taken out again by the sum of the activations.
template <int kBits>
CATHRT_VNNI void panels(const StoredLinear& layer, int first, int last, const std::int8_t* row, const float* row_scales,
                        const std::int32_t* sums, float* results) {
    const __m512i low = _mm512_set1_epi8(0x0f), flip = _mm512_set1_epi8(static_cast<char>(0x80));
    for (int panel = first; panel < last; ++panel) {
        const std::uint8_t* stored = layer.weights + static_cast<std::size_t>(panel) * layer.panel_bytes();
        const std::uint16_t* halves =
            layer.scales + static_cast<std::size_t>(panel) * static_cast<std::size_t>(layer.groups() * kPanel);
        const std::int8_t* read = row;
        __m512 total = _mm512_setzero_ps();
        for (int group = 0; group < layer.groups(); ++group) {
            __m512i even = _mm512_setzero_si512(), odd = _mm512_setzero_si512();
            for (int input = 0; input < layer.group; input += 2 * kQuad) {
                __m512i first_four, last_four;
                if constexpr (kBits == 4) {
                    const __m512i both = _mm512_loadu_si512(stored);
                    first_four = _mm512_and_si512(both, low);
                    last_four = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
                    stored += 64;
                } else {
                    first_four = _mm512_xor_si512(_mm512_loadu_si512(stored), flip);
                    last_four = _mm512_xor_si512(_mm512_loadu_si512(stored + 64), flip);
                    stored += 128;
                }
                _mm_prefetch(reinterpret_cast<const char*>(stored) + kAhead, _MM_HINT_T0);
                even = _mm512_dpbusd_epi32(even, first_four, spread(read));
                odd = _mm512_dpbusd_epi32(odd, last_four, spread(read + kQuad));
                read += 2 * kQuad;
            }
            const __m512i added = _mm512_set1_epi32((kBits == 4 ? 8 : 128) * sums[group]);
            const __m512i exact = _mm512_sub_epi32(_mm512_add_epi32(even, odd), added);
            const __m512 scale = _mm512_mul_ps(
                _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(halves + group * kPanel))),
                _mm512_set1_ps(row_scales[group]));
            total = _mm512_fmadd_ps(_mm512_cvtepi32_ps(exact), scale, total);
        }
        _mm512_storeu_ps(results + panel * kPanel, total);
    }
}

}  // namespace

bool has_vnni() {
    return __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

CATHRT_VNNI void round_row(const float* activations, int inputs, int group, std::int8_t* rounded, float* scales,
                           std::int32_t* sums) {
    for (int start = 0; start < inputs; start += group) {
        const float* read = activations + start;
        __m512 most = _mm512_setzero_ps();
        for (int i = 0; i < group; i += 16) {
            const auto mask = static_cast<__mmask16>(group - i >= 16 ? 0xffff : 0x00ff);
            most = _mm512_max_ps(most, _mm512_abs_ps(_mm512_maskz_loadu_ps(mask, read + i)));
        }
        const float largest = _mm512_reduce_max_ps(most);
        const float scale = largest / 127.0f;
        scales[start / group] = scale;
        const __m512 inverse = _mm512_set1_ps(largest > 0.0f ? 127.0f / largest : 0.0f);
        __m512i sum = _mm512_setzero_si512();
        for (int i = 0; i < group; i += 16) {
            const auto mask = static_cast<__mmask16>(group - i >= 16 ? 0xffff : 0x00ff);
            const __m512i whole = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_maskz_loadu_ps(mask, read + i), inverse));
            sum = _mm512_add_epi32(sum, whole);
            _mm512_mask_cvtsepi32_storeu_epi8(rounded + start + i, mask, whole);
        }
        if (sums != nullptr) sums[start / group] = _mm512_reduce_add_epi32(sum);
    }
}

void apply_vnni(const StoredLinear& layer, const float* activations, int rows, float* results, Threads& threads) {
    const auto groups = static_cast<std::size_t>(layer.groups());
    std::vector<std::int8_t> rounded(static_cast<std::size_t>(layer.inputs));
    std::vector<float> scales(groups);
    std::vector<std::int32_t> sums(groups);
    const int panel_count = layer.outputs / kPanel;
    for (int row = 0; row < rows; ++row) {
        const float* read = activations + static_cast<std::size_t>(row) * static_cast<std::size_t>(layer.inputs);
        float* result = results + static_cast<std::size_t>(row) * static_cast<std::size_t>(layer.outputs);
        round_row(read, layer.inputs, layer.group, rounded.data(), scales.data(), sums.data());
        threads.run([&](int part) {
            const int parts = threads.count();
            const int first = panel_count * part / parts, last = panel_count * (part + 1) / parts;
            (layer.bits == 4 ? panels<4> : panels<8>)(layer, first, last, rounded.data(), scales.data(), sums.data(),
                                                      result);
        });
    }
}

}  // namespace cathrt::decoder
#endif
