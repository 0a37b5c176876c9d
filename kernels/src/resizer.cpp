// Variants tried and their time: docs/kernels.md.
#include "resizer.hpp"

#include <algorithm>

#include "dispatch.hpp"

namespace cathrt {
namespace {

template <typename Stored>
CATHRT_INLINE float clamped(Stored stored, const Clamp& clamp) {
    if constexpr (sizeof(Stored) == sizeof(float)) {
        return stored;
    } else {
        float value = static_cast<float>(stored & static_cast<Stored>(clamp.mask)) - clamp.origin;
        value = value > clamp.low ? value : clamp.low;
        return value < clamp.high ? value : clamp.high;
    }
}

// Columns of the next step's rows that are fetched while as many of this step's are added: the hardware sees no stream
// in five rows of 2 KiB.
constexpr std::int32_t kChunk = 256;
constexpr std::int32_t kCacheLine = 64;

// kCount is known to the compiler so that it keeps both sums of a column in registers over all rows.
template <std::int32_t kCount, typename Stored>
CATHRT_INLINE void add(const StepRows<Stored>& rows, const Step& step, Clamp clamp, float* __restrict current,
                       float* __restrict next) {
    const Stored* row[kCount];
    float weight[kCount], next_weight[kCount];
    for (std::int32_t k = 0; k < kCount; ++k) {
        row[k] = rows.rows[k];
        weight[k] = step.weights[k];
        next_weight[k] = step.next_weights[k];
    }
    const float keep = step.begins ? 0.0F : 1.0F;
    for (std::int32_t begin = 0; begin < rows.columns; begin += kChunk) {
        const std::int32_t count =
            std::min(kChunk, rows.columns - begin) & -kBlock;  // whole blocks: no loop for a rest
        for (const Stored* ahead : rows.ahead)
            for (std::int32_t x = 0; x < count; x += kCacheLine / static_cast<std::int32_t>(sizeof(Stored)))
                __builtin_prefetch(ahead + begin + x, 0, 2);
        for (std::int32_t x = begin; x < begin + count; ++x) {
            float sum = current[x], next_sum = next[x] * keep;
#pragma GCC unroll 8
            for (std::int32_t k = 0; k < kCount; ++k) {
                const float value = clamped(row[k][x], clamp);
                sum += value * weight[k];
                next_sum += value * next_weight[k];
            }
            current[x] = sum;
            next[x] = next_sum;
        }
    }
}

template <typename Stored>
CATHRT_INLINE void add_any(const StepRows<Stored>& rows, const Step& step, const Clamp& clamp, float* current,
                           float* next) {
    static_assert(kStepInputs == 5);
    switch (step.count) {
        case 1:
            return add<1>(rows, step, clamp, current, next);
        case 2:
            return add<2>(rows, step, clamp, current, next);
        case 3:
            return add<3>(rows, step, clamp, current, next);
        case 4:
            return add<4>(rows, step, clamp, current, next);
        default:
            return add<5>(rows, step, clamp, current, next);
    }
}

CATHRT_MULTIVERSION void add_u8(const StepRows<std::uint8_t>& rows, const Step& step, const Clamp& clamp,
                                float* current, float* next) {
    add_any(rows, step, clamp, current, next);
}
CATHRT_MULTIVERSION void add_u16(const StepRows<std::uint16_t>& rows, const Step& step, const Clamp& clamp,
                                 float* current, float* next) {
    add_any(rows, step, clamp, current, next);
}
CATHRT_MULTIVERSION void add_float(const StepRows<float>& rows, const Step& step, const Clamp& clamp, float* current,
                                   float* next) {
    add_any(rows, step, clamp, current, next);
}

using Quad [[gnu::vector_size(4 * sizeof(float)), gnu::may_alias]] = float;

// (rows, columns) to (columns, rows), both multiples of 4. Four by four, because every instruction set can do that in
// registers.
CATHRT_INLINE void transpose(const float* __restrict from, std::ptrdiff_t from_pitch, std::int32_t rows,
                             std::int32_t columns, float* __restrict to, std::ptrdiff_t to_pitch) {
    for (std::int32_t x = 0; x < columns; x += 4) {
        for (std::int32_t y = 0; y < rows; y += 4) {
            Quad in[4];
            for (std::int32_t i = 0; i < 4; ++i)
                in[i] = *reinterpret_cast<const Quad*>(from + (y + i) * from_pitch + x);
            const Quad low02 = __builtin_shufflevector(in[0], in[2], 0, 4, 1, 5);
            const Quad high02 = __builtin_shufflevector(in[0], in[2], 2, 6, 3, 7);
            const Quad low13 = __builtin_shufflevector(in[1], in[3], 0, 4, 1, 5);
            const Quad high13 = __builtin_shufflevector(in[1], in[3], 2, 6, 3, 7);
            const Quad out[4] = {__builtin_shufflevector(low02, low13, 0, 4, 1, 5),
                                 __builtin_shufflevector(low02, low13, 2, 6, 3, 7),
                                 __builtin_shufflevector(high02, high13, 0, 4, 1, 5),
                                 __builtin_shufflevector(high02, high13, 2, 6, 3, 7)};
            for (std::int32_t i = 0; i < 4; ++i) *reinterpret_cast<Quad*>(to + (x + i) * to_pitch + y) = out[i];
        }
    }
}

using Lanes [[gnu::vector_size(kLanes * sizeof(float)), gnu::may_alias]] = float;

// Outputs whose columns are transposed together: they stay in the first-level cache until the taps have read them.
constexpr std::int32_t kGroup = 16;

// kLanes rows to as many rows of `width`: reduced (kLanes, pitch), grid (kLanes, grid_pitch); the rest is scratch.
CATHRT_MULTIVERSION void resize_rows(const float* reduced, std::ptrdiff_t pitch, const ResizeAxis& axis,
                                     std::int32_t width, float* columns, float* lanes, float* grid,
                                     std::int32_t grid_pitch) {
    const std::int32_t* first = axis.first.data();
    for (std::int32_t begin = 0; begin < width; begin += kGroup) {
        const std::int32_t end = std::min(begin + kGroup, width);
        const std::int32_t start = first[begin] & -4;
        const std::int32_t count = (first[end - 1] + axis.taps - start + 3) & -4;
        transpose(reduced + start, pitch, kLanes, count, columns, kLanes);
        for (std::int32_t j = begin; j < end; ++j) {
            const auto* column = reinterpret_cast<const Lanes*>(columns) + (first[j] - start);
            const float* weight = axis.weight(j);
            // Two sums, because one would wait for its own multiply-add at every tap.
            Lanes even = {}, odd = {};
            std::int32_t t = 0;
            for (; t + 2 <= axis.taps; t += 2) {
                even += column[t] * weight[t];
                odd += column[t + 1] * weight[t + 1];
            }
            if (t < axis.taps) even += column[t] * weight[t];
            reinterpret_cast<Lanes*>(lanes)[j] = even + odd;
        }
    }
    transpose(lanes, kLanes, grid_pitch, kLanes, grid, grid_pitch);
}

// The most columns that a group of outputs reads.
std::size_t group_columns(const ResizeAxis& axis) {
    std::int32_t most = 0;
    const auto width = static_cast<std::int32_t>(axis.first.size());
    for (std::int32_t begin = 0; begin < width; begin += kGroup) {
        const std::int32_t last = std::min(begin + kGroup, width) - 1;
        most = std::max(
            most, axis.first[static_cast<std::size_t>(last)] + axis.taps - axis.first[static_cast<std::size_t>(begin)]);
    }
    return static_cast<std::size_t>(most) + 8;  // rounded to whole fours at both ends
}

std::int32_t rounded_up(std::int32_t count, std::int32_t to) { return (count + to - 1) / to * to; }

}  // namespace

Resizer::Resizer(std::int32_t rows, std::int32_t columns, std::int32_t height, std::int32_t width)
    : height_(height),
      width_(width),
      padded_(rounded_up(columns, kBlock)),
      // Rows a power of two apart would fall on the same cache sets.
      reduced_pitch_(padded_ + kBlock / 2),
      grid_pitch_(rounded_up(width, 4)),
      steps_(resize_steps(rows, height)),
      horizontal_(resize_axis(columns, width)),
      reduced_(static_cast<std::size_t>(reduced_pitch_) * (kLanes + 1), 0.0F),
      columns_(group_columns(horizontal_) * kLanes, 0.0F),
      lanes_(static_cast<std::size_t>(grid_pitch_) * kLanes, 0.0F),
      grid_(static_cast<std::size_t>(grid_pitch_) * kLanes, 0.0F) {}

void Resizer::resize_lanes() {
    resize_rows(reduced_.data(), reduced_pitch_, horizontal_, width_, columns_.data(), lanes_.data(), grid_.data(),
                grid_pitch_);
    std::copy_n(reduced(kLanes), padded_, reduced(0));
}

void add_rows(const StepRows<std::uint8_t>& rows, const Step& step, const Clamp& clamp, float* current, float* next) {
    add_u8(rows, step, clamp, current, next);
}
void add_rows(const StepRows<std::uint16_t>& rows, const Step& step, const Clamp& clamp, float* current, float* next) {
    add_u16(rows, step, clamp, current, next);
}
void add_rows(const StepRows<float>& rows, const Step& step, const Clamp& clamp, float* current, float* next) {
    add_float(rows, step, clamp, current, next);
}

}  // namespace cathrt
