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
    : Ingest(rows, columns, bits_stored, std::vector<std::vector<Span>>{std::move(exposed)},
             std::vector<Window>{std::move(window)}, {{0, 0}}, tensor) {}

Ingest::Ingest(std::int32_t rows, std::int32_t columns, int bits_stored, std::vector<std::vector<Span>> exposures,
               std::vector<Window> windows, std::vector<View> views, TensorLayout tensor)
    : rows_(rows),
      columns_(columns),
      bits_stored_(bits_stored),
      mask_(static_cast<std::uint16_t>((1U << bits_stored) - 1U)),
      views_(std::move(views)),
      tensor_(tensor),
      channels_(channel_lines(tensor)),
      covered_channels_(channels_),
      histogram_(bits_stored),
      resizer_(rows, columns, tensor.height, tensor.width) {
    const auto scratch = static_cast<std::size_t>(resizer_.padded_columns()) * Resizer::kSlots;
    const auto elements = static_cast<std::size_t>(tensor.height) * static_cast<std::size_t>(tensor.width);
    const bool partly =
        std::any_of(exposures.begin(), exposures.end(), [](const auto& spans) { return !spans.empty(); });
    if (partly || resizer_.padded_columns() != columns) copies_.resize(scratch, 0);
    for (Window& window : windows) {
        Window fit = conditioned(std::move(window), std::size_t{1} << bits_stored);
        if (!fit.table.empty()) values_.resize(scratch, 0.0F);
        std::vector<std::uint16_t> order = fit.percentile ? rising_order(fit.table) : std::vector<std::uint16_t>{};
        mappings_.push_back({std::move(fit), std::move(order)});
    }
    for (std::vector<Span>& spans : exposures) exposures_.push_back(exposure_of(std::move(spans)));
    if (!tensor.history) return;
    memory_.resize(2 * (elements + static_cast<std::size_t>(tensor.width)));
    if (exposures_.size() > 1) covered_.resize(elements, 0.0F);
    reset();
    for (std::size_t c = 0; c < 3; ++c)
        if (tensor.history->channels[c] != Quantity::kGrey) covered_channels_[c].slope = 0.0F;
}

Ingest::Exposure Ingest::exposure_of(std::vector<Span> spans) {
    Exposure exposure{std::move(spans), 0, {}};
    const std::vector<Span>& exposed = exposure.spans;
    const StoredFrame frame{nullptr, 0, rows_, columns_, true, mask_, exposed.empty() ? nullptr : exposed.data()};
    exposure.count = count_exposed(frame);
    if (exposed.empty()) return exposure;
    // The share of each element that was not exposed is the resize of a frame that is 1 there and else 0.
    exposure.masked.resize(static_cast<std::size_t>(tensor_.height) * static_cast<std::size_t>(tensor_.width));
    const auto fetch = [&](std::int32_t y, std::int32_t k) {
        std::uint16_t* row = copy(k);
        const Span span = exposed[static_cast<std::size_t>(y)];
        std::fill(row, row + span.start, std::uint16_t{1});
        std::fill(row + span.start, row + span.stop, std::uint16_t{0});
        std::fill(row + span.stop, row + columns_, std::uint16_t{1});
        return row;
    };
    resizer_.run<std::uint16_t>({1, 0.0F, 0.0F, 1.0F}, fetch, [&](std::int32_t i, const float* row) {
        std::copy_n(row, tensor_.width, exposure.masked.data() + static_cast<std::ptrdiff_t>(i) * tensor_.width);
    });
    return exposure;
}

void Ingest::reset() { std::fill(memory_.begin(), memory_.end(), kEmpty); }

// Row i of the memory, for a frame of this exposure: what is covered more or less than it was begins anew.
void Ingest::forget_changed(const Exposure& exposure, std::int32_t i) {
    const std::ptrdiff_t width = tensor_.width;
    float* background = memory_.data() + 2 * width * i;
    float* before = covered_.data() + width * i;
    const float* masked = exposure.masked.empty() ? nullptr : exposure.masked.data() + width * i;
    for (std::ptrdiff_t x = 0; x < width; ++x) {
        const float share = masked == nullptr ? 0.0F : masked[x];
        if (std::abs(share - before[x]) > kCoveredAlike) background[x] = kEmpty;
        before[x] = share;
    }
}

