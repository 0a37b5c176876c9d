// Variants tried and their time: docs/kernels.md.
#include "ingest.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "dispatch.hpp"

namespace cathrt {
namespace {

template <typename Stored>
CATHRT_INLINE void map_table(const Stored* stored, std::int32_t count, const float* table, const Clamp& clamp,
                             float* __restrict values) {
    for (std::int32_t x = 0; x < count; ++x) {
        const float value = table[stored[x] & clamp.mask] - clamp.origin;
        values[x] = std::min(std::max(value, clamp.low), clamp.high);
    }
}

CATHRT_MULTIVERSION void map_u8(const std::uint8_t* stored, std::int32_t count, const float* table, const Clamp& clamp,
                                float* values) {
    map_table(stored, count, table, clamp, values);
}
CATHRT_MULTIVERSION void map_u16(const std::uint16_t* stored, std::int32_t count, const float* table,
                                 const Clamp& clamp, float* values) {
    map_table(stored, count, table, clamp, values);
}

void map(const std::uint8_t* stored, std::int32_t count, const float* table, const Clamp& clamp, float* values) {
    map_u8(stored, count, table, clamp, values);
}
void map(const std::uint16_t* stored, std::int32_t count, const float* table, const Clamp& clamp, float* values) {
    map_u16(stored, count, table, clamp, values);
}

CATHRT_MULTIVERSION void to_grey(float* row, std::int32_t width, float slope, float intercept) {
    for (std::int32_t x = 0; x < width; ++x) row[x] = row[x] * slope + intercept;
}

CATHRT_MULTIVERSION void add_masked(const float* share, std::int32_t width, float difference, float* __restrict grey) {
    for (std::int32_t x = 0; x < width; ++x) grey[x] += share[x] * difference;
}

std::vector<std::uint16_t> rising_order(const std::vector<float>& table) {
    std::vector<std::uint16_t> order(table.size());
    std::iota(order.begin(), order.end(), std::uint16_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&table](std::uint16_t a, std::uint16_t b) { return table[a] < table[b]; });
    return order;
}

// A fixed window whose line float32 can follow after the resize stays a line: neither very steep nor far from its
// origin. Any other becomes a table of grey.
Window conditioned(Window window, std::size_t entries) {
    if (!window.fixed) return window;
    const auto [origin, slope, intercept] = *window.fixed;
    constexpr float kExact = 1 << 22;  // stored values less such an origin are exact
    if (std::abs(origin) <= kExact && 1e-20F <= std::abs(slope) && std::abs(slope) <= 4.0F &&
        std::abs(intercept) <= 4.0F)
        return window;
    const bool given = !window.table.empty();
    window.table.resize(entries);
    for (std::size_t i = 0; i < entries; ++i) {
        const double value = given ? window.table[i] : static_cast<double>(i);
        const double grey = (value - double{origin}) * double{slope} + double{intercept};
        window.table[i] = static_cast<float>(std::clamp(grey, 0.0, 1.0));
    }
    window.fixed = LinearWindow{0.0F, 1.0F, 0.0F};
    return window;
}

}  // namespace

Ingest::Ingest(std::int32_t rows, std::int32_t columns, int bits_stored, std::vector<Span> exposed, Window window,
               TensorLayout tensor)
    : rows_(rows),
      columns_(columns),
      bits_stored_(bits_stored),
      mask_(static_cast<std::uint16_t>((1U << bits_stored) - 1U)),
      exposed_(std::move(exposed)),
      window_(conditioned(std::move(window), std::size_t{1} << bits_stored)),
      tensor_(tensor),
      channels_(channel_lines(tensor)),
      histogram_(bits_stored),
      order_(window_.percentile ? rising_order(window_.table) : std::vector<std::uint16_t>{}),
      resizer_(rows, columns, tensor.height, tensor.width) {
    const auto scratch = static_cast<std::size_t>(resizer_.padded_columns()) * Resizer::kSlots;
    if (!exposed_.empty() || resizer_.padded_columns() != columns) copies_.resize(scratch, 0);
    if (!window_.table.empty()) values_.resize(scratch, 0.0F);
    StoredFrame frame{nullptr, 0, rows_, columns_, true, mask_, exposed_.empty() ? nullptr : exposed_.data()};
    exposed_count_ = count_exposed(frame);
    if (!exposed_.empty()) {
        // The share of each element that was not exposed is the resize of a frame that is 1 there and else 0.
        masked_.resize(static_cast<std::size_t>(tensor.height) * static_cast<std::size_t>(tensor.width));
        const auto fetch = [this](std::int32_t y, std::int32_t k) {
            std::uint16_t* row = copy(k);
            const Span span = exposed_[static_cast<std::size_t>(y)];
            std::fill(row, row + span.start, std::uint16_t{1});
            std::fill(row + span.start, row + span.stop, std::uint16_t{0});
            std::fill(row + span.stop, row + columns_, std::uint16_t{1});
            return row;
        };
        resizer_.run<std::uint16_t>({1, 0.0F, 0.0F, 1.0F}, fetch, [this](std::int32_t i, const float* row) {
            std::copy_n(row, tensor_.width, masked_.data() + static_cast<std::ptrdiff_t>(i) * tensor_.width);
        });
    }
    if (!tensor.history) return;
    if (exposed_count_ > 0) {
        memory_.resize(2 * (static_cast<std::size_t>(tensor.height) + 1) * static_cast<std::size_t>(tensor.width));
        reset();
        return;
    }
    // Nothing is ever seen: every difference is 0, whatever grey is.
    for (std::size_t c = 0; c < 3; ++c)
        if (tensor.history->channels[c] != Quantity::kGrey) channels_[c].slope = 0.0F;
}

