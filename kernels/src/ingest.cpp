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
using Lanes [[gnu::vector_size(kLanes * sizeof(float)), gnu::may_alias]] = float;

CATHRT_INLINE float clamp01(float value) {
    value = value > 0.0F ? value : 0.0F;
    return value < 1.0F ? value : 1.0F;
}

template <typename Stored>
CATHRT_INLINE void map_linear(const Stored* row, Span span, std::uint16_t mask, LinearWindow window, float* grey) {
    const Stored narrow = static_cast<Stored>(mask);
    for (std::int32_t x = span.start; x < span.stop; ++x) {
        const Stored stored = row[x] & narrow;
        grey[x] = clamp01((static_cast<float>(stored) - window.origin) * window.slope + window.intercept);
    }
}

template <typename Stored>
CATHRT_INLINE void map_table(const Stored* row, Span span, std::uint16_t mask, LinearWindow window, const float* table,
                             float* grey) {
    for (std::int32_t x = span.start; x < span.stop; ++x)
        grey[x] = clamp01((table[row[x] & mask] - window.origin) * window.slope + window.intercept);
}

CATHRT_MULTIVERSION void map_linear_u8(const std::uint8_t* row, Span span, std::uint16_t mask, LinearWindow window,
                                       float* __restrict grey) {
    map_linear(row, span, mask, window, grey);
}
CATHRT_MULTIVERSION void map_linear_u16(const std::uint16_t* row, Span span, std::uint16_t mask, LinearWindow window,
                                        float* __restrict grey) {
    map_linear(row, span, mask, window, grey);
}
CATHRT_MULTIVERSION void map_table_u8(const std::uint8_t* row, Span span, std::uint16_t mask, LinearWindow window,
                                      const float* table, float* __restrict grey) {
    map_table(row, span, mask, window, table, grey);
}
CATHRT_MULTIVERSION void map_table_u16(const std::uint16_t* row, Span span, std::uint16_t mask, LinearWindow window,
                                       const float* table, float* __restrict grey) {
    map_table(row, span, mask, window, table, grey);
}

