// Fused ingest: stored values -> modality -> window -> inversion -> shutter -> antialiased resize -> normalise ->
// tensor, one pass over the frame after a histogram pass. Truth: reference/ingest.py. Not for decoding or for choosing
// windows.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "histogram.hpp"
#include "resizer.hpp"
#include "scratch.hpp"
#include "stored.hpp"
#include "tensor.hpp"

namespace cathrt {

// grey = clamp((t - origin) * slope + intercept, 0, 1), where t is the table's entry for the stored value or, without a
// table, the stored value itself. Subtracting an origin near the window first keeps narrow windows exact in float32.
struct LinearWindow {
    float origin;
    float slope;
    float intercept;
};

// The window found from each frame: nearest-rank percentiles of the exposed pixels map to 0 and 1; equal ones make the
// frame 0. descending: modality values fall as stored values rise (Rescale Slope below 0); unused with a table.
struct PercentileWindow {
    double low;
    double high;
    bool descending;
};

// How a stored value becomes grey. table: empty, or one finite entry per stored value; with fixed it holds t above,
// with percentile the modality values. Exactly one of fixed and percentile is set. invert: MONOCHROME1, after the
// window.
struct Window {
    std::vector<float> table;
    std::optional<LinearWindow> fixed;
    std::optional<PercentileWindow> percentile;
    bool invert;
};

// How some frames of a run are looked at: places of an exposed area and a window in the lists of the plan.
struct View {
    std::size_t exposure;
    std::size_t window;
};

// Everything that is the same for all frames of a run, and the scratch of one frame: running allocates nothing.
// Not thread-safe.
class Ingest {
  public:
    // exposures: spans of each exposed area, none for the whole frame. views: at least one.
    Ingest(std::int32_t rows, std::int32_t columns, int bits_stored, std::vector<std::vector<Span>> exposures,
           std::vector<Window> windows, std::vector<View> views, TensorLayout tensor);
    // Of a run whose frames are all looked at alike.
    Ingest(std::int32_t rows, std::int32_t columns, int bits_stored, std::vector<Span> exposed, Window window,
           TensorLayout tensor);

    // frame: of this plan's size and mask; its exposed is replaced by the view's. out: 3 * height * width elements.
    // Returns false, with everything masked_value and the memory as it was, where the view has no exposed pixel.
    bool run(StoredFrame frame, void* out, std::size_t view) { return run(frame, out, view, 0, 1); }
    // The same for frame `index` of a clip of `count`: out is the whole clip, (count, height, width, 3) or (3, count,
    // height, width), of which only this frame's elements are written. count: 1 where the tensor has a history.
    bool run(StoredFrame frame, void* out, std::size_t view, std::int32_t index, std::int32_t count);
    // Empties the memory: the next frame is the first of a run. Changes nothing without a history.
    void reset();

    std::int32_t rows() const { return rows_; }
    std::int32_t columns() const { return columns_; }
    int bits_stored() const { return bits_stored_; }
    std::size_t views() const { return views_.size(); }
    const TensorLayout& tensor() const { return tensor_; }

  private:
    // masked: (height, width) share of each element that is not exposed, or empty where all are.
    struct Exposure {
        std::vector<Span> spans;
        std::int64_t count;
        std::vector<float> masked;
    };
    // order: stored values by rising table entry, where the window is found from the frame.
    struct Mapping {
        Window window;
        std::vector<std::uint16_t> order;
    };
    // grey = clamp(t, clamp) * slope + intercept: the linear part can wait until the frame is small.
    struct Line {
        Clamp clamp;
        float slope;
        float intercept;
    };
    Exposure exposure_of(std::vector<Span> spans);
    Line line_of(const StoredFrame& frame, const Mapping& mapping, std::int64_t exposed);
    std::array<float, 2> percentile_values(const StoredFrame& frame, const Mapping& mapping, std::int64_t exposed);
    template <typename Stored, typename Emit>
    void resize(const StoredFrame& frame, const Window& window, const Clamp& clamp, Emit emit);
    template <typename Stored>
    const Stored* row_of(const StoredFrame& frame, std::int32_t y, std::int32_t slot);
    std::uint16_t* copy(std::int32_t slot) {
        return copies_.data() + static_cast<std::ptrdiff_t>(slot) * resizer_.padded_columns();
    }

    void forget_changed(const Exposure& exposure, std::int32_t i);
    HistoryRow remembered(std::int32_t i) {
        const std::ptrdiff_t width = tensor_.width;
        float* row = memory_.data() + 2 * width * i;
        float* scratch = memory_.data() + 2 * width * tensor_.height;
        return {row, row + width, scratch, scratch + width};
    }

    std::int32_t rows_;
    std::int32_t columns_;
    int bits_stored_;
    std::uint16_t mask_;
    std::vector<View> views_;
    std::vector<Mapping> mappings_;
    TensorLayout tensor_;
    std::array<ChannelLine, 3> channels_;
    std::array<ChannelLine, 3> covered_channels_;  // of a view without an exposed pixel: every difference is 0
    Histogram histogram_;
    Resizer resizer_;
    // (Resizer::kSlots, padded columns), or empty where rows can always be read where they lie.
    Scratch<std::uint16_t> copies_;
    Scratch<float> values_;  // (Resizer::kSlots, padded columns) of entries of a table, or empty
    std::vector<Exposure> exposures_;
    // (height, 2, width): background and recent mean of each pixel of the tensor; then two rows of scratch. Empty
    // without a history.
    Scratch<float> memory_;
    Scratch<float> covered_;  // (height, width) masked share of what memory_ holds; empty where it cannot change
};

}  // namespace cathrt
