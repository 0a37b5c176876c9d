#include "frame.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <vector>

#include "dispatch.hpp"

namespace cathrt::phantom {
namespace {

constexpr std::size_t kBlock = 32;
constexpr float kLeastPath = 1e-3F;

// 2 to a power from -126 to 0, within 1e-7 of itself.
CATHRT_INLINE float power_of_two(float power) {
    const auto whole = static_cast<std::int32_t>(power - 0.5F);
    const float t = power - static_cast<float>(whole);
    float sum = 0.000153458081F;
    sum = sum * t + 0.00133999309F;
    sum = sum * t + 0.00961848907F;
    sum = sum * t + 0.0555032864F;
    sum = sum * t + 0.240226462F;
    sum = sum * t + 0.693147182F;
    sum = sum * t + 1.0F;
    return std::bit_cast<float>(std::bit_cast<std::int32_t>(sum) + whole * (1 << 23));
}

// A whole number, because a sum of those may be formed in any order: only then is the loop vectorised.
CATHRT_INLINE bool any_lit(const float* path) {
    std::int32_t lit = 0;
    for (std::size_t i = 0; i < kBlock; ++i) lit |= path[i] > kLeastPath ? 1 : 0;
    return lit != 0;
}

CATHRT_INLINE void transmit_block(float* __restrict primary, const float* __restrict path, std::span<const Bin> bins) {
    alignas(64) float left[kBlock] = {};
    for (const Bin& bin : bins) {
        const float per_mm = bin.per_mm * -1.44269504F;  // by ln 2
        const float share = bin.share;
        for (std::size_t i = 0; i < kBlock; ++i)
            left[i] += share * power_of_two(std::max(per_mm * std::max(path[i], 0.0F), -126.0F));
    }
    for (std::size_t i = 0; i < kBlock; ++i) primary[i] *= path[i] > kLeastPath ? left[i] : 1.0F;
}

CATHRT_MULTIVERSION void transmit_blocks(float* __restrict primary, const float* __restrict path, std::size_t blocks,
                                         std::span<const Bin> bins) {
    for (std::size_t k = 0; k < blocks; ++k)
        if (any_lit(path + k * kBlock)) transmit_block(primary + k * kBlock, path + k * kBlock, bins);
}

// line = upper * (1 - lower_share) + lower * lower_share.
CATHRT_MULTIVERSION void mix(const float* upper, const float* lower, float lower_share, std::size_t size,
                             float* __restrict line) {
    const float upper_share = 1.0F - lower_share;
    for (std::size_t i = 0; i < size; ++i) line[i] = upper[i] * upper_share + lower[i] * lower_share;
}

CATHRT_MULTIVERSION void add_mix(const float* __restrict line, float right_share, std::size_t size,
                                 float* __restrict out) {
    const float left_share = 1.0F - right_share;
    for (std::size_t i = 0; i < size; ++i) out[i] += line[i] * left_share + line[i + 1] * right_share;
}

CATHRT_MULTIVERSION void blur(const float* before, const float* here, const float* after, float neighbour,
                              std::size_t size, float* __restrict out) {
    const float middle = 1.0F - 2.0F * neighbour;
    for (std::size_t i = 0; i < size; ++i) out[i] = here[i] * middle + (before[i] + after[i]) * neighbour;
}

CATHRT_MULTIVERSION void add_row(const float* __restrict row, std::size_t size, float* __restrict sum) {
    for (std::size_t i = 0; i < size; ++i) sum[i] += row[i];
}

// A matrix (rows, columns), row after row.
struct Matrix {
    const float* values;
    std::size_t rows;
    std::size_t columns;
};

// out += left * right, four terms at a time, for some columns only: what is read of the right side then stays in the
// first-level cache for all rows.
CATHRT_MULTIVERSION void multiply_columns(const Matrix& left, const Matrix& right, std::size_t first, std::size_t size,
                                          float* out) {
    const std::size_t stride = right.columns;
    for (std::size_t row = 0; row < left.rows; ++row) {
        const float* const share = left.values + row * left.columns;
        float* __restrict const sum = out + row * stride + first;
        std::size_t k = 0;
        for (; k + 4 <= left.columns; k += 4) {
            const float* __restrict const from = right.values + k * stride + first;
            for (std::size_t i = 0; i < size; ++i)
                sum[i] += (share[k] * from[i] + share[k + 1] * from[i + stride]) +
                          (share[k + 2] * from[i + 2 * stride] + share[k + 3] * from[i + 3 * stride]);
        }
        for (; k < left.columns; ++k)
            for (std::size_t i = 0; i < size; ++i) sum[i] += share[k] * right.values[k * stride + first + i];
    }
}

void multiply(const Matrix& left, const Matrix& right, float* out) {
    constexpr std::size_t kColumns = 128;
    std::fill_n(out, left.rows * right.columns, 0.0F);
    for (std::size_t first = 0; first < right.columns; first += kColumns)
        multiply_columns(left, right, first, std::min(kColumns, right.columns - first), out);
}

// Where a shift by so many pixels begins to read, whole and part; the layer has nothing beyond its margin.
struct Origin {
    std::ptrdiff_t whole;
    float part;

