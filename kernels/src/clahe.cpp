// Variants tried and their time: docs/kernels.md.
#include "clahe.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "dispatch.hpp"

namespace cathrt {
namespace {

// Pixels are read in words of this many bytes and counted in as many separate tables as a word has pixels: equal
// neighbours are the rule, and so no increment waits for the store of the one before.
constexpr std::int32_t kWord = 8;
template <typename Stored>
constexpr std::int32_t kPixels = kWord / static_cast<std::int32_t>(sizeof(Stored));
// From a bin to the same bin of the next table: never a multiple of 4 KiB, where a load waits for a store to another
// table because their addresses end alike.
template <typename Stored>
constexpr std::ptrdiff_t kPart = (sizeof(Stored) == 1 ? 256 : 1 << kMostBinsLog2) + 32;
constexpr std::ptrdiff_t kPartsSize =
    std::max(kPixels<std::uint8_t> * kPart<std::uint8_t>, kPixels<std::uint16_t>* kPart<std::uint16_t>);
// Pixels looked up at once; what they need stays in the first-level cache beside a cell's tables.
constexpr std::int32_t kChunk = 256;

// The nearest integer, ties to even, of 0 <= value < 2**22: this addend leaves it in the low bits of the sum.
CATHRT_INLINE std::uint32_t rounded(float value) { return std::bit_cast<std::uint32_t>(value + 12582912.0F); }

// From stored value to bin: unused high bits off, then low bits beyond the bins off.
struct Binning {
    std::uint16_t kept;
    int shift;
    std::uint32_t operator()(std::uint32_t stored) const { return (stored & kept) >> shift; }
};

Binning binning_of(int bits_stored) {
    const int shift = std::max(0, bits_stored - kMostBinsLog2);
    return {static_cast<std::uint16_t>((1U << bits_stored) - (1U << shift)), shift};
}

// Calls each(place, bin, lane) for `count` pixels; lane: place within a word.
template <typename Stored, typename Each>
CATHRT_INLINE void for_each_bin(const Stored* row, std::int32_t count, Binning binning, Each each) {
    constexpr std::uint64_t lanes = ~std::uint64_t{0} / static_cast<Stored>(~Stored{0});  // 1 in every lane
    const std::uint64_t kept = binning.kept * lanes;
    std::int32_t x = 0;
    for (; x + kPixels<Stored> <= count; x += kPixels<Stored>) {
        std::uint64_t word;
        std::memcpy(&word, row + x, kWord);
        word = (word & kept) >> binning.shift;
        // Keeps the word in a general register: of a vector each lane would have to be taken out again.
        asm("" : "+r"(word));
        for (std::int32_t lane = 0; lane < kPixels<Stored>; ++lane)
            each(x + lane, static_cast<Stored>(word >> (lane * 8 * static_cast<std::int32_t>(sizeof(Stored)))), lane);
    }
    for (; x < count; ++x) each(x, binning(row[x]), 0);
}

template <typename Stored>
void count_row(const Stored* row, std::int32_t count, Binning binning, std::uint16_t* parts) {
    for_each_bin(row, count, binning,
                 [=](std::int32_t, std::uint32_t bin, std::int32_t part) { ++parts[part * kPart<Stored> + bin]; });
}

// Adds `count` parts, `part_size` apart, to the counts and empties them.
CATHRT_MULTIVERSION void take_parts(std::uint16_t* __restrict parts, std::ptrdiff_t count, std::ptrdiff_t part_size,
                                    std::int32_t bins, std::int32_t* __restrict counts) {
    for (std::ptrdiff_t part = 0; part < count; ++part)
        for (std::ptrdiff_t bin = 0; bin < bins; ++bin) counts[bin] += parts[part * part_size + bin];
    std::memset(parts, 0, static_cast<std::size_t>(count * part_size) * sizeof *parts);
}

// Cuts the counts at `most`; returns how many were cut.
CATHRT_MULTIVERSION std::int32_t clip(std::int32_t* counts, std::ptrdiff_t bins, std::int32_t most) {
    std::int32_t cut = 0;
    for (std::ptrdiff_t bin = 0; bin < bins; ++bin) {
        const std::int32_t kept = std::min(counts[bin], most);
        cut += counts[bin] - kept;
        counts[bin] = kept;
    }
    return cut;
}

CATHRT_MULTIVERSION void scale_sums(const std::int32_t* sums, std::ptrdiff_t bins, float scale,
                                    std::uint16_t* __restrict table) {
    for (std::ptrdiff_t bin = 0; bin < bins; ++bin)
        table[bin] = static_cast<std::uint16_t>(rounded(static_cast<float>(sums[bin]) * scale));
}

// counts of one tile to its table; the counts are used up.
void make_table(std::int32_t* counts, std::int32_t bins, std::int32_t most, float scale, std::uint16_t* table) {
    const std::int32_t cut = clip(counts, bins, most);
    const std::int32_t each = cut / bins;
    const std::int32_t rest = cut % bins;
    const std::int32_t step = rest > 0 ? bins / rest : 0;
    for (std::int32_t i = 0; i < rest; ++i) ++counts[i * step];
    std::int32_t sum = 0;
    for (std::int32_t bin = 0; bin < bins; ++bin) {
        sum += counts[bin] + each;
        counts[bin] = sum;
    }
    scale_sums(counts, bins, scale, table);
}

// Four tables of 16 bits into one of 64, so that one load finds all that a pixel needs. Upper and lower tile stand side
// by side, because they are mixed first.
CATHRT_MULTIVERSION void interleave(const std::uint16_t* const tables[4], std::ptrdiff_t bins,
                                    std::uint64_t* __restrict quads) {
    auto* entries = reinterpret_cast<std::uint16_t*>(quads);
    const std::uint16_t *upper_left = tables[0], *lower_left = tables[1];
    const std::uint16_t *upper_right = tables[2], *lower_right = tables[3];
    for (std::ptrdiff_t bin = 0; bin < bins; ++bin) {
        entries[4 * bin] = upper_left[bin];
        entries[4 * bin + 1] = lower_left[bin];
        entries[4 * bin + 2] = upper_right[bin];
        entries[4 * bin + 3] = lower_right[bin];
    }
}

// Not multiversioned on purpose: with AVX2 the compiler might gather, which is slower than loads one by one.
template <typename Stored>
void look_up(const Stored* row, std::int32_t count, Binning binning, const std::uint64_t* quads,
             std::uint64_t* __restrict found) {
    for_each_bin(row, count, binning, [=](std::int32_t x, std::uint32_t bin, std::int32_t) { found[x] = quads[bin]; });
}

// found: (count,) quads as 2 * count pairs of 16 bits, upper tile in the low half; left pair, right pair by turns.
template <typename Stored>
CATHRT_INLINE void mix(const std::uint32_t* found, std::int32_t count, float down, const float* across, Stored* out) {
    float sides[2 * kChunk];
    for (std::int32_t i = 0; i < 2 * count; ++i) {
        const auto upper = static_cast<std::int32_t>(found[i] & 0xFFFFU);
        const auto lower = static_cast<std::int32_t>(found[i] >> 16U);
        sides[i] = static_cast<float>(upper) + static_cast<float>(lower - upper) * down;
    }
    for (std::int32_t x = 0; x < count; ++x)
        out[x] = static_cast<Stored>(rounded(sides[2 * x] + (sides[2 * x + 1] - sides[2 * x]) * across[x]));
}
CATHRT_MULTIVERSION void mix_u8(const std::uint32_t* found, std::int32_t count, float down, const float* across,
                                std::uint8_t* __restrict out) {
    mix(found, count, down, across, out);
}
CATHRT_MULTIVERSION void mix_u16(const std::uint32_t* found, std::int32_t count, float down, const float* across,
                                 std::uint16_t* __restrict out) {
    mix(found, count, down, across, out);
}

}  // namespace

std::int32_t TiledSide::mirrored(std::int32_t place) const {
    if (size == 1) return 0;
    const std::int32_t within = place % (2 * (size - 1));
    return within < size ? within : 2 * (size - 1) - within;
}

std::int32_t TiledSide::cell_start(std::int32_t cell) const {
    if (cell == 0) return 0;
    return cell > tiles ? size : std::min(size, ((2 * cell - 1) * tile + 1) / 2);
}

float TiledSide::share(std::int32_t place, std::int32_t cell) const {
    return static_cast<float>(static_cast<double>(2 * place - (2 * cell - 1) * tile) / (2.0 * tile));
}

TiledSide tiled_side(std::int32_t size, std::int32_t tiles, bool both_divide) {
    return {size, tiles, both_divide ? size / tiles : size / tiles + 1};
}

Clahe::Clahe(TiledSide down, TiledSide across, int bits_stored, double clip_limit)
    : down_(down),
      across_(across),
      bits_stored_(bits_stored),
      bins_(std::int32_t{1} << std::min(bits_stored, kMostBinsLog2)),
      column_share_(static_cast<std::size_t>(across.size)),
      parts_(static_cast<std::size_t>(kPartsSize)),
      counts_(static_cast<std::size_t>(bins_)),
      tables_(static_cast<std::size_t>(down.tiles * across.tiles) * static_cast<std::size_t>(bins_)),
      quads_(static_cast<std::size_t>(bins_)) {
    const double pixels = static_cast<double>(down.tile) * across.tile;
    clip_count_ =
        static_cast<std::int32_t>(clip_limit == 0.0 ? pixels : std::clamp(clip_limit * pixels / bins_, 1.0, pixels));
    for (std::int32_t x = across.size; x < across.tiles * across.tile; ++x) beyond_.push_back(across.mirrored(x));
    for (std::int32_t cell = 0; cell <= across.tiles; ++cell)
        for (std::int32_t x = across.cell_start(cell); x < across.cell_start(cell + 1); ++x)
            column_share_[static_cast<std::size_t>(x)] = across.share(x, cell);
}

std::uint16_t* Clahe::table(std::int32_t tile_down, std::int32_t tile_across) {
    return tables_.data() + static_cast<std::ptrdiff_t>(tile_down * across_.tiles + tile_across) * bins_;
}

template <typename Stored>
void Clahe::count_tile(const StoredFrame& frame, std::int32_t tile_down, std::int32_t tile_across) {
    const std::int32_t left = tile_across * across_.tile;
    const std::int32_t right = left + across_.tile;
    const std::int32_t inside = std::clamp(across_.size - left, 0, across_.tile);
    // No 16-bit count overflows within so many rows: a row adds at most this to one of them.
    const std::int32_t most_a_row = inside / kPixels<Stored> + kPixels<Stored> + across_.tile - inside;
    const std::int32_t rows_at_once = 65535 / most_a_row;
    const Binning binning = binning_of(bits_stored_);
    std::fill(counts_.begin(), counts_.end(), 0);
    for (std::int32_t y = 0; y < down_.tile; ++y) {
        const auto* row = frame.row<Stored>(down_.mirrored(tile_down * down_.tile + y));
        count_row(row + left, inside, binning, parts_.data());
        for (std::int32_t x = left + inside; x < right; ++x)
            ++parts_[binning(row[beyond_[static_cast<std::size_t>(x - across_.size)]])];
        if ((y + 1) % rows_at_once == 0 || y + 1 == down_.tile)
            take_parts(parts_.data(), kPixels<Stored>, kPart<Stored>, bins_, counts_.data());
    }
}

template <typename Stored>
void Clahe::equalise_cell(const StoredFrame& frame, std::int32_t cell_down, std::int32_t cell_across, std::byte* out,
                          std::ptrdiff_t out_stride) {
    const std::int32_t left = across_.cell_start(cell_across), right = across_.cell_start(cell_across + 1);
    const std::int32_t top = down_.cell_start(cell_down), bottom = down_.cell_start(cell_down + 1);
    if (left == right || top == bottom) return;
    const std::int32_t above = std::max(cell_down - 1, 0), below = std::min(cell_down, down_.tiles - 1);
    const std::int32_t before = std::max(cell_across - 1, 0), after = std::min(cell_across, across_.tiles - 1);
    const std::uint16_t* tables[4] = {table(above, before), table(below, before), table(above, after),
                                      table(below, after)};
    interleave(tables, bins_, quads_.data());
    std::uint64_t found[kChunk];
    for (std::int32_t y = top; y < bottom; ++y) {
        auto* row_out = reinterpret_cast<Stored*>(out + y * out_stride);
        const float down = down_.share(y, cell_down);
        for (std::int32_t x = left; x < right; x += kChunk) {
            const std::int32_t count = std::min(kChunk, right - x);
            look_up(frame.row<Stored>(y) + x, count, binning_of(bits_stored_), quads_.data(), found);
            const auto* pairs = reinterpret_cast<const std::uint32_t*>(found);
            if constexpr (sizeof(Stored) == 1)
                mix_u8(pairs, count, down, &column_share_[static_cast<std::size_t>(x)], row_out + x);
            else
                mix_u16(pairs, count, down, &column_share_[static_cast<std::size_t>(x)], row_out + x);
        }
    }
}

void Clahe::run(const StoredFrame& frame, std::byte* out, std::ptrdiff_t out_stride) {
    const double top = static_cast<double>((1 << bits_stored_) - 1);
    const auto scale = static_cast<float>(top / (static_cast<double>(down_.tile) * across_.tile));
    for (std::int32_t y = 0; y < down_.tiles; ++y) {
        for (std::int32_t x = 0; x < across_.tiles; ++x) {
            if (frame.wide)
                count_tile<std::uint16_t>(frame, y, x);
            else
                count_tile<std::uint8_t>(frame, y, x);
            make_table(counts_.data(), bins_, clip_count_, scale, table(y, x));
        }
    }
    for (std::int32_t y = 0; y <= down_.tiles; ++y) {
        for (std::int32_t x = 0; x <= across_.tiles; ++x) {
            if (frame.wide)
                equalise_cell<std::uint16_t>(frame, y, x, out, out_stride);
            else
                equalise_cell<std::uint8_t>(frame, y, x, out, out_stride);
        }
    }
}

}  // namespace cathrt
