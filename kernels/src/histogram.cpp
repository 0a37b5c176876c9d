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

std::array<std::uint16_t, 2> Histogram::ranked_values(const StoredFrame& frame, std::array<std::int64_t, 2> ranks) {
    count(frame);
    std::array<std::uint16_t, 2> values{};
    std::int64_t below = 0;
    std::size_t value = 0;
    for (std::size_t i = 0; i < 2; ++i) {
        while (below + counts_[value] < ranks[i]) below += counts_[value++];
        values[i] = static_cast<std::uint16_t>(value);
    }
    return values;
}

std::uint16_t Histogram::ranked_by(const std::vector<std::uint16_t>& order, std::int64_t rank) const {
    std::int64_t reached = 0;
    std::size_t position = 0;
    while ((reached += counts_[order[position]]) < rank) ++position;
    return order[position];
}

}  // namespace cathrt