    Origin(std::int32_t margin, double shift) {
        const double origin = std::clamp(margin - shift, 0.0, std::max(2.0 * margin - 1e-3, 0.0));
        whole = static_cast<std::ptrdiff_t>(origin);
        part = static_cast<float>(origin - static_cast<double>(whole));
    }
};

}  // namespace

void shift_layers(const Blend& layers, std::int32_t margin, Shift shift, std::int32_t rows, std::int32_t columns,
                  float* out) {
    const Origin top(margin, shift.rows), start(margin, shift.columns);
    const std::ptrdiff_t stride = columns + 2 * std::ptrdiff_t{margin};
    const std::size_t taken = static_cast<std::size_t>(columns) + (start.part > 0.0F ? 1 : 0);
    // One entry more than may be taken: the last is read, with weight 0, when the shift is whole.
    std::vector<float> upper(static_cast<std::size_t>(columns) + 1), lower(upper.size()), line(upper.size());
    // The layers' own row, blended; without a blend the row itself.
    const auto blended = [&](std::ptrdiff_t row, std::vector<float>& into) -> const float* {
        const std::ptrdiff_t offset = row * stride + start.whole;
        if (layers.share == 0.0F) return layers.first + offset;
        if (layers.share == 1.0F) return layers.second + offset;
        mix(layers.first + offset, layers.second + offset, layers.share, taken, into.data());
        return into.data();
    };
    const float* above = blended(top.whole, upper);
    for (std::ptrdiff_t row = 0; row < rows; ++row) {
        const float* below = above;
        if (top.part > 0.0F || row + 1 < rows) below = blended(top.whole + row + 1, lower);
        mix(above, top.part > 0.0F ? below : above, top.part, taken, line.data());
        add_mix(line.data(), start.part, static_cast<std::size_t>(columns), out + row * columns);
        above = below;
        std::swap(upper, lower);
    }
}

void transmit(std::span<float> primary, const float* path_mm, std::span<const Bin> bins) {
    const std::size_t blocks = primary.size() / kBlock, done = blocks * kBlock, left = primary.size() - done;
    transmit_blocks(primary.data(), path_mm, blocks, bins);
    std::array<float, kBlock> rest{}, rest_path{};
    std::copy_n(primary.data() + done, left, rest.begin());
    std::copy_n(path_mm + done, left, rest_path.begin());
    transmit_blocks(rest.data(), rest_path.data(), 1, bins);
    std::copy_n(rest.begin(), left, primary.data() + done);
}

void low_pass(const float* image, std::int32_t rows, std::int32_t columns, const Spread& spread, float* out) {
    const std::int32_t block = spread.block;
    const std::int32_t high = (rows + block - 1) / block, wide = (columns + block - 1) / block;
    const auto width = static_cast<std::size_t>(columns), across = static_cast<std::size_t>(wide);
    std::vector<float> means(static_cast<std::size_t>(high) * across), sum(width);
    std::vector<float> lines(static_cast<std::size_t>(rows) * across);
    const float share = 1.0F / (static_cast<float>(block) * static_cast<float>(block));
    for (std::int32_t strip = 0; strip < high; ++strip) {
        std::fill(sum.begin(), sum.end(), 0.0F);
        for (std::int32_t row = strip * block; row < (strip + 1) * block; ++row)
            add_row(image + static_cast<std::ptrdiff_t>(std::min(row, rows - 1)) * columns, width, sum.data());
        for (std::int32_t column = 0; column < wide * block; ++column)
            means[static_cast<std::size_t>(strip * wide + column / block)] +=
                share * sum[static_cast<std::size_t>(std::min(column, columns - 1))];
    }
    const auto height = static_cast<std::size_t>(rows), down = static_cast<std::size_t>(high);
    multiply({spread.row, height, down}, {means.data(), down, across}, lines.data());
    multiply({lines.data(), height, across}, {spread.column, across, width}, out);
}

void separable_blur3(const float* image, std::int32_t rows, std::int32_t columns, float neighbour, std::int32_t reach,
                     float* out) {
    const auto width = static_cast<std::size_t>(columns), side = static_cast<std::size_t>(reach);
    std::vector<float> line(width + 2 * side);
    float* const middle = line.data() + side;
    const auto row_at = [&](std::int32_t row) {
        return image + static_cast<std::ptrdiff_t>(std::clamp(row, 0, rows - 1)) * columns;
    };
    for (std::int32_t row = 0; row < rows; ++row) {
        blur(row_at(row - reach), row_at(row), row_at(row + reach), neighbour, width, middle);
        std::fill(line.data(), middle, middle[0]);
        std::fill(middle + width, line.data() + line.size(), middle[width - 1]);
        blur(middle - side, middle, middle + side, neighbour, width, out + static_cast<std::ptrdiff_t>(row) * columns);
    }
}

}  // namespace cathrt::phantom
