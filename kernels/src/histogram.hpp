// Histogram of stored values, and the two order statistics the percentile window needs. Truth: reference/ingest.py
// (percentile_limits). Exact: every exposed pixel counts.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "stored.hpp"

namespace cathrt {

// Number of exposed pixels.
std::int64_t count_exposed(const StoredFrame& frame);

// 1-based rank of a percentile among count values: ceil(percent * count / 100), at least 1.
std::int64_t nearest_rank(double percent, std::int64_t count);

// A range of stored values [low, high] and how many exposed pixels lie below and above it.
struct Bracket {
    std::uint16_t low;
    std::uint16_t high;
    std::int64_t below;
    std::int64_t above;
};

// Owns the scratch of one bit depth, so that counting allocates nothing. Not thread-safe.
class Histogram {
  public:
    explicit Histogram(int bits_stored);

    // Counts per stored value of the exposed pixels; valid until the next call. bits_stored entries: 1 << bits_stored.
    const std::vector<std::uint32_t>& count(const StoredFrame& frame);

    // The stored values at two 1-based ascending ranks, ranks[0] <= ranks[1] <= number of exposed pixels. Exact for any
    // frame; quickest where the last one, of the same run, had almost the same values.
    std::array<std::uint16_t, 2> ranked_values(const StoredFrame& frame, std::array<std::int64_t, 2> ranks);

    // Position in `order` of the value at a 1-based rank of the last counted frame, where `order` lists all stored
    // values by rising modality value.
    std::uint16_t ranked_by(const std::vector<std::uint16_t>& order, std::int64_t rank) const;

  private:
    bool recall(std::array<Bracket, 2>& brackets) const;
    bool guess(const StoredFrame& frame, std::int64_t exposed, std::array<std::int64_t, 2> ranks,
               std::array<Bracket, 2>& brackets);
    bool find(const StoredFrame& frame, std::int64_t exposed, std::array<std::int64_t, 2> ranks,
              std::array<Bracket, 2> brackets);

    std::vector<std::uint32_t> counts_;
    std::vector<std::uint32_t> parts_;
    bool remembers_ = false;               // whether last_ is worth a guess at the next frame's values
    std::array<std::uint16_t, 2> last_{};  // the values of the last frame
    std::array<float, 2> reach_{};         // how far from them the next frame's are looked for
};

}  // namespace cathrt
