// Variants tried and their time: docs/kernels.md.
#include "clip.hpp"

#include <algorithm>
#include <utility>

#include "dispatch.hpp"

namespace cathrt {
namespace {

// Output rows resized horizontally at once: one per vector lane, so that every tap is one multiply-add.
constexpr std::int32_t kLanes = 8;
using Lanes [[gnu::vector_size(kLanes * sizeof(float)), gnu::may_alias, gnu::aligned(alignof(float))]] = float;

// Input rows added at once, so that the sum is loaded and stored once for all of them.
constexpr std::int32_t kRows = 6;

CATHRT_INLINE float clamp01(float value) {
    value = value > 0.0F ? value : 0.0F;
    return value < 1.0F ? value : 1.0F;
}

// What an input pixel counts as. Where the line leaves no stored value outside [0, 1], it may as well be applied after
// the resize, which is linear too, to a fifth or a twentieth of the pixels.
struct AsStored {
    std::uint16_t mask;
    template <typename Stored>
    CATHRT_INLINE float operator()(Stored stored) const {
        return static_cast<float>(static_cast<Stored>(stored & static_cast<Stored>(mask)));
    }
};
struct AsGrey {
    std::uint16_t mask;
    LinearWindow line;
    template <typename Stored>
    CATHRT_INLINE float operator()(Stored stored) const {
        return clamp01((AsStored{mask}(stored)-line.origin) * line.slope + line.intercept);
    }
};
struct AsIs {
    CATHRT_INLINE float operator()(float grey) const { return grey; }
};

// Rows of one kind of pixel, `stride` bytes apart.
template <typename Pixel>
struct Rows {
    const std::byte* data;
    std::ptrdiff_t stride;
    CATHRT_INLINE const Pixel* operator[](std::int32_t index) const {
        return reinterpret_cast<const Pixel*>(data + index * stride);
    }
};

// reduced = the weighted sum of `count` rows from `start` on, or reduced += it.
template <std::int32_t count, typename Pixel, typename Value>
CATHRT_INLINE void add_rows(Rows<Pixel> rows, std::int32_t start, const float* weights, std::int32_t columns,
                            Value value, float* __restrict reduced) {
    const Pixel* row[count];
    float weight[count];
    for (std::int32_t i = 0; i < count; ++i) row[i] = rows[start + i], weight[i] = weights[start + i];
    // GCC tests at run time whether reduced overlaps any row, and with many rows gives up. It never does.
#pragma GCC ivdep
    for (std::int32_t x = 0; x < columns; ++x) {
        float sum = start == 0 ? 0.0F : reduced[x];
        for (std::int32_t i = 0; i < count; ++i) sum += value(row[i][x]) * weight[i];
        reduced[x] = sum;
    }
}

template <typename Pixel, typename Value>
CATHRT_INLINE void combine_rows(Rows<Pixel> rows, const float* weights, std::int32_t taps, std::int32_t columns,
                                Value value, float* __restrict reduced) {
    for (std::int32_t t = 0; t < taps; t += kRows) {
        switch (std::min(kRows, taps - t)) {
            case 1:
                add_rows<1>(rows, t, weights, columns, value, reduced);
                break;
            case 2:
                add_rows<2>(rows, t, weights, columns, value, reduced);
                break;
            case 3:
                add_rows<3>(rows, t, weights, columns, value, reduced);
                break;
            case 4:
                add_rows<4>(rows, t, weights, columns, value, reduced);
                break;
            case 5:
                add_rows<5>(rows, t, weights, columns, value, reduced);
                break;
            default:
                add_rows<kRows>(rows, t, weights, columns, value, reduced);
        }
    }
}

CATHRT_MULTIVERSION void combine_stored_u8(Rows<std::uint8_t> rows, const float* weights, std::int32_t taps,
                                           std::int32_t columns, AsStored value, float* __restrict reduced) {
    combine_rows(rows, weights, taps, columns, value, reduced);
}
CATHRT_MULTIVERSION void combine_stored_u16(Rows<std::uint16_t> rows, const float* weights, std::int32_t taps,
                                            std::int32_t columns, AsStored value, float* __restrict reduced) {
    combine_rows(rows, weights, taps, columns, value, reduced);
}
CATHRT_MULTIVERSION void combine_grey_u8(Rows<std::uint8_t> rows, const float* weights, std::int32_t taps,
                                         std::int32_t columns, AsGrey value, float* __restrict reduced) {
    combine_rows(rows, weights, taps, columns, value, reduced);
}
CATHRT_MULTIVERSION void combine_grey_u16(Rows<std::uint16_t> rows, const float* weights, std::int32_t taps,
                                          std::int32_t columns, AsGrey value, float* __restrict reduced) {
    combine_rows(rows, weights, taps, columns, value, reduced);
}
CATHRT_MULTIVERSION void combine_mapped(Rows<float> rows, const float* weights, std::int32_t taps, std::int32_t columns,
                                        AsIs value, float* __restrict reduced) {
    combine_rows(rows, weights, taps, columns, value, reduced);
}

CATHRT_MULTIVERSION void map_u8(const std::uint8_t* stored, std::int32_t columns, std::uint16_t mask,
                                const float* table, LinearWindow line, float* __restrict grey) {
    for (std::int32_t x = 0; x < columns; ++x)
        grey[x] = clamp01((table[stored[x] & mask] - line.origin) * line.slope + line.intercept);
}
CATHRT_MULTIVERSION void map_u16(const std::uint16_t* stored, std::int32_t columns, std::uint16_t mask,
                                 const float* table, LinearWindow line, float* __restrict grey) {
    for (std::int32_t x = 0; x < columns; ++x)
        grey[x] = clamp01((table[stored[x] & mask] - line.origin) * line.slope + line.intercept);
}

// (kLanes, columns) to (columns, kLanes).
CATHRT_MULTIVERSION void transpose(const float* __restrict rows, std::ptrdiff_t columns, float* __restrict lanes) {
    for (std::ptrdiff_t x = 0; x < columns; ++x)
        for (std::ptrdiff_t lane = 0; lane < kLanes; ++lane) lanes[x * kLanes + lane] = rows[lane * columns + x];
}

CATHRT_MULTIVERSION void resize_columns(const float* columns, const std::int32_t* first, const float* weights,
                                        std::int32_t taps, std::int32_t width, float scale, float offset,
                                        float* __restrict lanes) {
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
        reinterpret_cast<Lanes*>(lanes)[j] = (even + odd) * scale + offset;
    }
}

CATHRT_MULTIVERSION void take_lane(const float* lane, std::int32_t width, float* __restrict row) {
    for (std::int32_t j = 0; j < width; ++j) row[j] = lane[j * kLanes];
}

// Whether some stored value needs the clamp. A millionth beyond, as float32 makes of 255 * (1 / 255), does not.
bool leaves_unit_range(const LinearWindow& line, int bits_stored) {
    const auto grey = [line](unsigned stored) {
        return (static_cast<double>(stored) - static_cast<double>(line.origin)) * static_cast<double>(line.slope) +
               static_cast<double>(line.intercept);
    };
    const auto [low, high] = std::minmax({grey(0U), grey((1U << bits_stored) - 1U)});
    return low < -1e-6 || high > 1.0 + 1e-6;
}

std::size_t area(std::int32_t a, std::int32_t b) { return static_cast<std::size_t>(a) * static_cast<std::size_t>(b); }

}  // namespace

