#include "repeats.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "dispatch.hpp"

namespace cathrt {
namespace {

static_assert(std::endian::native == std::endian::little, "four stored values are read as one little-endian word");

// The constants of the hash, as reference/repeats.py has them: the golden ratio, and the fractions of the roots of 3
// and 7, 64 bits of each.
constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15;
constexpr std::uint64_t kRoot3 = 0xBB67AE8584CAA73B;
constexpr std::uint64_t kRoot7 = 0xA54FF53A5F1D36F1;

// Pixels looked at together, a multiple of 4: both frames' pieces stay in the first-level cache for all three loops,
// and no 32-bit sum of differences can overflow.
constexpr std::int32_t kPiece = 2048;

CATHRT_INLINE std::uint64_t mix(std::uint64_t word) {
    word = (word ^ (word >> 32)) * kRoot3;
    word = (word ^ (word >> 29)) * kRoot7;
    return word ^ (word >> 32);
}

std::uint64_t broadcast(std::uint16_t mask) { return mask * 0x0001000100010001ULL; }

// Sum over whole words of four pixels; position: of the first word, already multiplied.
CATHRT_MULTIVERSION std::uint64_t hash_words(const std::uint16_t* stored, std::int32_t words, std::uint64_t mask,
                                             std::uint64_t position) {
    std::uint64_t sum = 0;
    for (std::int32_t k = 0; k < words; ++k) {
        std::uint64_t word;
        std::memcpy(&word, stored + 4 * k, sizeof word);
        sum += mix((word & mask) + position + static_cast<std::uint64_t>(k) * kGolden);
    }
    return sum;
}

struct Differences {
    std::uint32_t sum;
    std::uint16_t max;
    std::uint16_t above;
};

CATHRT_INLINE std::uint16_t distance(std::uint16_t a, std::uint16_t b) {
    return static_cast<std::uint16_t>(a > b ? a - b : b - a);
}

CATHRT_MULTIVERSION Differences differences(const std::uint16_t* previous, const std::uint16_t* current,
                                            std::int32_t count, std::uint16_t mask, std::uint16_t limit) {
    std::uint32_t sum = 0;
    std::uint16_t max = 0, above = 0;
    for (std::int32_t x = 0; x < count; ++x) {
        const std::uint16_t apart = distance(previous[x] & mask, current[x] & mask);
        sum += apart;
        max = std::max(max, apart);
        above = static_cast<std::uint16_t>(above + (apart > limit ? 1 : 0));
    }
    return {sum, max, above};
}

CATHRT_MULTIVERSION std::uint32_t texture(const std::uint16_t* stored, std::int32_t pairs, std::uint16_t mask,
                                          std::uint16_t limit) {
    std::uint32_t sum = 0;
    for (std::int32_t x = 0; x < pairs; ++x) sum += std::min(distance(stored[x] & mask, stored[x + 1] & mask), limit);
    return sum;
}

CATHRT_MULTIVERSION void widen(const std::uint8_t* stored, std::int32_t count, std::uint16_t* __restrict wide) {
    for (std::int32_t x = 0; x < count; ++x) wide[x] = stored[x];
}

template <typename Stored>
CATHRT_INLINE bool same(const Stored* previous, const Stored* current, std::int32_t count, std::uint16_t mask) {
    Stored differing = 0;
    for (std::int32_t x = 0; x < count; ++x) differing = static_cast<Stored>(differing | (previous[x] ^ current[x]));
    return (differing & mask) == 0;
}
CATHRT_MULTIVERSION bool same_u8(const std::uint8_t* previous, const std::uint8_t* current, std::int32_t count,
                                 std::uint16_t mask) {
    return same(previous, current, count, mask);
}
CATHRT_MULTIVERSION bool same_u16(const std::uint16_t* previous, const std::uint16_t* current, std::int32_t count,
                                  std::uint16_t mask) {
    return same(previous, current, count, mask);
}

// `count` stored values of row y from column `start` on, widened into `wide` where they are bytes.
const std::uint16_t* piece(const StoredFrame& frame, std::int32_t y, std::int32_t start, std::int32_t count,
                           std::uint16_t* wide) {
    if (frame.wide) return frame.row<std::uint16_t>(y) + start;
    widen(frame.row<std::uint8_t>(y) + start, count, wide);
    return wide;
}

}  // namespace

Comparison compare_frames(const StoredFrame& previous, const StoredFrame& current, std::uint16_t limit) {
    const std::int32_t columns = current.columns;
    const auto words_of_row = static_cast<std::uint64_t>((columns + 3) / 4);
    const std::uint64_t mask = broadcast(current.mask);
    const auto shape = static_cast<std::uint64_t>(current.rows) << 32 | static_cast<std::uint64_t>(columns);
    Comparison result{mix(shape), 0, 0, 0, 0};
    std::uint16_t wide_previous[kPiece], wide_current[kPiece + 1];
    for (std::int32_t y = 0; y < current.rows; ++y) {
        for (std::int32_t start = 0; start < columns; start += kPiece) {
            const std::int32_t count = std::min(kPiece, columns - start);
            // A piece's last pixel also has a neighbour, unless the row ends with it.
            const std::int32_t pairs = std::min(count, columns - start - 1);
            const std::uint16_t* before = piece(previous, y, start, count, wide_previous);
            const std::uint16_t* now = piece(current, y, start, std::max(count, pairs + 1), wide_current);

            const std::uint64_t first =
                static_cast<std::uint64_t>(y) * words_of_row + static_cast<std::uint64_t>(start / 4);
            result.content_hash += hash_words(now, count / 4, mask, (first + 1) * kGolden);
            if (count % 4 != 0) {  // the row's last word: zeros beyond its end
                std::uint16_t rest[4] = {};
                std::copy(now + count / 4 * 4, now + count, rest);
                const std::uint64_t last = first + static_cast<std::uint64_t>(count / 4);
                result.content_hash += hash_words(rest, 1, mask, (last + 1) * kGolden);
            }
            const Differences apart = differences(before, now, count, current.mask, limit);
            result.difference_sum += apart.sum;
            result.difference_max = std::max<std::uint64_t>(result.difference_max, apart.max);
            result.above_limit += apart.above;
            result.texture += texture(now, pairs, current.mask, limit);
        }
    }
    return result;
}

bool same_pixels(const StoredFrame& previous, const StoredFrame& current) {
    for (std::int32_t y = 0; y < current.rows; ++y) {
        for (std::int32_t start = 0; start < current.columns; start += kPiece) {
            const std::int32_t count = std::min(kPiece, current.columns - start);
            const bool equal = current.wide ? same_u16(previous.row<std::uint16_t>(y) + start,
                                                       current.row<std::uint16_t>(y) + start, count, current.mask)
                                            : same_u8(previous.row<std::uint8_t>(y) + start,
                                                      current.row<std::uint8_t>(y) + start, count, current.mask);
            if (!equal) return false;
        }
    }
    return true;
}

}  // namespace cathrt