Ingest::Line Ingest::line_of(const StoredFrame& frame, const Mapping& mapping, std::int64_t exposed) {
    const Window& window = mapping.window;
    Line line{{mask_, 0.0F, 0.0F, 0.0F}, 0.0F, 0.0F};
    if (window.fixed) {
        const auto [origin, slope, intercept] = *window.fixed;
        const float ends[2] = {-intercept / slope, (1.0F - intercept) / slope};
        line = {{mask_, origin, std::min(ends[0], ends[1]), std::max(ends[0], ends[1])}, slope, intercept};
    } else if (exposed > 0) {
        const auto [zero, one] = percentile_values(frame, mapping, exposed);
        const float reach = one - zero;
        if (reach != 0.0F) line = {{mask_, zero, std::min(reach, 0.0F), std::max(reach, 0.0F)}, 1.0F / reach, 0.0F};
    }
    if (window.invert) {
        line.slope = -line.slope;
        line.intercept = 1.0F - line.intercept;
    }
    return line;
}

// The modality values, or where they rise or fall with them the stored values, that become 0 and 1.
std::array<float, 2> Ingest::percentile_values(const StoredFrame& frame, const Mapping& mapping, std::int64_t exposed) {
    const std::vector<float>& table = mapping.window.table;
    const PercentileWindow& percentile = *mapping.window.percentile;
    const std::int64_t low = nearest_rank(percentile.low, exposed);
    const std::int64_t high = nearest_rank(percentile.high, exposed);
    if (!table.empty()) {
        histogram_.count(frame);
        return {table[histogram_.ranked_by(mapping.order, low)], table[histogram_.ranked_by(mapping.order, high)]};
    }
    if (percentile.descending) {
        const auto [one, zero] = histogram_.ranked_values(frame, {exposed + 1 - high, exposed + 1 - low});
        return {static_cast<float>(zero), static_cast<float>(one)};
    }
    const auto [zero, one] = histogram_.ranked_values(frame, {low, high});
    return {static_cast<float>(zero), static_cast<float>(one)};
}

// Row y as blocks of kBlock columns can be read: where it lies or, with what was not exposed made 0, from a copy.
template <typename Stored>
const Stored* Ingest::row_of(const StoredFrame& frame, std::int32_t y, std::int32_t slot) {
    const Stored* row = frame.row<Stored>(y);
    if (frame.exposed == nullptr && resizer_.padded_columns() == columns_) return row;
    auto* to = reinterpret_cast<Stored*>(copy(slot));
    const Span span = frame.span(y);
    std::fill(to, to + span.start, Stored{0});
    std::copy(row + span.start, row + span.stop, to + span.start);
    std::fill(to + span.stop, to + columns_, Stored{0});
    return to;
}

template <typename Stored, typename Emit>
void Ingest::resize(const StoredFrame& frame, const Window& window, const Clamp& clamp, Emit emit) {
    const auto stored = [&](std::int32_t y, std::int32_t slot) { return row_of<Stored>(frame, y, slot); };
    if (window.table.empty()) {
        resizer_.run<Stored>(clamp, stored, emit);
        return;
    }
    const auto values = [&](std::int32_t y, std::int32_t slot) {
        float* to = values_.data() + static_cast<std::ptrdiff_t>(slot) * resizer_.padded_columns();
        map(stored(y, slot), resizer_.padded_columns(), window.table.data(), clamp, to);
        return static_cast<const float*>(to);
    };
    resizer_.run<float>(clamp, values, emit);
}

bool Ingest::run(StoredFrame frame, void* out, std::size_t view, std::int32_t index, std::int32_t count) {
    const Exposure& exposure = exposures_[views_[view].exposure];
    const Mapping& mapping = mappings_[views_[view].window];
    frame.exposed = exposure.spans.empty() ? nullptr : exposure.spans.data();
    TensorLayout clip = tensor_;  // its frames on top of each other: the same elements in the same order
    clip.height *= count;
    const Line line = line_of(frame, mapping, exposure.count);
    // Masked pixels were resized as stored value 0; what that made of each element is exchanged for masked_value.
    const float zero = mapping.window.table.empty() ? 0.0F : mapping.window.table[0];
    const float zero_grey =
        std::clamp(zero - line.clamp.origin, line.clamp.low, line.clamp.high) * line.slope + line.intercept;
    const bool remembers = !memory_.empty() && exposure.count > 0;
    const auto emit = [&](std::int32_t i, float* row) {
        to_grey(row, tensor_.width, line.slope, line.intercept);
        if (!exposure.masked.empty())
            add_masked(exposure.masked.data() + static_cast<std::ptrdiff_t>(i) * tensor_.width, tensor_.width,
                       tensor_.masked_value - zero_grey, row);
        if (!remembers) {
            write_row(clip, exposure.count > 0 ? channels_ : covered_channels_, row, index * tensor_.height + i, out);
            return;
        }
        if (!covered_.empty()) forget_changed(exposure, i);
        write_row(tensor_, channels_, remembered(i), row, i, out);
    };
    if (frame.wide)
        resize<std::uint16_t>(frame, mapping.window, line.clamp, emit);
    else
        resize<std::uint8_t>(frame, mapping.window, line.clamp, emit);
    return exposure.count > 0;
}

}  // namespace cathrt
