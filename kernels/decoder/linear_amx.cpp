// Many rows at once with AMX. Weights of a block of inputs are brought to 8 bits with one scale an output, so that the
// products of the whole block are whole numbers, and are used by all rows before the next ones are unpacked.
#include "linear_wide.hpp"

#if CATHRT_WIDE
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

namespace cathrt::decoder {
namespace {

constexpr int kTile = 16;             // rows of a tile; 64 bytes each
constexpr int kStep = 64;             // inputs of one tile
constexpr int kRows = 2 * kTile;      // computed together
constexpr int kPanels = 16;           // unpacked together: 128 KB a block of 512 inputs, in the second-level cache
constexpr int kMostBlock = 512;       // longer blocks round activations more coarsely, shorter ones add more sums
constexpr int kSumLimit = 127 * 127;  // of one product; 512 of them stay far below 2^31

struct alignas(64) TileSettings {
    std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
    std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileSettings) == 64);
static_assert(static_cast<long long>(kSumLimit) * kMostBlock < (1ll << 31));

struct FreeAligned {
    void operator()(std::int8_t* memory) const { std::free(memory); }
};
using Bytes = std::unique_ptr<std::int8_t[], FreeAligned>;

Bytes aligned_bytes(std::size_t size) {
    void* memory = std::aligned_alloc(64, (size + 63) / 64 * 64);
    if (memory == nullptr) throw std::bad_alloc();
    return Bytes(static_cast<std::int8_t*>(memory));
}

CATHRT_AMX void configure_tiles() {
    TileSettings settings;
    // GCC 12 drops the stores to `settings` before the instruction that reads them.
    asm volatile("" : : "r"(&settings) : "memory");
    _tile_loadconfig(&settings);
}

// One block of a panel as signed bytes with one scale an output: what a tile of weights reads, step by step.
template <int kBits>
CATHRT_AMX void unpack(const StoredLinear& layer, int panel, int block, int length, std::int8_t* bytes, float* scales) {
    const int groups = length / layer.group, first_group = block * groups;
    const std::uint16_t* halves =
        layer.scales + (static_cast<std::size_t>(panel) * static_cast<std::size_t>(layer.groups()) +
                        static_cast<std::size_t>(first_group)) *
                           kPanel;
    const std::uint8_t* stored =
        layer.weights + static_cast<std::size_t>(panel) * layer.panel_bytes() +
        static_cast<std::size_t>(block) * static_cast<std::size_t>(length * kPanel * kBits / 8);
    const auto scale_of = [halves](int group) CATHRT_AMX {
        return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(halves + group * kPanel)));
    };
    __m512 most = _mm512_setzero_ps();
    for (int group = 0; group < groups; ++group) most = _mm512_max_ps(most, _mm512_abs_ps(scale_of(group)));
    constexpr float kLargest = kBits == 4 ? 8.0f : 127.0f;
    const __m512 common = _mm512_mul_ps(most, _mm512_set1_ps(kLargest / 127.0f));
    _mm512_storeu_ps(scales, common);
    const __mmask16 some = _mm512_cmp_ps_mask(most, _mm512_setzero_ps(), _CMP_GT_OQ);
    const __m512 factor = _mm512_maskz_div_ps(some, _mm512_set1_ps(256.0f), common);
    const __m512i low = _mm512_set1_epi8(0x0f), eight = _mm512_set1_epi8(8), half = _mm512_set1_epi16(128);
    // Each 16-byte lane holds four outputs; unpacking its low half gives the first two of them.
    const __m512i of_low = _mm512_set_epi16(13, 13, 13, 13, 12, 12, 12, 12, 9, 9, 9, 9, 8, 8, 8, 8, 5, 5, 5, 5, 4, 4, 4,
                                            4, 1, 1, 1, 1, 0, 0, 0, 0);
    const __m512i of_high = _mm512_add_epi16(of_low, _mm512_set1_epi16(2));
    for (int group = 0; group < groups; ++group) {
        const __m512i factors =
            _mm512_castsi256_si512(_mm512_cvtepi32_epi16(_mm512_cvtps_epi32(_mm512_mul_ps(scale_of(group), factor))));
        const __m512i low_factors = _mm512_permutexvar_epi16(of_low, factors);
        const __m512i high_factors = _mm512_permutexvar_epi16(of_high, factors);
        for (int input = 0; input < layer.group; input += kQuad) {
            __m512i values;
            if constexpr (kBits == 4) {
                const __m512i both = _mm512_loadu_si512(stored);
                const bool last_four = input / kQuad % 2 != 0;
                values = _mm512_sub_epi8(_mm512_and_si512(last_four ? _mm512_srli_epi16(both, 4) : both, low), eight);
                if (last_four) stored += 64;
            } else {
                values = _mm512_loadu_si512(stored);
                stored += 64;
            }
            __m512i first = _mm512_srai_epi16(_mm512_unpacklo_epi8(values, values), 8);
            __m512i second = _mm512_srai_epi16(_mm512_unpackhi_epi8(values, values), 8);
            first = _mm512_srai_epi16(_mm512_add_epi16(_mm512_mullo_epi16(first, low_factors), half), 8);
            second = _mm512_srai_epi16(_mm512_add_epi16(_mm512_mullo_epi16(second, high_factors), half), 8);
            _mm512_store_si512(bytes, _mm512_packs_epi16(first, second));
            bytes += 64;
        }
    }
}