// One output row of the vertical resize: the weighted sum of taps rows of the ring, oldest at slot `first`.
// pitch: floats per row, a multiple of 4 * kLanes.
CATHRT_MULTIVERSION void combine_rows(const float* ring, std::int32_t first, std::int32_t taps, std::ptrdiff_t pitch,
                                      const float* weights, float* __restrict reduced) {
    for (std::ptrdiff_t x = 0; x < pitch; x += 4 * kLanes) {
        Lanes sum[4] = {};
        std::int32_t slot = first;
        for (std::int32_t t = 0; t < taps; ++t) {
            const auto* row = reinterpret_cast<const Lanes*>(ring + slot * pitch + x);
            const float weight = weights[t];
            sum[0] += row[0] * weight;
            sum[1] += row[1] * weight;
            sum[2] += row[2] * weight;
            sum[3] += row[3] * weight;
            slot = slot + 1 == taps ? 0 : slot + 1;
        }
        auto* to = reinterpret_cast<Lanes*>(reduced + x);
        to[0] = sum[0], to[1] = sum[1], to[2] = sum[2], to[3] = sum[3];
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

CATHRT_MULTIVERSION void write_planes(const float* lane, std::int32_t width, const float* scale, const float* offset,
                                      std::ptrdiff_t plane, float* __restrict out) {
    for (std::int32_t c = 0; c < 3; ++c)
        for (std::int32_t j = 0; j < width; ++j) out[c * plane + j] = lane[j * kLanes] * scale[c] + offset[c];
}

CATHRT_MULTIVERSION void write_pixels(const float* lane, std::int32_t width, const float* scale, const float* offset,
                                      float* __restrict out) {
    for (std::int32_t j = 0; j < width; ++j)
        for (std::int32_t c = 0; c < 3; ++c) out[j * 3 + c] = lane[j * kLanes] * scale[c] + offset[c];
}

std::size_t pitch_of(std::int32_t columns) {
    constexpr std::size_t block = 4 * kLanes;
    return (static_cast<std::size_t>(columns) + block - 1) / block * block;
}

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
      ring_(pitch_of(columns) * static_cast<std::size_t>(vertical_.taps), 0.0F),
      reduced_(pitch_of(columns) * kLanes, 0.0F),
      columns_of_lanes_(pitch_of(columns) * kLanes, 0.0F),
      lanes_(static_cast<std::size_t>(tensor.width) * kLanes, 0.0F) {
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

void Ingest::map_row(const StoredFrame& frame, std::int32_t y, const LinearWindow& window, float* grey) const {
    const Span span = frame.span(y);
    if (window_.table.empty()) {
        if (frame.wide)
            map_linear_u16(frame.row<std::uint16_t>(y), span, mask_, window, grey);
        else
            map_linear_u8(frame.row<std::uint8_t>(y), span, mask_, window, grey);
    } else {
        if (frame.wide)
            map_table_u16(frame.row<std::uint16_t>(y), span, mask_, window, window_.table.data(), grey);
        else
            map_table_u8(frame.row<std::uint8_t>(y), span, mask_, window, window_.table.data(), grey);
    }
    std::fill(grey, grey + span.start, tensor_.masked_value);
    std::fill(grey + span.stop, grey + columns_, tensor_.masked_value);
}

// Rows [first, first + count) of the tensor from the first count lanes of reduced_.
void Ingest::write_rows(std::int32_t first, std::int32_t count, float* out) {
    const auto pitch = static_cast<std::ptrdiff_t>(pitch_of(columns_));
    transpose(reduced_.data(), pitch, columns_of_lanes_.data());
    resize_columns(columns_of_lanes_.data(), horizontal_.first.data(), horizontal_.weights.data(), horizontal_.taps,
                   tensor_.width, lanes_.data());
    float scale[3];
    float offset[3];
    for (std::size_t c = 0; c < 3; ++c) {
        scale[c] = 1.0F / tensor_.std[c];
        offset[c] = -tensor_.mean[c] / tensor_.std[c];
    }
    const std::ptrdiff_t plane = static_cast<std::ptrdiff_t>(tensor_.height) * tensor_.width;
    for (std::int32_t lane = 0; lane < count; ++lane) {
        const std::ptrdiff_t pixel = static_cast<std::ptrdiff_t>(first + lane) * tensor_.width;
        if (tensor_.channels_last)
            write_pixels(lanes_.data() + lane, tensor_.width, scale, offset, out + 3 * pixel);
        else
            write_planes(lanes_.data() + lane, tensor_.width, scale, offset, plane, out + pixel);
    }
}

bool Ingest::run(StoredFrame frame, float* out) {
    frame.exposed = exposed_.empty() ? nullptr : exposed_.data();
    const LinearWindow window = exposed_count_ > 0 ? window_of(frame) : LinearWindow{};
    const std::ptrdiff_t pitch = static_cast<std::ptrdiff_t>(pitch_of(columns_));
    std::int32_t mapped = 0;  // rows of the frame mapped so far; row y lies in ring slot y % taps
    for (std::int32_t i = 0; i < tensor_.height; ++i) {
        const std::int32_t first = vertical_.first[static_cast<std::size_t>(i)];
        for (mapped = std::max(mapped, first); mapped < first + vertical_.taps; ++mapped)
            map_row(frame, mapped, window, ring_.data() + mapped % vertical_.taps * pitch);
        combine_rows(ring_.data(), first % vertical_.taps, vertical_.taps, pitch, vertical_.weight(i),
                     reduced_.data() + i % kLanes * pitch);
        if (i % kLanes == kLanes - 1 || i + 1 == tensor_.height) write_rows(i - i % kLanes, i % kLanes + 1, out);
    }
    return exposed_count_ > 0;
}

}  // namespace cathrt