Clip::Clip(std::int32_t rows, std::int32_t columns, int bits_stored, Window window, std::int32_t frames,
           TensorLayout tensor)
    : rows_(rows),
      columns_(columns),
      bits_stored_(bits_stored),
      frames_(frames),
      tensor_(tensor),
      tall_(tensor),
      channels_(channel_lines(tensor)),
      table_(std::move(window.table)),
      line_(window.fixed.value()),
      vertical_(resize_axis(rows, tensor.height)),
      horizontal_(resize_axis(columns, tensor.width)),
      mapped_(table_.empty() ? 0 : area(vertical_.taps, columns)),
      reduced_(area(kLanes, columns)),
      turned_(area(columns, kLanes)),
      lanes_(area(tensor.width, kLanes)),
      row_(area(tensor.width, 1)) {
    tall_.height = frames * tensor.height;
    if (window.invert) line_ = {line_.origin, -line_.slope, 1.0F - line_.intercept};
    clamps_ = leaves_unit_range(line_, bits_stored);
}

// Rows [first, first + taps) of the frame through the table into mapped_; those that are there already are moved up.
void Clip::map_rows(const StoredFrame& frame, std::int32_t first) {
    const std::int32_t taps = vertical_.taps;
    const std::int32_t kept = std::max(0, mapped_until_ - first);
    float* mapped = mapped_.data();
    std::copy(mapped + area(taps - kept, columns_), mapped + area(taps, columns_), mapped);
    for (std::int32_t t = kept; t < taps; ++t) {
        float* grey = mapped + area(t, columns_);
        if (frame.wide)
            map_u16(frame.row<std::uint16_t>(first + t), columns_, frame.mask, table_.data(), line_, grey);
        else
            map_u8(frame.row<std::uint8_t>(first + t), columns_, frame.mask, table_.data(), line_, grey);
    }
    mapped_until_ = first + taps;
}

