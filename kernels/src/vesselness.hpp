// How much of a frame's field looks like dark lines, as one number. Truth, sources and what the number means:
// reference/vesselness.py. Not for a picture of the vessels.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "scratch.hpp"
#include "stored.hpp"

namespace cathrt {

// The plan of one run and the scratch of one frame: running allocates nothing. Not thread-safe.
class Vesselness {
  public:
    // exposed: one span a row, or empty: all of the frame. inverted: vessels are bright in the stored values.
    Vesselness(std::int32_t rows, std::int32_t columns, int bits_stored, const std::vector<Span>& exposed,
               bool inverted);

    // frame: of this plan's size and mask; its exposed is not looked at. 0 where no cell counts, or all are equal.
    float run(const StoredFrame& frame);

    std::int32_t rows() const { return rows_; }
    std::int32_t columns() const { return columns_; }
    int bits_stored() const { return bits_stored_; }

  private:
    template <typename Stored>
    void sum_cells(const StoredFrame& frame);
    double field_mean() const;
    void smooth_row(std::int32_t y);
    float* grid(std::int32_t y) { return grid_.data() + y * pitch_; }
    float* ring(std::int32_t y) { return ring_.data() + y % kRing * pitch_; }

    static constexpr std::int32_t kRing = 3;

    std::int32_t rows_;
    std::int32_t columns_;
    int bits_stored_;
    bool inverted_;
    std::int32_t side_;       // pixels of a cell
    std::int32_t grid_rows_;  // and columns: of cells
    std::int32_t grid_columns_;
    float sigma_;
    std::vector<float> weights_;  // of the Gaussian, from its middle outwards: radius + 1
    std::vector<Span> field_;     // cells of each row that count
    std::int64_t cells_ = 0;      // how many
    std::int32_t first_ = 0;      // rows of cells with some that count: [first, last)
    std::int32_t last_ = 0;
    std::ptrdiff_t pitch_;               // of the buffers below
    Scratch<std::uint32_t> sums_;        // (columns): a row of cells, summed downwards only
    Scratch<std::int32_t> sum_of_cell_;  // (grid rows, pitch)
    Scratch<float> grid_;                // the same, less the field's mean
    Scratch<float> smooth_down_;         // (margin + pitch + margin), 0 beyond the grid
    Scratch<float> ring_;                // (kRing, pitch): rows of the smooth grid in turn
    Scratch<double> responses_;          // (pitch): sums over the rows
    Scratch<double> distances_;          // (pitch): of the cells from their mean
};

}  // namespace cathrt
