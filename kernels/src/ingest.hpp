// Fused ingest: stored values -> modality -> window -> inversion -> shutter -> antialiased resize -> normalise ->
// tensor, one pass over the frame after a histogram pass. Truth: reference/ingest.py. Not for decoding or for choosing
// windows.
#pragma once

#include <array>
#include <cstdint>
#include <new>
#include <optional>
#include <vector>

#include "histogram.hpp"
#include "resize.hpp"
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

// Scratch rows start where vector loads want them.
template <typename T>
struct AlignedAllocator {
    using value_type = T;
    static constexpr std::align_val_t kAlignment{64};
    AlignedAllocator() = default;
    template <typename U>
    explicit AlignedAllocator(const AlignedAllocator<U>&) {}
    T* allocate(std::size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), kAlignment)); }
    void deallocate(T* pointer, std::size_t) noexcept { ::operator delete(pointer, kAlignment); }
    bool operator==(const AlignedAllocator&) const = default;
};
using Scratch = std::vector<float, AlignedAllocator<float>>;

// Everything that is the same for all frames of a run, and the scratch of one frame: running allocates nothing.
// Not thread-safe.
class Ingest {
  public:
    Ingest(std::int32_t rows, std::int32_t columns, int bits_stored, std::vector<Span> exposed, Window window,
           TensorLayout tensor);

    // frame: of this plan's size and mask; its exposed is replaced by the plan's. out: 3 * height * width elements.
    // Returns false, with everything masked_value, where the run has no exposed pixel.
    bool run(StoredFrame frame, void* out);

    std::int32_t rows() const { return rows_; }
    std::int32_t columns() const { return columns_; }
    int bits_stored() const { return bits_stored_; }
    const TensorLayout& tensor() const { return tensor_; }

  private:
    LinearWindow window_of(const StoredFrame& frame);
    void map(const StoredFrame& frame, std::int32_t y, Span span, const LinearWindow& window, float* grey) const;
    void map_rows(const StoredFrame& frame, std::int32_t first, std::int32_t last, std::int32_t strip,
                  const LinearWindow& window);
    void write_rows(std::int32_t first, std::int32_t count, void* out);

    std::int32_t rows_;
    std::int32_t columns_;
    int bits_stored_;
    std::uint16_t mask_;
    std::vector<Span> exposed_;
    Window window_;
    TensorLayout tensor_;
    std::int64_t exposed_count_;
    Histogram histogram_;
    std::vector<std::uint16_t> order_;  // stored values by rising table entry
    ResizeAxis vertical_;
    ResizeAxis horizontal_;
    std::array<ChannelLine, 3> channels_;
    Scratch ring_;              // (strips, taps, kStrip): the last mapped rows of each strip
    Scratch reduced_;           // (kLanes, columns) after the vertical resize
    Scratch columns_of_lanes_;  // the same, (columns, kLanes)
    Scratch lanes_;             // (width, kLanes) after the horizontal resize
    Scratch row_;               // (width,) of one lane
};

}  // namespace cathrt