// One output row of the vertical resize.
void Clip::reduce_row(const StoredFrame& frame, std::int32_t output, float* reduced) {
    const std::int32_t first = vertical_.first[static_cast<std::size_t>(output)];
    const std::int32_t taps = vertical_.taps;
    const float* weights = vertical_.weight(output);
    if (!table_.empty()) {
        map_rows(frame, first);
        const auto stride = static_cast<std::ptrdiff_t>(area(columns_, sizeof(float)));
        combine_mapped({reinterpret_cast<const std::byte*>(mapped_.data()), stride}, weights, taps, columns_, {},
                       reduced);
        return;
    }
    const std::byte* data = frame.data + first * frame.row_stride;
    if (frame.wide && clamps_)
        combine_grey_u16({data, frame.row_stride}, weights, taps, columns_, {{frame.mask}, line_}, reduced);
    else if (frame.wide)
        combine_stored_u16({data, frame.row_stride}, weights, taps, columns_, {frame.mask}, reduced);
    else if (clamps_)
        combine_grey_u8({data, frame.row_stride}, weights, taps, columns_, {{frame.mask}, line_}, reduced);
    else
        combine_stored_u8({data, frame.row_stride}, weights, taps, columns_, {frame.mask}, reduced);
}

void Clip::run(std::span<const StoredFrame> stored, void* out) {
    float scale = 1.0F, offset = 0.0F;  // from what was resized to grey
    if (table_.empty() && !clamps_) scale = line_.slope, offset = line_.intercept - line_.origin * line_.slope;
    std::int32_t first = 0;  // of this frame's rows in the tall tensor
    for (const StoredFrame& frame : stored) {
        mapped_until_ = 0;
        for (std::int32_t batch = 0; batch < tensor_.height; batch += kLanes) {
            const std::int32_t count = std::min(kLanes, tensor_.height - batch);
            for (std::int32_t lane = 0; lane < count; ++lane)
                reduce_row(frame, batch + lane, reduced_.data() + area(lane, columns_));
            transpose(reduced_.data(), columns_, turned_.data());
            resize_columns(turned_.data(), horizontal_.first.data(), horizontal_.weights.data(), horizontal_.taps,
                           tensor_.width, scale, offset, lanes_.data());
            for (std::int32_t lane = 0; lane < count; ++lane) {
                take_lane(lanes_.data() + lane, tensor_.width, row_.data());
                write_row(tall_, channels_, row_.data(), first + batch + lane, out);
            }
        }
        first += tensor_.height;
    }
}

}  // namespace cathrt
