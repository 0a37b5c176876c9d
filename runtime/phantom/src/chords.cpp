// Two stages. The first walks the pixels that each link covers and notes, in a batch, how far each lies from the
// link's axis; the second works out the chords of a whole batch at once, which the compiler vectorises.
#include "chords.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "dispatch.hpp"

namespace cathrt::phantom {
namespace {

// Half-sizes of the square patches that links are painted in: the smallest that holds the link is taken, and a link
// that none holds is left out.
constexpr std::array<double, 12> kPatchHalf{3, 4, 5, 6, 8, 11, 16, 24, 40, 64, 96, 160};
// A vessel seen end-on: its chord is cut off at its own radius times this.
constexpr double kMaxObliquity = 6.0;
constexpr std::size_t kBatch = 2048;  // its arrays stay in the first-level cache

struct Vector {
    double x;
    double y;
};

double dot(Vector a, Vector b) { return a.x * b.x + a.y * b.y; }

// normal · (pixel - point), for pixels counted from the middle of a patch.
struct Ramp {
    float across;
    float down;
    float middle;

    Ramp(Vector normal, Vector point, Vector patch)
        : across(static_cast<float>(normal.x)),
          down(static_cast<float>(normal.y)),
          middle(static_cast<float>(dot({patch.x - point.x, patch.y - point.y}, normal))) {}

    float operator()(std::int32_t column, std::int32_t row) const {
        return (static_cast<float>(column) * across + middle) + static_cast<float>(row) * down;
    }
};

struct Columns {
    std::int32_t first;
    std::int32_t last;
};

// The side of a line on which a ramp, times a sign, is at least a limit.
class Side {
  public:
    Side(const Ramp& ramp, float sign, float limit)
        : slope_(sign * ramp.across), down_(sign * ramp.down), middle_(sign * ramp.middle - limit) {
        flat_ = std::abs(slope_) < 1e-3F;
        per_slope_ = flat_ ? 0.0F : -1.0F / slope_;
    }

    // Leaves the columns of a row that may lie on this side: a pixel or two too many, never too few.
    void keep(std::int32_t row, Columns& columns) const {
        const float here = middle_ + static_cast<float>(row) * down_;
        if (flat_) {
            if (here < -1.0F) columns.last = columns.first - 1;
            return;
        }
        const auto root = static_cast<std::int32_t>(std::clamp(here * per_slope_, -1e4F, 1e4F));
        if (slope_ > 0.0F) {
            columns.first = std::max(columns.first, root - 2);
        } else {
            columns.last = std::min(columns.last, root + 2);
        }
    }

