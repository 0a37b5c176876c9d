// Variants tried and their time: docs/kernels.md.
#include "histogram.hpp"

#include <algorithm>
#include <cmath>

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

// 16 stored values, less 32768 so that signed comparison, which every instruction set has, orders them.
constexpr std::int32_t kLanes = 16;
using Values [[gnu::vector_size(kLanes * sizeof(std::int16_t)), gnu::may_alias]] = std::int16_t;
using Words [[gnu::vector_size(kLanes * sizeof(std::int16_t)), gnu::may_alias]] = std::uint64_t;

template <typename Stored>
CATHRT_INLINE void load(const Stored* from, std::uint16_t mask, Values& values) {
    using Loaded [[gnu::vector_size(kLanes * sizeof(Stored)), gnu::may_alias, gnu::aligned(1)]] = Stored;
    using Wide [[gnu::vector_size(kLanes * sizeof(std::uint16_t))]] = std::uint16_t;
    Loaded loaded;
    __builtin_memcpy(&loaded, from, sizeof loaded);
    values = reinterpret_cast<Values>((__builtin_convertvector(loaded, Wide) & mask) ^ std::uint16_t{0x8000});
}

std::int16_t biased(std::uint16_t value) { return static_cast<std::int16_t>(value ^ 0x8000U); }

CATHRT_INLINE std::int64_t lane_sum(const Values& lanes) {
    std::int64_t sum = 0;
    for (std::int32_t i = 0; i < kLanes; ++i) sum += lanes[i];
    return sum;
}

// Adds one row to the brackets' below and above, and to counts the values inside a bracket wider than one value (of
// others the number inside is all there is to know). Most blocks have no value inside: they cost compares alone.
template <typename Stored>
CATHRT_INLINE void bracket_row(const Stored* row, Span span, std::uint16_t mask, std::array<Bracket, 2>& brackets,
                               std::uint32_t* counts) {
    constexpr std::int32_t kVectors = 4;
    const std::int16_t low0 = biased(brackets[0].low), high0 = biased(brackets[0].high);
    const std::int16_t low1 = biased(brackets[1].low), high1 = biased(brackets[1].high);
    const bool wide0 = low0 < high0;
    const bool wide1 = low1 < high1;
    const auto ignore0 = static_cast<std::int16_t>(wide0 ? 0 : -1);
    const auto ignore1 = static_cast<std::int16_t>(wide1 ? 0 : -1);
    // A row has at most 65535 columns, so that no 16-bit lane counts beyond 4096.
    Values below0{}, above0{}, below1{}, above1{};
    std::int32_t x = span.start;
    for (; x + kVectors * kLanes <= span.stop; x += kVectors * kLanes) {
        Values outside[kVectors];
        for (std::int32_t i = 0; i < kVectors; ++i) {
            Values value;
            load(row + x + i * kLanes, mask, value);
            const Values b0 = value<low0, a0 = value> high0, b1 = value<low1, a1 = value> high1;
            below0 -= b0, above0 -= a0, below1 -= b1, above1 -= a1;
            outside[i] = (b0 | a0 | ignore0) & (b1 | a1 | ignore1);
        }
        const Values all = outside[0] & outside[1] & outside[2] & outside[3];
        const auto words = reinterpret_cast<const Words&>(all);
        if ((words[0] & words[1] & words[2] & words[3]) == ~std::uint64_t{0}) continue;
        for (std::int32_t i = 0; i < kVectors; ++i) {
            const auto quads = reinterpret_cast<const Words&>(outside[i]);
            for (std::int32_t quad = 0; quad < 4; ++quad) {
                if (quads[quad] == ~std::uint64_t{0}) continue;
                for (std::int32_t j = 0; j < 4; ++j) {
                    const unsigned value = row[x + i * kLanes + quad * 4 + j] & mask;
                    if (outside[i][quad * 4 + j] == 0) ++counts[value];
                }
            }
        }
    }
    std::int64_t sums[4] = {lane_sum(below0), lane_sum(above0), lane_sum(below1), lane_sum(above1)};
    for (; x < span.stop; ++x) {
        const std::int16_t value = biased(static_cast<std::uint16_t>(row[x] & mask));
        sums[0] += value<low0, sums[1] += value> high0, sums[2] += value<low1, sums[3] += value> high1;
        const bool inside0 = wide0 && low0 <= value && value <= high0;
        const bool inside1 = wide1 && low1 <= value && value <= high1;
        if (inside0 || inside1) ++counts[row[x] & mask];
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

// One pass over few pixels and one over all: a sample brackets both values, then one vectorised pass counts what lies
// below and above each bracket and tells apart only the few values inside. Should the sample mislead, everything is
// counted: the answer is exact either way.
std::array<std::uint16_t, 2> Histogram::ranked_values(const StoredFrame& frame, std::array<std::int64_t, 2> ranks) {
    const std::int64_t exposed = count_exposed(frame);
    std::array<Bracket, 2> brackets;
    if (exposed >= kFewPixels && guess(frame, exposed, ranks, brackets)) {
        for (const Bracket& bracket : brackets) std::fill(&counts_[bracket.low], &counts_[bracket.high] + 1, 0U);
        for (std::int32_t y = 0; y < frame.rows; ++y) {
            if (frame.wide)
                bracket_row_u16(frame.row<std::uint16_t>(y), frame.span(y), frame.mask, brackets, counts_.data());
            else
                bracket_row_u8(frame.row<std::uint8_t>(y), frame.span(y), frame.mask, brackets, counts_.data());
        }
        std::array<std::uint16_t, 2> values{};
        bool found = true;
        for (std::size_t i = 0; i < 2; ++i) {
            const Bracket& bracket = brackets[i];
            found = found && bracket.below < ranks[i] && ranks[i] <= exposed - bracket.above;
            if (!found) break;
            values[i] = bracket.low == bracket.high
                            ? bracket.low
                            : static_cast<std::uint16_t>(walk(counts_, bracket.low, bracket.below, ranks[i]));
        }
        if (found) return values;
    }
    count(frame);
    return {static_cast<std::uint16_t>(walk(counts_, 0, 0, ranks[0])),
            static_cast<std::uint16_t>(walk(counts_, 0, 0, ranks[1]))};
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
