// Variants tried and their time: docs/kernels.md.
#include "vesselness.hpp"

#include <algorithm>
#include <cmath>

#include "dispatch.hpp"

namespace cathrt {
namespace {

// As reference/vesselness.py has them.
constexpr std::int32_t kGridSide = 256;
constexpr std::int32_t kMaxCellSide = 181;
constexpr double kSigma = 2.0;
constexpr double kMinSigma = 1.0;

constexpr std::int32_t kMaxRadius = 9;  // of a Gaussian: ceil(3 sigma) for a grid of 383 cells; the least is 3
constexpr std::int32_t kMargin = 16;    // floats beside a row: at least the radius
constexpr std::int32_t kLine = 16;      // floats of a cache line

CATHRT_INLINE float least(float a, float b) { return a < b ? a : b; }
CATHRT_INLINE float greatest(float a, float b) { return a > b ? a : b; }

std::int32_t cell_side(std::int32_t rows, std::int32_t columns) {
    return std::min(std::max(1, (std::max(rows, columns) + kGridSide / 2) / kGridSide), kMaxCellSide);
}

std::vector<float> gaussian(double sigma) {
    const auto radius = static_cast<std::int32_t>(std::ceil(3.0 * sigma));
    const auto height = [sigma](std::int32_t x) { return std::exp(-0.5 * (x / sigma) * (x / sigma)); };
    double sum = height(0);
    for (std::int32_t x = 1; x <= radius; ++x) sum += 2.0 * height(x);
    std::vector<float> weights;
    for (std::int32_t x = 0; x <= radius; ++x) weights.push_back(static_cast<float>(height(x) / sum));
    return weights;
}

template <typename Stored>
CATHRT_INLINE void add(const Stored* stored, Stored mask, std::int32_t columns, std::uint32_t* sums) {
    for (std::int32_t x = 0; x < columns; ++x) {
        const Stored value = stored[x] & mask;
        sums[x] += value;
    }
}
CATHRT_MULTIVERSION void add_row(const std::uint8_t* stored, std::uint16_t mask, std::int32_t columns,
                                 std::uint32_t* __restrict sums) {
    add(stored, static_cast<std::uint8_t>(mask), columns, sums);
}
CATHRT_MULTIVERSION void add_row(const std::uint16_t* stored, std::uint16_t mask, std::int32_t columns,
                                 std::uint32_t* __restrict sums) {
    add(stored, mask, columns, sums);
}

template <std::int32_t kSide>
CATHRT_INLINE void fold(const std::uint32_t* sums, std::int32_t side, std::int32_t cells, std::int32_t* sum_of_cell) {
    for (std::int32_t x = 0; x < cells; ++x) {
        std::uint32_t sum = 0;
        for (std::int32_t k = 0; k < (kSide > 0 ? kSide : side); ++k) sum += sums[x * (kSide > 0 ? kSide : side) + k];
        sum_of_cell[x] = static_cast<std::int32_t>(sum);
    }
}
// The sides of the usual 256, 512 and 1024 pixels are known to the compiler, which then vectorises.
CATHRT_MULTIVERSION void fold_row(const std::uint32_t* sums, std::int32_t side, std::int32_t cells,
                                  std::int32_t* __restrict sum_of_cell) {
    switch (side) {
        case 1:
            return fold<1>(sums, side, cells, sum_of_cell);
        case 2:
            return fold<2>(sums, side, cells, sum_of_cell);
        case 4:
            return fold<4>(sums, side, cells, sum_of_cell);
        default:
            return fold<0>(sums, side, cells, sum_of_cell);
    }
}

CATHRT_MULTIVERSION std::int64_t sum_span(const std::int32_t* sum_of_cell, std::int32_t start, std::int32_t stop) {
    std::int64_t sum = 0;
    for (std::int32_t x = start; x < stop; ++x) sum += sum_of_cell[x];
    return sum;
}

CATHRT_MULTIVERSION void centre_row(const std::int32_t* sum_of_cell, double mean, std::int32_t cells,
                                    float* __restrict grid) {
    for (std::int32_t x = 0; x < cells; ++x) grid[x] = static_cast<float>(sum_of_cell[x] - mean);
}

// A symmetric filter: `step` floats lie between one tap and the next. The compiler knows how many taps there are, so
// that it keeps a sum in a register over all of them.
template <std::int32_t kRadius>
CATHRT_INLINE void filter(const float* row, std::ptrdiff_t step, const float* weights, std::int32_t columns,
                          float* __restrict out) {
    float weight[kRadius + 1];
    std::copy_n(weights, kRadius + 1, weight);
    for (std::int32_t x = 0; x < columns; ++x) {
        const float* at = row + x;
        float sum = at[0] * weight[0];
#pragma GCC unroll 16
        for (std::int32_t k = 1; k <= kRadius; ++k) sum += (at[-k * step] + at[k * step]) * weight[k];
        out[x] = sum;
    }
}
CATHRT_MULTIVERSION void filter_row(const float* row, std::ptrdiff_t step, const float* weights, std::int32_t radius,
                                    std::int32_t columns, float* __restrict out) {
    switch (radius) {
        case 3:
            return filter<3>(row, step, weights, columns, out);
        case 4:
            return filter<4>(row, step, weights, columns, out);
        case 5:
            return filter<5>(row, step, weights, columns, out);
        case 6:
            return filter<6>(row, step, weights, columns, out);
        case 7:
            return filter<7>(row, step, weights, columns, out);
        case 8:
            return filter<8>(row, step, weights, columns, out);
        default:
            return filter<kMaxRadius>(row, step, weights, columns, out);
    }
}

// Sums a column each, so that no vector has to be added up and the order of adding is that of the rows.
CATHRT_MULTIVERSION void respond_row(const float* above, const float* here, const float* below, const float* grid,
                                     float sign, std::int32_t start, std::int32_t stop, double* __restrict responses,
                                     double* __restrict distances) {
    for (std::int32_t x = start; x < stop; ++x) {
        const float down = above[x] + below[x] - 2.0F * here[x];
        const float across = here[x - 1] + here[x + 1] - 2.0F * here[x];
        const float mixed = 0.5F * ((above[x - 1] + below[x + 1]) - (above[x + 1] + below[x - 1]));
        const float apart = down - across;
        const float difference = std::sqrt(apart * apart + mixed * mixed);
        responses[x] += static_cast<double>(greatest(least(sign * (down + across), difference), 0.0F));
        distances[x] += static_cast<double>(std::fabs(grid[x]));
    }
}

}  // namespace

Vesselness::Vesselness(std::int32_t rows, std::int32_t columns, int bits_stored, const std::vector<Span>& exposed,
                       bool inverted)
    : rows_(rows),
      columns_(columns),
      bits_stored_(bits_stored),
      inverted_(inverted),
      side_(cell_side(rows, columns)),
      grid_rows_(rows / side_),
      grid_columns_(columns / side_),
      // Whole cache lines, and one more: rows a power of two apart would fall on the same cache sets.
      pitch_((static_cast<std::ptrdiff_t>(grid_columns_) + kLine - 1) / kLine * kLine + kLine),
      sums_(static_cast<std::size_t>(columns), 0),
      sum_of_cell_(static_cast<std::size_t>(grid_rows_ * pitch_), 0),
      grid_(static_cast<std::size_t>(grid_rows_ * pitch_), 0.0F),
      smooth_down_(static_cast<std::size_t>(pitch_ + 2 * kMargin), 0.0F),
      ring_(static_cast<std::size_t>(kRing * pitch_), 0.0F),
      responses_(static_cast<std::size_t>(pitch_), 0.0),
      distances_(static_cast<std::size_t>(pitch_), 0.0) {
    const double sigma = std::max(kMinSigma, kSigma * std::max(grid_rows_, grid_columns_) / kGridSide);
    sigma_ = static_cast<float>(sigma);
    weights_ = gaussian(sigma);
    // The Hessian of a cell rests on the cells within the radius and one more.
    const auto margin = static_cast<std::int32_t>(weights_.size());
    field_.assign(static_cast<std::size_t>(grid_rows_), Span{0, 0});
    for (std::int32_t y = margin; y < grid_rows_ - margin; ++y) {
        Span open{0, columns};
        for (std::int32_t row = (y - margin) * side_; !exposed.empty() && row < (y + margin + 1) * side_; ++row) {
            open.start = std::max(open.start, exposed[static_cast<std::size_t>(row)].start);
            open.stop = std::min(open.stop, exposed[static_cast<std::size_t>(row)].stop);
        }
        const Span span{(open.start + side_ - 1) / side_ + margin, open.stop / side_ - margin};
        if (span.start >= span.stop) continue;
        if (cells_ == 0) first_ = y;
        last_ = y + 1;
        cells_ += span.stop - span.start;
        field_[static_cast<std::size_t>(y)] = span;
    }
}

// Of all rows that a cell that counts rests on.
template <typename Stored>
void Vesselness::sum_cells(const StoredFrame& frame) {
    const auto margin = static_cast<std::int32_t>(weights_.size());
    for (std::int32_t y = first_ - margin; y < last_ + margin; ++y) {
        std::fill(sums_.begin(), sums_.end(), 0U);
        for (std::int32_t row = y * side_; row < (y + 1) * side_; ++row)
            add_row(frame.row<Stored>(row), frame.mask, grid_columns_ * side_, sums_.data());
        fold_row(sums_.data(), side_, grid_columns_, sum_of_cell_.data() + y * pitch_);
    }
}

double Vesselness::field_mean() const {
    std::int64_t sum = 0;
    for (std::int32_t y = first_; y < last_; ++y) {
        const Span span = field_[static_cast<std::size_t>(y)];
        sum += sum_span(sum_of_cell_.data() + y * pitch_, span.start, span.stop);
    }
    return static_cast<double>(sum) / static_cast<double>(cells_);
}

void Vesselness::smooth_row(std::int32_t y) {
    const auto radius = static_cast<std::int32_t>(weights_.size()) - 1;
    float* down = smooth_down_.data() + kMargin;
    filter_row(grid(y), pitch_, weights_.data(), radius, grid_columns_, down);
    filter_row(down, 1, weights_.data(), radius, grid_columns_, ring(y));
}

float Vesselness::run(const StoredFrame& frame) {
    if (cells_ == 0) return 0.0F;
    if (frame.wide)
        sum_cells<std::uint16_t>(frame);
    else
        sum_cells<std::uint8_t>(frame);
    const double mean = field_mean();
    const auto margin = static_cast<std::int32_t>(weights_.size());
    for (std::int32_t y = first_ - margin; y < last_ + margin; ++y)
        centre_row(sum_of_cell_.data() + y * pitch_, mean, grid_columns_, grid(y));

    std::fill(responses_.begin(), responses_.end(), 0.0);
    std::fill(distances_.begin(), distances_.end(), 0.0);
    smooth_row(first_ - 1);
    smooth_row(first_);
    for (std::int32_t y = first_; y < last_; ++y) {
        smooth_row(y + 1);
        const Span span = field_[static_cast<std::size_t>(y)];
        respond_row(ring(y - 1), ring(y), ring(y + 1), grid(y), inverted_ ? -1.0F : 1.0F, span.start, span.stop,
                    responses_.data(), distances_.data());
    }
    double response = 0.0, distance = 0.0;
    for (std::int32_t x = 0; x < grid_columns_; ++x) {
        response += responses_[static_cast<std::size_t>(x)];
        distance += distances_[static_cast<std::size_t>(x)];
    }
    // The number of cells, and the pixels of a cell, are factors of both.
    const double scale = static_cast<double>(sigma_) * static_cast<double>(sigma_);
    return distance > 0.0 ? static_cast<float>(scale * response / distance) : 0.0F;
}

}  // namespace cathrt