  private:
    float slope_, down_, middle_, per_slope_;
    bool flat_;
};

// Pixels whose chords are still to be worked out; lengths in pixels.
struct Batch {
    std::size_t size = 0;
    alignas(64) std::array<float, kBatch> distance;       // from the axis
    alignas(64) std::array<float, kBatch> radius_square;  // of the tube there
    alignas(64) std::array<float, kBatch> aperture;       // half the width that the chord is averaged over
    alignas(64) std::array<float, kBatch> factor;         // mm of chord per pixel² of area
    alignas(64) std::array<std::int32_t, kBatch> pixel;
    alignas(64) std::array<float, kBatch> chord;
};

// The arc tangent of a ratio from 0 to 1, within 1e-7 of itself.
CATHRT_INLINE float arc_tangent(float ratio) {
    const float t = ratio * ratio;
    float sum = 0.00284985197F;
    sum = sum * t - 0.016068479F;
    sum = sum * t + 0.0426912755F;
    sum = sum * t - 0.0750427395F;
    sum = sum * t + 0.106409244F;
    sum = sum * t - 0.142036423F;
    sum = sum * t + 0.199926198F;
    sum = sum * t - 0.333330721F;
    return ratio + ratio * t * sum;
}

// The chord 2 sqrt(radius² - x²) averaged over x within distance +- aperture: the area of a slab of a disc by its
// width. This is what keeps tubes thinner than a pixel from flickering as they move.
//
// With near = radius sin A and far = radius sin B the area is radius² (angle + sin angle cos(A + B)), angle = B - A.
// Sine and cosine of the angle come from products of lengths, so nothing cancels where slab or remainder is narrow.
CATHRT_MULTIVERSION void work_out_chords(Batch& batch) {
    const float* __restrict distance = batch.distance.data();
    const float* __restrict radius_square = batch.radius_square.data();
    const float* __restrict aperture = batch.aperture.data();
    const float* __restrict factor = batch.factor.data();
    float* __restrict chord = batch.chord.data();
    for (std::size_t i = 0; i < batch.size; ++i) {
        const float square = radius_square[i];
        const float radius = std::sqrt(square);
        const float middle = std::abs(distance[i]);
        const float far = std::min(middle + aperture[i], radius);
        const float near = std::min(std::max(middle - aperture[i], -radius), radius);
        const float half_far = std::sqrt((radius - far) * (radius + far));
        const float half_near = std::sqrt((radius - near) * (radius + near));
        const float products = far * half_near + std::abs(near) * half_far;
        const float difference = square * (far - near) * (far + near) / std::max(products, 1e-20F);
        const float sine = near < 0.0F ? products : difference;  // both times radius²
        const float cosine = half_far * half_near + far * near;
        const float size = std::abs(cosine);
        const float acute = arc_tangent(std::min(sine, size) / std::max(std::max(sine, size), 1e-20F));
        const float folded = sine > size ? 1.57079633F - acute : acute;
        const float angle = cosine < 0.0F ? 3.14159265F - folded : folded;
        chord[i] = factor[i] * (square * angle + sine * (half_far * half_near - far * near) / square);
    }
}

void flush(Batch& batch, float* pixels) {
    work_out_chords(batch);
    for (std::size_t i = 0; i < batch.size; ++i) pixels[batch.pixel[i]] += batch.chord[i];
    batch.size = 0;
}

struct Link {
    std::size_t start;  // joins this point and the next
    Vector along;       // unit vector on the detector
    double length;      // on the detector, pixels
};

// What varies along a link: its value at the start, and by how much it rises to the end.
struct Course {
    float start;
    float rise;
    Course(double from, double to) : start(static_cast<float>(from)), rise(static_cast<float>(to - from)) {}
    float at(float fraction) const { return start + fraction * rise; }
};

class Painter {
  public:
    Painter(const Image& image, const Tubes& tubes) : image_(image), tubes_(tubes), direction_(tubes.count) {
        for (std::size_t k = 0; k + 1 < tubes.count; ++k) {
            if (!tubes.joined[k]) continue;
            if (tubes.weight != nullptr && tubes.weight[k] + tubes.weight[k + 1] <= 1e-3) continue;
            const Vector a = seen(k), b = seen(k + 1);
            const double length = std::sqrt((b.x - a.x) * (b.x - a.x) + (b.y - a.y) * (b.y - a.y));
            const double divisor = std::max(length, 1e-6);
            const Vector along{(b.x - a.x) / divisor, (b.y - a.y) / divisor};
            links_.push_back({k, along, length});
            for (const std::size_t end : {k, k + 1}) {
                direction_[end].x += along.x;
                direction_[end].y += along.y;
            }
        }
    }

    void paint() {
        for (const Link& link : links_) paint(link);
        flush(batch_, image_.pixels);
    }

  private:
    Vector seen(std::size_t k) const { return {tubes_.seen[3 * k], tubes_.seen[3 * k + 1]}; }
    double pixels_per_mm(std::size_t k) const { return tubes_.seen[3 * k + 2]; }
    double true_square(std::size_t k) const {
        const double radius = tubes_.radius_mm[k] * pixels_per_mm(k);
        return radius * radius;
    }
    // An ellipse of radius r has variance r²/4 across.
    double seen_square(std::size_t k) const { return true_square(k) + 4.0 * tubes_.blur_variance[k]; }
    double thinning(std::size_t k) const {
        const double square = seen_square(k);
        if (square <= 0.0) return 0.0;
        return true_square(k) / square / pixels_per_mm(k) * (tubes_.weight == nullptr ? 1.0 : tubes_.weight[k]);
    }
    // Normal of the bisector at a joint; at a free end or a hairpin, the link's own direction.
    Vector bisector(std::size_t k, Vector along) const {
        return dot(direction_[k], along) < 0.2 ? along : direction_[k];
    }
    double length_mm(std::size_t k) const {
        double sum = 0.0;
        for (std::size_t axis = 0; axis < 3; ++axis) {
            const double part = tubes_.patient_mm[3 * (k + 1) + axis] - tubes_.patient_mm[3 * k + axis];
            sum += part * part;
        }
        return std::sqrt(sum);
    }