// The rows' activations as bytes, block by block.
struct Rounded {
    const std::int8_t* bytes;  // (blocks, padded rows, block)
    const float* scales;       // (blocks, padded rows)
    int rows, padded, block;
};

// Two tiles of rows times two panels, added to sums (padded rows, panels x 16), or brought to the results at the end.
CATHRT_AMX void two_by_two(const Rounded& in, int block_number, int row, const std::int8_t* left,
                           const std::int8_t* right, const float* left_scales, const float* right_scales, float* sums,
                           std::size_t stride, bool add) {
    alignas(64) std::int32_t products[4][kTile * kTile];
    const auto block = static_cast<std::size_t>(in.block);
    const std::int8_t* upper =
        in.bytes +
        (static_cast<std::size_t>(block_number) * static_cast<std::size_t>(in.padded) + static_cast<std::size_t>(row)) *
            block;
    const std::int8_t* lower = upper + kTile * block;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (std::size_t input = 0; input < block; input += kStep) {
        _tile_loadd(4, upper + input, in.block);
        _tile_loadd(6, left + input * kPanel, 64);
        _tile_dpbssd(0, 4, 6);
        _tile_loadd(7, right + input * kPanel, 64);
        _tile_dpbssd(1, 4, 7);
        _tile_loadd(5, lower + input, in.block);
        _tile_dpbssd(2, 5, 6);
        _tile_dpbssd(3, 5, 7);
    }
    _tile_stored(0, products[0], 64);
    _tile_stored(1, products[1], 64);
    _tile_stored(2, products[2], 64);
    _tile_stored(3, products[3], 64);
    const __m512 left_scale = _mm512_loadu_ps(left_scales), right_scale = _mm512_loadu_ps(right_scales);
    const float* row_scales =
        in.scales + static_cast<std::size_t>(block_number) * static_cast<std::size_t>(in.padded) + row;
    for (int r = 0; r < kRows; ++r) {
        const __m512 scale = _mm512_set1_ps(row_scales[r]);
        const std::int32_t* product = products[r / kTile * 2] + r % kTile * kTile;
        __m512 a = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_load_si512(product)), _mm512_mul_ps(left_scale, scale));
        __m512 b = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_load_si512(product + kTile * kTile)),
                                 _mm512_mul_ps(right_scale, scale));
        float* sum = sums + static_cast<std::size_t>(r) * stride;
        if (add) {
            a = _mm512_add_ps(a, _mm512_loadu_ps(sum));
            b = _mm512_add_ps(b, _mm512_loadu_ps(sum + kPanel));
        }
        _mm512_storeu_ps(sum, a);
        _mm512_storeu_ps(sum + kPanel, b);
    }
}

