// Variants tried and their time: docs/kernels.md.
#include "ingest.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "dispatch.hpp"

namespace cathrt {
namespace {

// Output rows resized horizontally at once: one per vector lane, so that every tap is one multiply-add.
constexpr std::int32_t kLanes = 8;
// Columns mapped and resized vertically at once: a ring of a dozen such rows stays in a first-level cache of 32 KiB,
// and rows 2 KiB apart do not fall on the same cache sets, as the 4 KiB rows of a 1024-column frame would.
constexpr std::int32_t kStrip = 512;
using Lanes [[gnu::vector_size(kLanes * sizeof(float)), gnu::may_alias]] = float;

CATHRT_INLINE float clamp01(float value) {
    value = value > 0.0F ? value : 0.0F;
    return value < 1.0F ? value : 1.0F;
}

template <typename Stored>
CATHRT_INLINE void map_linear(const Stored* stored, std::int32_t count, std::uint16_t mask, LinearWindow window,
                              float* grey) {
    const Stored narrow = static_cast<Stored>(mask);
    for (std::int32_t x = 0; x < count; ++x) {
        const Stored value = stored[x] & narrow;
        grey[x] = clamp01((static_cast<float>(value) - window.origin) * window.slope + window.intercept);
    }
}

template <typename Stored>
CATHRT_INLINE void map_table(const Stored* stored, std::int32_t count, std::uint16_t mask, LinearWindow window,
                             const float* table, float* grey) {
    for (std::int32_t x = 0; x < count; ++x)
        grey[x] = clamp01((table[stored[x] & mask] - window.origin) * window.slope + window.intercept);
}

CATHRT_MULTIVERSION void map_linear_u8(const std::uint8_t* stored, std::int32_t count, std::uint16_t mask,
                                       LinearWindow window, float* __restrict grey) {
    map_linear(stored, count, mask, window, grey);
}
CATHRT_MULTIVERSION void map_linear_u16(const std::uint16_t* stored, std::int32_t count, std::uint16_t mask,
                                        LinearWindow window, float* __restrict grey) {
    map_linear(stored, count, mask, window, grey);
}
CATHRT_MULTIVERSION void map_table_u8(const std::uint8_t* stored, std::int32_t count, std::uint16_t mask,
                                      LinearWindow window, const float* table, float* __restrict grey) {
    map_table(stored, count, mask, window, table, grey);
}
CATHRT_MULTIVERSION void map_table_u16(const std::uint16_t* stored, std::int32_t count, std::uint16_t mask,
                                       LinearWindow window, const float* table, float* __restrict grey) {
    map_table(stored, count, mask, window, table, grey);
}

// The first `columns` of one output row of the vertical resize within a strip, rounded up to whole blocks: the weighted
// sum of the ring's rows, oldest at slot `first`.
CATHRT_MULTIVERSION void combine_rows(const float* ring, std::int32_t first, std::int32_t taps, const float* weights,
                                      std::int32_t columns, float* __restrict reduced) {
    constexpr std::int32_t block = 8;
    static_assert(kStrip % (block * kLanes) == 0);
    for (std::ptrdiff_t x = 0; x < columns; x += block * kLanes) {
        Lanes sum[block] = {};
        std::int32_t slot = first;
        for (std::int32_t t = 0; t < taps; ++t) {
            const auto* row = reinterpret_cast<const Lanes*>(ring + slot * kStrip + x);
            for (std::int32_t i = 0; i < block; ++i) sum[i] += row[i] * weights[t];
            slot = slot + 1 == taps ? 0 : slot + 1;
        }
        auto* to = reinterpret_cast<Lanes*>(reduced + x);
        for (std::int32_t i = 0; i < block; ++i) to[i] = sum[i];
    }
}

// (kLanes, pitch) to (pitch, kLanes).
CATHRT_MULTIVERSION void transpose(const float* __restrict rows, std::ptrdiff_t pitch, float* __restrict columns) {
    for (std::ptrdiff_t x = 0; x < pitch; ++x)
        for (std::ptrdiff_t lane = 0; lane < kLanes; ++lane) columns[x * kLanes + lane] = rows[lane * pitch + x];
}

CATHRT_MULTIVERSION void resize_columns(const float* columns, const std::int32_t* first, const float* weights,
                                        std::int32_t taps, std::int32_t width, float* __restrict lanes) {
    for (std::int32_t j = 0; j < width; ++j) {
        const auto* column = reinterpret_cast<const Lanes*>(columns) + first[j];
        const float* weight = weights + static_cast<std::ptrdiff_t>(j) * taps;
        // Two sums, because one would wait for its own multiply-add at every tap.
        Lanes even = {}, odd = {};
        std::int32_t t = 0;
        for (; t + 2 <= taps; t += 2) {
            even += column[t] * weight[t];
            odd += column[t + 1] * weight[t + 1];
        }
        if (t < taps) even += column[t] * weight[t];
        reinterpret_cast<Lanes*>(lanes)[j] = even + odd;
    }
}

CATHRT_MULTIVERSION void take_lane(const float* lane, std::int32_t width, float* __restrict row) {
    for (std::int32_t j = 0; j < width; ++j) row[j] = lane[j * kLanes];
}

std::size_t strips_of(std::int32_t columns) { return (static_cast<std::size_t>(columns) + kStrip - 1) / kStrip; }

std::vector<std::uint16_t> rising_order(const std::vector<float>& table) {
    std::vector<std::uint16_t> order(table.size());
    std::iota(order.begin(), order.end(), std::uint16_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&table](std::uint16_t a, std::uint16_t b) { return table[a] < table[b]; });
    return order;
}

}  // namespace

