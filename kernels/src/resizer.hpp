// The antialiased resize of one frame, row by row, from stored values as they lie in memory to rows of the result.
// Truth: reference/ingest.py (resize). Not for: the weights (resize.hpp) or what a row stands for (ingest.hpp).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "resize.hpp"
#include "scratch.hpp"

namespace cathrt {

// What is resized instead of a stored value: clamp((value & mask) - origin, low, high). Of float rows: the value
// itself.
struct Clamp {
    std::uint16_t mask;
    float origin;
    float low;
    float high;
};

// The rows of one step, `columns` values each (a multiple of kBlock), and of the step after it.
template <typename Stored>
struct StepRows {
    const Stored* rows[kStepInputs];
    const Stored* ahead[kStepInputs];
    std::int32_t columns;
};

// Adds the rows to the output they fall in and to the next one. Both are finite, and `next` is set rather than added to
// where the step begins its output.
inline constexpr std::int32_t kBlock = 32;
void add_rows(const StepRows<std::uint8_t>& rows, const Step& step, const Clamp& clamp, float* current, float* next);
void add_rows(const StepRows<std::uint16_t>& rows, const Step& step, const Clamp& clamp, float* current, float* next);
void add_rows(const StepRows<float>& rows, const Step& step, const Clamp& clamp, float* current, float* next);

// Output rows resized horizontally at once: one per vector lane, so that every tap is one multiply-add.
inline constexpr std::int32_t kLanes = 16;

// Weights and scratch of one pair of sizes; resizing allocates nothing. Not thread-safe.
class Resizer {
  public:
    Resizer(std::int32_t rows, std::int32_t columns, std::int32_t height, std::int32_t width);

    // Columns that may be read of every row handed in: its own, rounded up to whole blocks. What is beyond its own must
    // be finite and counts for nothing.
    std::int32_t padded_columns() const { return padded_; }

    // fetch(y, slot) hands out row y of the frame; it must stay until the slot, 0 to kSlots - 1, is used again.
    // emit(i, row) takes row i of the result: `width` floats, which it may change. Rows come in order.
    static constexpr std::int32_t kSlots = 2 * kStepInputs;
    template <typename Stored, typename Fetch, typename Emit>
    void run(const Clamp& clamp, Fetch fetch, Emit emit) {
        std::fill_n(reduced(0), padded_, 0.0F);
        StepRows<Stored> rows{{}, {}, padded_};
        const auto look_ahead = [&](std::size_t index) {
            const Step& step = steps_[std::min(index, steps_.size() - 1)];
            const std::int32_t slot = index % 2 == 0 ? 0 : kStepInputs;
            for (std::int32_t k = 0; k < step.count; ++k) rows.ahead[k] = fetch(step.first + k, slot + k);
            for (std::int32_t k = step.count; k < kStepInputs; ++k) rows.ahead[k] = rows.ahead[0];
        };
        look_ahead(0);
        std::int32_t output = 0;
        for (std::size_t index = 0; index < steps_.size(); ++index) {
            std::copy_n(rows.ahead, kStepInputs, rows.rows);
            look_ahead(index + 1);
            const std::int32_t lane = output % kLanes;
            add_rows(rows, steps_[index], clamp, reduced(lane), reduced(lane + 1));
            if (!steps_[index].completes) continue;
            ++output;
            if (lane + 1 < kLanes && output < height_) continue;
            resize_lanes();
            for (std::int32_t i = 0; i <= lane; ++i) emit(output - 1 - lane + i, grid_.data() + i * grid_pitch_);
        }
    }

  private:
    float* reduced(std::int32_t lane) { return reduced_.data() + lane * reduced_pitch_; }
    void resize_lanes();

    std::int32_t height_;
    std::int32_t width_;
    std::int32_t padded_;
    std::ptrdiff_t reduced_pitch_;
    std::int32_t grid_pitch_;
    std::vector<Step> steps_;
    ResizeAxis horizontal_;
    Scratch<float> reduced_;  // (kLanes + 1, reduced_pitch_) after the vertical resize; the last has begun only
    Scratch<float> columns_;  // (columns of a group of outputs, kLanes)
    Scratch<float> lanes_;    // (grid_pitch_, kLanes) after the horizontal resize
    Scratch<float> grid_;     // the same, (kLanes, grid_pitch_)
};

}  // namespace cathrt