void Ingest::reset() { std::fill(memory_.begin(), memory_.end(), kEmpty); }

Ingest::Line Ingest::line_of(const StoredFrame& frame) {
    Line line{{mask_, 0.0F, 0.0F, 0.0F}, 0.0F, 0.0F};
    if (window_.fixed) {
        const auto [origin, slope, intercept] = *window_.fixed;
        const float ends[2] = {-intercept / slope, (1.0F - intercept) / slope};
        line = {{mask_, origin, std::min(ends[0], ends[1]), std::max(ends[0], ends[1])}, slope, intercept};
    } else if (exposed_count_ > 0) {
        const auto [zero, one] = percentile_values(frame);
        const float reach = one - zero;
        if (reach != 0.0F) line = {{mask_, zero, std::min(reach, 0.0F), std::max(reach, 0.0F)}, 1.0F / reach, 0.0F};
    }
    if (window_.invert) {
        line.slope = -line.slope;
        line.intercept = 1.0F - line.intercept;
    }
    return line;
}

// The modality values, or where they rise or fall with them the stored values, that become 0 and 1.
std::array<float, 2> Ingest::percentile_values(const StoredFrame& frame) {
    const PercentileWindow& percentile = *window_.percentile;
    const std::int64_t low = nearest_rank(percentile.low, exposed_count_);
    const std::int64_t high = nearest_rank(percentile.high, exposed_count_);
    if (!window_.table.empty()) {
        histogram_.count(frame);
        return {window_.table[histogram_.ranked_by(order_, low)], window_.table[histogram_.ranked_by(order_, high)]};
    }
    if (percentile.descending) {
        const auto [one, zero] = histogram_.ranked_values(frame, {exposed_count_ + 1 - high, exposed_count_ + 1 - low});
        return {static_cast<float>(zero), static_cast<float>(one)};
    }
    const auto [zero, one] = histogram_.ranked_values(frame, {low, high});
    return {static_cast<float>(zero), static_cast<float>(one)};
}

// Row y as blocks of kBlock columns can be read: where it lies or, with what was not exposed made 0, from a copy.
template <typename Stored>
const Stored* Ingest::row_of(const StoredFrame& frame, std::int32_t y, std::int32_t slot) {
    const Stored* row = frame.row<Stored>(y);
    if (copies_.empty()) return row;
    auto* to = reinterpret_cast<Stored*>(copy(slot));
    const Span span = frame.span(y);
    std::fill(to, to + span.start, Stored{0});
    std::copy(row + span.start, row + span.stop, to + span.start);
    std::fill(to + span.stop, to + columns_, Stored{0});
    return to;
}

template <typename Stored, typename Emit>
void Ingest::resize(const StoredFrame& frame, const Clamp& clamp, Emit emit) {
    const auto stored = [&](std::int32_t y, std::int32_t slot) { return row_of<Stored>(frame, y, slot); };
    if (window_.table.empty()) {
        resizer_.run<Stored>(clamp, stored, emit);
        return;
    }
    const auto values = [&](std::int32_t y, std::int32_t slot) {
        float* to = values_.data() + static_cast<std::ptrdiff_t>(slot) * resizer_.padded_columns();
        map(stored(y, slot), resizer_.padded_columns(), window_.table.data(), clamp, to);
        return static_cast<const float*>(to);
    };
    resizer_.run<float>(clamp, values, emit);
}

bool Ingest::run(StoredFrame frame, void* out, std::int32_t index, std::int32_t count) {
    frame.exposed = exposed_.empty() ? nullptr : exposed_.data();
    TensorLayout clip = tensor_;  // its frames on top of each other: the same elements in the same order
    clip.height *= count;
    const Line line = line_of(frame);
    // Masked pixels were resized as stored value 0; what that made of each element is exchanged for masked_value.
    const float zero = window_.table.empty() ? 0.0F : window_.table[0];
    const float zero_grey =
        std::clamp(zero - line.clamp.origin, line.clamp.low, line.clamp.high) * line.slope + line.intercept;
    const auto emit = [&](std::int32_t i, float* row) {
        to_grey(row, tensor_.width, line.slope, line.intercept);
        if (!masked_.empty())
            add_masked(masked_.data() + static_cast<std::ptrdiff_t>(i) * tensor_.width, tensor_.width,
                       tensor_.masked_value - zero_grey, row);
        if (memory_.empty())
            write_row(clip, channels_, row, index * tensor_.height + i, out);
        else
            write_row(tensor_, channels_, remembered(i), row, i, out);
    };
    if (frame.wide)
        resize<std::uint16_t>(frame, line.clamp, emit);
    else
        resize<std::uint8_t>(frame, line.clamp, emit);
    return exposed_count_ > 0;
}

}  // namespace cathrt