    void paint(const Link& link) {
        const std::size_t k = link.start;
        const Vector start = seen(k), end = seen(k + 1);
        const Vector centre{0.5 * (start.x + end.x), 0.5 * (start.y + end.y)};
        const Course square(seen_square(k), seen_square(k + 1));
        const double seen_radius = std::sqrt(std::max(seen_square(k), seen_square(k + 1)));
        const double reach = std::sqrt(seen_radius * seen_radius + 0.25 * link.length * link.length) + 1.0;
        if (link.length <= 1e-3 || reach >= kPatchHalf.back() || centre.x <= -reach || centre.y <= -reach ||
            centre.x >= image_.columns + reach || centre.y >= image_.rows + reach)
            return;

        const auto half = static_cast<std::int32_t>(*std::lower_bound(kPatchHalf.begin(), kPatchHalf.end(), reach));
        const Vector patch{std::nearbyint(centre.x), std::nearbyint(centre.y)};
        const auto column = static_cast<std::int32_t>(patch.x), row = static_cast<std::int32_t>(patch.y);
        const Ramp past_start(bisector(k, link.along), start, patch);
        const Ramp past_end(bisector(k + 1, link.along), end, patch);
        const Ramp distance({-link.along.y, link.along.x}, start, patch);
        const Ramp fraction({link.along.x / link.length, link.along.y / link.length}, start, patch);

        // Half a pixel's width across the link, so that the pixels of a row or column tile its profile exactly.
        const double aperture = 0.5 * std::max(std::abs(link.along.x), std::abs(link.along.y));
        const double scale = 0.5 * (pixels_per_mm(k) + pixels_per_mm(k + 1));
        const double obliquity = std::min(length_mm(k) * scale / std::max(link.length, 1e-6), kMaxObliquity);
        const double per_area = obliquity / (2.0 * aperture);
        const Course factor(per_area * thinning(k), per_area * thinning(k + 1));
        const auto beyond = static_cast<float>(-seen_radius - aperture);

        const std::array sides{Side(distance, 1.0F, beyond), Side(distance, -1.0F, beyond),
                               Side(past_start, 1.0F, 0.0F), Side(past_end, -1.0F, 0.0F)};

        const std::int32_t top = std::max(-half, -row), bottom = std::min(half, image_.rows - 1 - row);
        for (std::int32_t y = top; y <= bottom; ++y) {
            Columns columns{std::max(-half, -column), std::min(half, image_.columns - 1 - column)};
            for (const Side& side : sides) side.keep(y, columns);
            // Both ramps are monotonic along the row: what lies between the bisectors is one stretch of it.
            const auto between = [&](std::int32_t x) { return past_start(x, y) >= 0.0F && past_end(x, y) < 0.0F; };
            while (columns.first <= columns.last && !between(columns.first)) ++columns.first;
            while (columns.first <= columns.last && !between(columns.last)) --columns.last;
            if (columns.first > columns.last) continue;

            const auto count = static_cast<std::size_t>(columns.last - columns.first + 1);
            if (batch_.size + count > kBatch) flush(batch_, image_.pixels);
            const std::int32_t first_pixel = (row + y) * image_.columns + column;
            for (std::int32_t x = columns.first; x <= columns.last; ++x) {
                const std::size_t i = batch_.size++;
                const float part = std::min(std::max(fraction(x, y), 0.0F), 1.0F);
                batch_.distance[i] = distance(x, y);
                batch_.radius_square[i] = std::max(square.at(part), 1e-12F);
                batch_.aperture[i] = static_cast<float>(aperture);
                batch_.factor[i] = factor.at(part);
                batch_.pixel[i] = first_pixel + x;
            }
        }
    }

    const Image image_;
    const Tubes tubes_;
    std::vector<Vector> direction_;  // sum of the directions of the links that meet at a point
    std::vector<Link> links_;
    Batch batch_;
};

}  // namespace

void add_chords(const Image& image, const Tubes& tubes) { Painter(image, tubes).paint(); }

}  // namespace cathrt::phantom
