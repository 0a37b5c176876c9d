// Variants tried and their time: docs/kernels.md.
#include "histogram.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "dispatch.hpp"

namespace cathrt {
namespace {

// Equal neighbours are the rule in an X-ray frame. Counting them in turn in separate tables keeps one increment from
// waiting for the store of the one before.
constexpr std::size_t kParts = 4;

template <typename Stored>
CATHRT_INLINE void count_row(const Stored* row, Span span, unsigned mask, std::uint32_t* parts, std::size_t size) {
    std::uint32_t* p0 = parts;
    std::uint32_t* p1 = p0 + size;
    std::uint32_t* p2 = p1 + size;
    std::uint32_t* p3 = p2 + size;
    std::int32_t x = span.start;
    for (; x + 4 <= span.stop; x += 4) {
        ++p0[row[x] & mask];
        ++p1[row[x + 1] & mask];
        ++p2[row[x + 2] & mask];
        ++p3[row[x + 3] & mask];
    }
    for (; x < span.stop; ++x) ++p0[row[x] & mask];
}

// One pixel in 32 is looked at to guess where the percentiles lie: every 4th row, every 8th column, shifted from row to
// row so that a dark border of one column weighs no more than it should.
constexpr std::int32_t kSampleRows = 4;
constexpr std::int32_t kSampleColumns = 8;
constexpr std::int32_t kSampleShift = 5;
// Brackets that hold more than one in so many pixels are slower than new ones.
constexpr std::int64_t kMostInside = 16;
// Below this many exposed pixels counting all of them is as quick as guessing first.
constexpr std::int64_t kFewPixels = 1 << 15;

template <typename Stored>
CATHRT_INLINE std::int64_t sample_row(const Stored* row, Span span, std::int32_t shift, unsigned mask,
                                      std::uint32_t* parts, std::size_t size) {
    std::int64_t count = 0;
    std::int32_t x = span.start + (shift + kSampleColumns - span.start % kSampleColumns) % kSampleColumns;
    for (; x < span.stop; x += kSampleColumns, ++count)
        ++parts[static_cast<std::size_t>(count & 1) * size + (row[x] & mask)];
    return count;
}

constexpr std::int32_t kLanes = 16;
using Values [[gnu::vector_size(kLanes * sizeof(std::uint16_t)), gnu::may_alias]] = std::uint16_t;
using Words [[gnu::vector_size(kLanes * sizeof(std::uint16_t)), gnu::may_alias]] = std::uint64_t;

template <typename Stored>
CATHRT_INLINE void load(const Stored* from, std::uint16_t mask, Values& values) {
    using Loaded [[gnu::vector_size(kLanes * sizeof(Stored)), gnu::may_alias, gnu::aligned(1)]] = Stored;
    Loaded loaded;
    __builtin_memcpy(&loaded, from, sizeof loaded);
    values = __builtin_convertvector(loaded, Values) & mask;
}

// Whether any lane differs from 0.
CATHRT_INLINE bool any(const Values& lanes) {
    const auto& words = reinterpret_cast<const Words&>(lanes);
    return (words[0] | words[1] | words[2] | words[3]) != 0;
}

CATHRT_INLINE std::int64_t lane_sum(const Values& lanes) {
    std::int64_t sum = 0;
    for (std::int32_t i = 0; i < kLanes; ++i) sum += lanes[i];
    return sum;
}

// Adds one row to the brackets' below and above, and to counts the values inside a bracket wider than one value (of
// others the number inside is all there is to know). Most blocks lie between the brackets: they cost one compare.
template <typename Stored>
CATHRT_INLINE void bracket_row(const Stored* row, Span span, std::uint16_t mask, std::array<Bracket, 2>& brackets,
                               std::uint32_t* counts) {
    constexpr std::int32_t kVectors = 4;
    constexpr std::int32_t kBlock = kVectors * kLanes;
    const std::uint16_t low0 = brackets[0].low, high0 = brackets[0].high;
    const std::uint16_t low1 = brackets[1].low, high1 = brackets[1].high;
    const auto wide0 = static_cast<std::uint16_t>(low0 < high0 ? 0xffff : 0);
    const auto wide1 = static_cast<std::uint16_t>(low1 < high1 ? 0xffff : 0);
    const auto first = static_cast<std::uint16_t>(high0 + 1);
    const auto between = static_cast<std::uint16_t>(low1 - first);  // values between the brackets
    // A row has at most 65535 columns, so that no 16-bit lane counts beyond 4096.
    Values below0{}, above0{}, below1{}, above1{};
    std::int64_t skipped = 0;
    std::int32_t x = span.start;
    for (; x + kBlock <= span.stop; x += kBlock) {
        Values values[kVectors], furthest{};
        for (std::int32_t i = 0; i < kVectors; ++i) {
            load(row + x + i * kLanes, mask, values[i]);
            const Values offset = values[i] - first;
            furthest = furthest > offset ? furthest : offset;
        }
        if (!any(reinterpret_cast<Values>(furthest >= between))) {
            skipped += kBlock;
            continue;
        }
        Values inside[kVectors], some{};
        for (std::int32_t i = 0; i < kVectors; ++i) {
            const auto b0 = reinterpret_cast<Values>(values[i] < low0),
                       a0 = reinterpret_cast<Values>(values[i] > high0);
            const auto b1 = reinterpret_cast<Values>(values[i] < low1),
                       a1 = reinterpret_cast<Values>(values[i] > high1);
            below0 -= b0, above0 -= a0, below1 -= b1, above1 -= a1;
            inside[i] = (~(b0 | a0) & wide0) | (~(b1 | a1) & wide1);
            some |= inside[i];
        }
        if (!any(some)) continue;
        for (std::int32_t i = 0; i < kVectors; ++i) {
            const auto quads = reinterpret_cast<const Words&>(inside[i]);
            for (std::int32_t quad = 0; quad < 4; ++quad) {
                if (quads[quad] == 0) continue;
                for (std::int32_t j = quad * 4; j < quad * 4 + 4; ++j)
                    if (inside[i][j] != 0) ++counts[values[i][j]];
            }
        }
    }
    std::int64_t sums[4] = {lane_sum(below0), lane_sum(above0) + skipped, lane_sum(below1) + skipped, lane_sum(above1)};
    for (; x < span.stop; ++x) {
        const auto value = static_cast<std::uint16_t>(row[x] & mask);
        sums[0] += value<low0, sums[1] += value> high0, sums[2] += value<low1, sums[3] += value> high1;
        const bool inside0 = wide0 != 0 && low0 <= value && value <= high0;
        const bool inside1 = wide1 != 0 && low1 <= value && value <= high1;
        if (inside0 || inside1) ++counts[value];
    }
    brackets[0].below += sums[0], brackets[0].above += sums[1];
    brackets[1].below += sums[2], brackets[1].above += sums[3];
}

CATHRT_MULTIVERSION void bracket_row_u8(const std::uint8_t* row, Span span, std::uint16_t mask,
                                        std::array<Bracket, 2>& brackets, std::uint32_t* counts) {
    bracket_row(row, span, mask, brackets, counts);
}
CATHRT_MULTIVERSION void bracket_row_u16(const std::uint16_t* row, Span span, std::uint16_t mask,
                                         std::array<Bracket, 2>& brackets, std::uint32_t* counts) {
    bracket_row(row, span, mask, brackets, counts);
}

CATHRT_MULTIVERSION void add_parts(const std::uint32_t* parts, std::size_t size, std::uint32_t* counts) {
    for (std::size_t i = 0; i < size; ++i)
        counts[i] = parts[i] + parts[size + i] + parts[2 * size + i] + parts[3 * size + i];
}

}  // namespace

std::int64_t count_exposed(const StoredFrame& frame) {
    std::int64_t count = 0;
    for (std::int32_t y = 0; y < frame.rows; ++y) count += std::max(0, frame.span(y).stop - frame.span(y).start);
    return count;
}

std::int64_t nearest_rank(double percent, std::int64_t count) {
    const double rank = std::ceil(percent * static_cast<double>(count) / 100.0);
    return std::clamp<std::int64_t>(static_cast<std::int64_t>(rank), 1, std::max<std::int64_t>(count, 1));
}

Histogram::Histogram(int bits_stored) : counts_(std::size_t{1} << bits_stored), parts_(kParts << bits_stored) {}

const std::vector<std::uint32_t>& Histogram::count(const StoredFrame& frame) {
    std::fill(parts_.begin(), parts_.end(), 0U);
    for (std::int32_t y = 0; y < frame.rows; ++y) {
        if (frame.wide)
            count_row(frame.row<std::uint16_t>(y), frame.span(y), frame.mask, parts_.data(), counts_.size());
        else
            count_row(frame.row<std::uint8_t>(y), frame.span(y), frame.mask, parts_.data(), counts_.size());
    }
    add_parts(parts_.data(), counts_.size(), counts_.data());
    return counts_;
}

namespace {

// The first value whose cumulated count reaches rank, starting at `value` with `below` pixels below it.
std::size_t walk(const std::vector<std::uint32_t>& counts, std::size_t value, std::int64_t below, std::int64_t rank) {
    while (below + counts[value] < rank) below += counts[value++];
    return value;
}

// Where a rank of the whole lies, judged from a sample: four standard deviations of a random sample to either side.
Bracket bracket_from(const std::vector<std::uint32_t>& sample, std::int64_t sampled, std::int64_t rank,
                     std::int64_t count) {
    const double share = static_cast<double>(rank) / static_cast<double>(count);
    const double centre = share * static_cast<double>(sampled);
    const double margin = 4.0 * std::sqrt(centre * (1.0 - share)) + 8.0;
    const auto first = static_cast<std::int64_t>(centre - margin);
    const auto last = static_cast<std::int64_t>(centre + margin);
    const std::size_t low = first < 1 ? 0 : walk(sample, 0, 0, first);
    const std::size_t high = last > sampled ? sample.size() - 1 : walk(sample, 0, 0, last);
    return {static_cast<std::uint16_t>(low), static_cast<std::uint16_t>(high), 0, 0};
}

}  // namespace

// One vectorised pass counts what lies below and above a guess at each value and tells apart only the few values
// inside. The guess is what the frame before gave, else a sample of this one. Should both mislead, everything is
// counted: the answer is exact in any case.
std::array<std::uint16_t, 2> Histogram::ranked_values(const StoredFrame& frame, std::array<std::int64_t, 2> ranks) {
    const std::int64_t exposed = count_exposed(frame);
    if (exposed >= kFewPixels) {
        std::array<Bracket, 2> brackets;
        if (recall(brackets) && find(frame, exposed, ranks, brackets)) return last_;
        remembers_ = false;
        if (guess(frame, exposed, ranks, brackets) && find(frame, exposed, ranks, brackets)) return last_;
    }
    count(frame);
    return {static_cast<std::uint16_t>(walk(counts_, 0, 0, ranks[0])),
            static_cast<std::uint16_t>(walk(counts_, 0, 0, ranks[1]))};
}

// Brackets around the values of the last frame, wide enough for twice the way they went of late.
bool Histogram::recall(std::array<Bracket, 2>& brackets) const {
    const auto top = static_cast<std::int32_t>(counts_.size()) - 1;
    for (std::size_t i = 0; remembers_ && i < 2; ++i) {
        const auto reach = static_cast<std::int32_t>(reach_[i]);
        brackets[i] = {static_cast<std::uint16_t>(std::max(0, last_[i] - reach)),
                       static_cast<std::uint16_t>(std::min(top, last_[i] + reach)), 0, 0};
    }
    return remembers_ && brackets[0].high < brackets[1].low;
}

// True, with the values in last_, where the brackets hold the ranks.
bool Histogram::find(const StoredFrame& frame, std::int64_t exposed, std::array<std::int64_t, 2> ranks,
                     std::array<Bracket, 2> brackets) {
    for (const Bracket& bracket : brackets) std::fill(&counts_[bracket.low], &counts_[bracket.high] + 1, 0U);
    for (std::int32_t y = 0; y < frame.rows; ++y) {
        if (frame.wide)
            bracket_row_u16(frame.row<std::uint16_t>(y), frame.span(y), frame.mask, brackets, counts_.data());
        else
            bracket_row_u8(frame.row<std::uint8_t>(y), frame.span(y), frame.mask, brackets, counts_.data());
    }
    std::array<std::uint16_t, 2> values{};
    std::int64_t inside = 0;
    for (std::size_t i = 0; i < 2; ++i) {
        const Bracket& bracket = brackets[i];
        if (!(bracket.below < ranks[i] && ranks[i] <= exposed - bracket.above)) return false;
        values[i] = bracket.low;
        if (bracket.low == bracket.high) continue;
        values[i] = static_cast<std::uint16_t>(walk(counts_, bracket.low, bracket.below, ranks[i]));
        inside += exposed - bracket.below - bracket.above;
    }
    // Where a sample had to be taken, the next frame is worth a guess only if this one was near the one before it: a
    // guess that fails costs a pass.
    bool near = true;
    for (std::size_t i = 0; i < 2; ++i) {
        const auto moved = static_cast<float>(std::abs(values[i] - last_[i]));
        if (remembers_) {
            reach_[i] = std::max(reach_[i] * 0.95F, 2.0F * moved);
        } else {
            reach_[i] = static_cast<float>(brackets[i].high - brackets[i].low) / 2.0F;
            near = near && moved <= 4.0F * reach_[i];
        }
    }
    last_ = values;
    remembers_ = near && inside * kMostInside <= exposed;
    return true;
}

// False where guessing would not pay: brackets that overlap, or hold so much that telling their values apart is slow.
bool Histogram::guess(const StoredFrame& frame, std::int64_t exposed, std::array<std::int64_t, 2> ranks,
                      std::array<Bracket, 2>& brackets) {
    std::fill(parts_.begin(), parts_.begin() + static_cast<std::ptrdiff_t>(2 * counts_.size()), 0U);
    std::int64_t sampled = 0;
    for (std::int32_t y = kSampleRows / 2; y < frame.rows; y += kSampleRows) {
        const std::int32_t shift = y / kSampleRows * kSampleShift % kSampleColumns;
        sampled += frame.wide ? sample_row(frame.row<std::uint16_t>(y), frame.span(y), shift, frame.mask, parts_.data(),
                                           counts_.size())
                              : sample_row(frame.row<std::uint8_t>(y), frame.span(y), shift, frame.mask, parts_.data(),
                                           counts_.size());
    }
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] = parts_[i] + parts_[counts_.size() + i];
    std::int64_t inside = 0;
    for (std::size_t i = 0; i < 2; ++i) {
        brackets[i] = bracket_from(counts_, sampled, ranks[i], exposed);
        if (brackets[i].low == brackets[i].high) continue;
        for (std::size_t value = brackets[i].low; value <= brackets[i].high; ++value) inside += counts_[value];
    }
    return sampled > 0 && brackets[0].high < brackets[1].low && inside * 8 < sampled;
}

std::uint16_t Histogram::ranked_by(const std::vector<std::uint16_t>& order, std::int64_t rank) const {
    std::int64_t reached = 0;
    std::size_t position = 0;
    while ((reached += counts_[order[position]]) < rank) ++position;
    return order[position];
}

}  // namespace cathrt