CATHRT_AMX void panels(const StoredLinear& layer, const Rounded& in, int first, int last, float* results) {
    configure_tiles();
    const auto block = static_cast<std::size_t>(in.block);
    const int blocks = layer.inputs / in.block;
    const Bytes unpacked = aligned_bytes(kPanels * kPanel * block);
    float scales[kPanels * kPanel] = {};
    constexpr std::size_t kStride = kPanels * kPanel;
    std::vector<float> sums(static_cast<std::size_t>(in.padded) * kStride);
    for (int panel = first; panel < last; panel += kPanels) {
        const int count = std::min(kPanels, last - panel);
        for (int number = 0; number < blocks; ++number) {
            for (int j = 0; j < count; ++j) {
                (layer.bits == 4 ? unpack<4> : unpack<8>)(layer, panel + j, number, in.block,
                                                          unpacked.get() + static_cast<std::size_t>(j) * kPanel * block,
                                                          scales + j * kPanel);
            }
            for (int row = 0; row < in.padded; row += kRows) {
                // Of an odd number of panels the last is computed twice; the buffer has room for it.
                for (int j = 0; j < count; j += 2) {
                    const std::int8_t* left = unpacked.get() + static_cast<std::size_t>(j) * kPanel * block;
                    const bool pair = j + 1 < count;
                    two_by_two(
                        in, number, row, left, pair ? left + kPanel * block : left, scales + j * kPanel,
                        scales + (pair ? j + 1 : j) * kPanel,
                        sums.data() + static_cast<std::size_t>(row) * kStride + static_cast<std::size_t>(j * kPanel),
                        kStride, number > 0);
                }
            }
        }
        for (int row = 0; row < in.rows; ++row) {
            std::memcpy(
                results + static_cast<std::size_t>(row) * static_cast<std::size_t>(layer.outputs) + panel * kPanel,
                sums.data() + static_cast<std::size_t>(row) * kStride,
                static_cast<std::size_t>(count) * kPanel * sizeof(float));
        }
    }
    _tile_release();
}

}  // namespace

bool amx_granted() {
    constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM of arch_prctl(2)
    constexpr long kTileData = 18;
    constexpr unsigned kAmxTile = 1u << 24, kAmxInt8 = 1u << 25;  // CPUID 7, EDX
    static const bool granted = [] {
        unsigned a = 0, b = 0, c = 0, d = 0;
        asm volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(0));
        return (d & kAmxTile) != 0 && (d & kAmxInt8) != 0 && has_vnni() &&
               syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
    }();
    return granted;
}

int block_of(const StoredLinear& layer) {
    for (int block = std::min(kMostBlock, layer.inputs) / kStep * kStep; block > 0; block -= kStep) {
        if (layer.inputs % block == 0 && block % layer.group == 0) return block;
    }
    return 0;
}

void apply_amx(const StoredLinear& layer, const float* activations, int rows, float* results, Threads& threads) {
    const int block = block_of(layer), blocks = layer.inputs / block, padded = (rows + kRows - 1) / kRows * kRows;
    const auto inputs = static_cast<std::size_t>(layer.inputs);
    const Bytes bytes = aligned_bytes(static_cast<std::size_t>(padded) * inputs);
    std::vector<float> scales(static_cast<std::size_t>(padded) * static_cast<std::size_t>(blocks));
    const int parts = threads.count();
    threads.run([&](int part) {
        for (int row = padded * part / parts; row < padded * (part + 1) / parts; ++row) {
            for (int number = 0; number < blocks; ++number) {
                const std::size_t place =
                    static_cast<std::size_t>(number) * static_cast<std::size_t>(padded) + static_cast<std::size_t>(row);
                std::int8_t* rounded = bytes.get() + place * static_cast<std::size_t>(block);
                if (row < rows) {
                    round_row(
                        activations + static_cast<std::size_t>(row) * inputs + static_cast<std::size_t>(number * block),
                        block, block, rounded, &scales[place], nullptr);
                } else {
                    std::memset(rounded, 0, static_cast<std::size_t>(block));
                }
            }
        }
    });
    const Rounded in{bytes.get(), scales.data(), rows, padded, block};
    const int panel_count = layer.outputs / kPanel;
    threads.run(
        [&](int part) { panels(layer, in, panel_count * part / parts, panel_count * (part + 1) / parts, results); });
}

}  // namespace cathrt::decoder
#endif