Ingest::Ingest(std::int32_t rows, std::int32_t columns, int bits_stored, std::vector<Span> exposed, Window window,
               TensorLayout tensor)
    : rows_(rows),
      columns_(columns),
      bits_stored_(bits_stored),
      mask_(static_cast<std::uint16_t>((1U << bits_stored) - 1U)),
      exposed_(std::move(exposed)),
      window_(std::move(window)),
      tensor_(tensor),
      histogram_(bits_stored),
      order_(window_.percentile ? rising_order(window_.table) : std::vector<std::uint16_t>{}),
      vertical_(resize_axis(rows, tensor.height)),
      horizontal_(resize_axis(columns, tensor.width)),
      channels_(channel_lines(tensor)),
      ring_(strips_of(columns) * kStrip * static_cast<std::size_t>(vertical_.taps), 0.0F),
      reduced_(strips_of(columns) * kStrip * kLanes, 0.0F),
      columns_of_lanes_(strips_of(columns) * kStrip * kLanes, 0.0F),
      lanes_(static_cast<std::size_t>(tensor.width) * kLanes, 0.0F),
      row_(static_cast<std::size_t>(tensor.width), 0.0F) {
    exposed_count_ =
        count_exposed({nullptr, 0, rows_, columns_, false, mask_, exposed_.empty() ? nullptr : exposed_.data()});
}

LinearWindow Ingest::window_of(const StoredFrame& frame) {
    LinearWindow window = window_.fixed.value_or(LinearWindow{});
    if (window_.percentile) {
        const PercentileWindow& percentile = *window_.percentile;
        const std::int64_t low = nearest_rank(percentile.low, exposed_count_);
        const std::int64_t high = nearest_rank(percentile.high, exposed_count_);
        float values[2];
        if (!window_.table.empty()) {
            histogram_.count(frame);
            values[0] = window_.table[histogram_.ranked_by(order_, low)];
            values[1] = window_.table[histogram_.ranked_by(order_, high)];
        } else if (percentile.descending) {
            const auto [v0, v1] =
                histogram_.ranked_values(frame, {exposed_count_ + 1 - high, exposed_count_ + 1 - low});
            values[0] = v1, values[1] = v0;
        } else {
            const auto [v0, v1] = histogram_.ranked_values(frame, {low, high});
            values[0] = v0, values[1] = v1;
        }
        window = {values[0], values[0] == values[1] ? 0.0F : 1.0F / (values[1] - values[0]), 0.0F};
    }
    if (window_.invert) window = {window.origin, -window.slope, 1.0F - window.intercept};
    return window;
}

// Grey of the columns `span` of row y.
void Ingest::map(const StoredFrame& frame, std::int32_t y, Span span, const LinearWindow& window, float* grey) const {
    const std::int32_t count = span.stop - span.start;
    const float* table = window_.table.empty() ? nullptr : window_.table.data();
    if (frame.wide) {
        const auto* stored = frame.row<std::uint16_t>(y) + span.start;
        if (table != nullptr)
            map_table_u16(stored, count, mask_, window, table, grey);
        else
            map_linear_u16(stored, count, mask_, window, grey);
    } else {
        const auto* stored = frame.row<std::uint8_t>(y) + span.start;
        if (table != nullptr)
            map_table_u8(stored, count, mask_, window, table, grey);
        else
            map_linear_u8(stored, count, mask_, window, grey);
    }
}

// Rows [first, last) of one strip into the ring, row y at slot y % taps.
void Ingest::map_rows(const StoredFrame& frame, std::int32_t first, std::int32_t last, std::int32_t strip,
                      const LinearWindow& window) {
    const std::int32_t start = strip * kStrip;
    const std::int32_t stop = std::min(columns_, start + kStrip);
    float* ring = ring_.data() + static_cast<std::ptrdiff_t>(strip) * vertical_.taps * kStrip;
    for (std::int32_t y = first; y < last; ++y) {
        float* grey = ring + static_cast<std::ptrdiff_t>(y % vertical_.taps) * kStrip;
        const Span exposed = frame.span(y);
        const Span span{std::clamp(exposed.start, start, stop), std::clamp(exposed.stop, start, stop)};
        const std::int32_t count = span.stop - span.start;
        float* to = grey + (span.start - start);
        map(frame, y, span, window, to);
        std::fill(grey, to, tensor_.masked_value);
        std::fill(to + count, grey + (stop - start), tensor_.masked_value);
    }
}

// Rows [first, first + count) of the tensor from the first count lanes of reduced_.
void Ingest::write_rows(std::int32_t first, std::int32_t count, void* out) {
    transpose(reduced_.data(), static_cast<std::ptrdiff_t>(strips_of(columns_) * kStrip), columns_of_lanes_.data());
    resize_columns(columns_of_lanes_.data(), horizontal_.first.data(), horizontal_.weights.data(), horizontal_.taps,
                   tensor_.width, lanes_.data());
    for (std::int32_t lane = 0; lane < count; ++lane) {
        take_lane(lanes_.data() + lane, tensor_.width, row_.data());
        write_row(tensor_, channels_, row_.data(), first + lane, out);
    }
}

bool Ingest::run(StoredFrame frame, void* out) {
    frame.exposed = exposed_.empty() ? nullptr : exposed_.data();
    const LinearWindow window = exposed_count_ > 0 ? window_of(frame) : LinearWindow{};
    const auto strips = static_cast<std::int32_t>(strips_of(columns_));
    const std::int32_t taps = vertical_.taps;
    std::int32_t mapped = 0;  // rows of the frame mapped in all strips so far
    for (std::int32_t batch = 0; batch < tensor_.height; batch += kLanes) {
        const std::int32_t count = std::min(kLanes, tensor_.height - batch);
        std::int32_t reached = mapped;
        for (std::int32_t strip = 0; strip < strips; ++strip) {
            reached = mapped;
            const float* ring = ring_.data() + static_cast<std::ptrdiff_t>(strip) * taps * kStrip;
            for (std::int32_t lane = 0; lane < count; ++lane) {
                const std::int32_t first = vertical_.first[static_cast<std::size_t>(batch + lane)];
                map_rows(frame, std::max(reached, first), first + taps, strip, window);
                reached = std::max(reached, first + taps);
                combine_rows(ring, first % taps, taps, vertical_.weight(batch + lane),
                             std::min(kStrip, columns_ - strip * kStrip),
                             reduced_.data() + static_cast<std::ptrdiff_t>(lane * strips + strip) * kStrip);
            }
        }
        mapped = reached;
        write_rows(batch, count, out);
    }
    return exposed_count_ > 0;
}

}  // namespace cathrt
