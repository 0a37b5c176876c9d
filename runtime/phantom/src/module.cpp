// The Python face of the phantom's native part: argument checks and one call each. What the arguments mean is in the
// headers and in _projector.pyi. The interpreter lock is released while pixels are worked on.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "chords.hpp"
#include "frame.hpp"

namespace nb = nanobind;

namespace {

using Given = nb::ndarray<nb::ro, nb::device::cpu>;
using Filled = nb::ndarray<nb::device::cpu>;
using Made = nb::ndarray<nb::numpy, float, nb::ndim<2>>;

constexpr double kFurthest = 1e6;             // mm or pixels: far outside every image, and safe to compute with
constexpr std::size_t kMostPixels = 1 << 28;  // pixel numbers are 32 bit
constexpr std::int32_t kMaxReach = 1024;

void require(bool fits, const std::string& message) {
    if (!fits) throw nb::value_error(message.c_str());
}

template <typename Array>
std::string describe(const Array& array) {
    const auto code = static_cast<nb::dlpack::dtype_code>(array.dtype().code);
    std::string text = code == nb::dlpack::dtype_code::Float  ? "float"
                       : code == nb::dlpack::dtype_code::Int  ? "int"
                       : code == nb::dlpack::dtype_code::UInt ? "uint"
                       : code == nb::dlpack::dtype_code::Bool ? "bool"
                                                              : "other";
    text += std::to_string(array.dtype().bits) + " (";
    for (std::size_t i = 0; i < array.ndim(); ++i) text += (i > 0 ? ", " : "") + std::to_string(array.shape(i));
    return text + ")";
}

template <typename Array>
bool contiguous(const Array& array) {
    std::int64_t stride = 1;
    for (std::size_t i = array.ndim(); array.size() > 0 && i-- > 0;) {
        if (array.shape(i) > 1 && array.stride(i) != stride) return false;
        stride *= static_cast<std::int64_t>(array.shape(i));
    }
    return true;
}

// The data of a contiguous array of this shape and type.
template <typename T, typename Array>
auto* checked(const char* name, const Array& array, std::initializer_list<std::size_t> shape) {
    bool fits = array.dtype() == nb::dtype<T>() && array.ndim() == shape.size() && contiguous(array);
    std::string expected;
    std::size_t axis = 0;
    for (const std::size_t side : shape) {
        fits = fits && array.shape(axis) == side;
        expected += (axis++ > 0 ? ", " : "") + std::to_string(side);
    }
    const std::string type = std::is_same_v<T, bool> ? "bool8" : std::is_same_v<T, double> ? "float64" : "float32";
    require(fits,
            std::string(name) + " is " + describe(array) + ": expected contiguous " + type + " (" + expected + ")");
    if constexpr (std::is_same_v<Array, Filled>) {
        return static_cast<T*>(array.data());
    } else {
        return static_cast<const T*>(array.data());
    }
}

template <typename Array>
void require_image(const char* name, const Array& image) {
    require(image.ndim() == 2 && image.dtype() == nb::dtype<float>() && contiguous(image) && image.size() >= 1 &&
                image.size() <= kMostPixels,
            std::string(name) + " is " + describe(image) +
                ": expected contiguous float32 (rows, columns), 1 to 2^28 pixels");
}

// Messages here are put together only when one is due: doing so for every number takes longer than the chords.
void require_within(const char* name, const double* values, std::size_t count, std::size_t width, double least) {
    const double* const end = values + count * width;
    const double* const wrong =
        std::find_if_not(values, end, [least](double value) { return value >= least && value <= kFurthest; });
    if (wrong == end) return;
    const auto index = static_cast<std::size_t>(wrong - values) / width;
    require(false, std::string(name) + "[" + std::to_string(index) + "] holds " + std::to_string(*wrong) +
                       ": expected " + (least == 0.0 ? "0" : "-1e6") + " to 1e6");
}

// Behind the source nothing is seen, and almost beside it the rays meet the detector's plane anywhere.
void require_in_front(const double* seen, std::size_t count) {
    for (std::size_t k = 0; k < count; ++k) {
        const double column = seen[3 * k], row = seen[3 * k + 1], scale = seen[3 * k + 2];
        const bool fits = scale > 0.0 && scale <= kFurthest && std::abs(column) <= kFurthest * kFurthest &&
                          std::abs(row) <= kFurthest * kFurthest;
        if (!fits)
            require(false, "points[" + std::to_string(k) + "] is seen at column " + std::to_string(column) + ", row " +
                               std::to_string(row) + ", " + std::to_string(scale) +
                               " pixels per mm: expected a point in front of the source");
    }
}

void require_finite(const char* name, double value) {
    require(std::isfinite(value), std::string(name) + " is " + std::to_string(value) + ": expected a finite number");
}

void require_at_least_zero(const char* name, double value) {
    require(value >= 0.0 && std::isfinite(value),
            std::string(name) + " is " + std::to_string(value) + ": expected 0 or more");
}

std::int32_t side_of(const auto& image, std::size_t axis) { return static_cast<std::int32_t>(image.shape(axis)); }

void add_chords(const Filled& image, const Given& points, const Given& seen, const Given& radii, const Given& joined,
                const std::optional<Given>& weight, const Given& blur_variance) {
    require_image("image", image);
    const std::size_t count = points.ndim() == 2 ? points.shape(0) : 0;
    cathrt::phantom::Tubes tubes{count,
                                 checked<double>("points", points, {count, 3}),
                                 checked<double>("seen", seen, {count, 3}),
                                 checked<double>("radii", radii, {count}),
                                 nullptr,
                                 checked<double>("blur_variance", blur_variance, {count}),
                                 checked<bool>("joined", joined, {count > 0 ? count - 1 : 0})};
    if (weight) tubes.weight = checked<double>("weight", *weight, {count});
    auto* pixels = static_cast<float*>(image.data());
    const nb::gil_scoped_release unlocked;
    require_within("points", tubes.patient_mm, count, 3, -kFurthest);
    require_in_front(tubes.seen, count);
    require_within("radii", tubes.radius_mm, count, 1, 0.0);
    require_within("blur_variance", tubes.blur_variance, count, 1, 0.0);
    if (weight) require_within("weight", tubes.weight, count, 1, -kFurthest);
    cathrt::phantom::add_chords({pixels, side_of(image, 0), side_of(image, 1)}, tubes);
}

void shift_layers(const Given& first, const Given& second, double share, std::int32_t margin, double row_shift,
                  double column_shift, const Filled& out) {
    require_image("out", out);
    require(margin >= 0 && margin <= 65535, "margin is " + std::to_string(margin) + ": expected 0 to 65535");
    require(share >= 0.0 && share <= 1.0, "share is " + std::to_string(share) + ": expected 0 to 1");
    require_finite("row_shift", row_shift);
    require_finite("column_shift", column_shift);
    const std::size_t both = 2 * static_cast<std::size_t>(margin);
    const std::size_t rows = out.shape(0) + both, columns = out.shape(1) + both;
    const cathrt::phantom::Blend blend{checked<float>("first", first, {rows, columns}),
                                       checked<float>("second", second, {rows, columns}), static_cast<float>(share)};
    auto* pixels = static_cast<float*>(out.data());
    const nb::gil_scoped_release unlocked;
    cathrt::phantom::shift_layers(blend, margin, {row_shift, column_shift}, side_of(out, 0), side_of(out, 1), pixels);
}

void add_noise(const Filled& signal, double per_photon, double electronic_square, double noise_share,
               std::uint64_t seed) {
    require_image("signal", signal);
    require_at_least_zero("per_photon", per_photon);
    require_at_least_zero("electronic_square", electronic_square);
    require_at_least_zero("noise_share", noise_share);
    const cathrt::phantom::Noise noise{static_cast<float>(per_photon), static_cast<float>(electronic_square),
                                       static_cast<float>(noise_share), seed};
    const std::span pixels(static_cast<float*>(signal.data()), signal.size());
    const nb::gil_scoped_release unlocked;
    cathrt::phantom::add_noise(pixels, noise);
}

void transmit(const Filled& primary, const Given& path, const Given& mu, const Given& share) {
    require_image("primary", primary);
    const auto* lengths = checked<float>("path", path, {primary.shape(0), primary.shape(1)});
    const std::size_t count = mu.ndim() == 1 ? mu.shape(0) : 0;
    const auto* per_mm = checked<double>("mu", mu, {count});
    const auto* shares = checked<double>("share", share, {count});
    std::vector<cathrt::phantom::Bin> bins;
    for (std::size_t k = 0; k < count; ++k) {
        require_at_least_zero("mu", per_mm[k]);
        require_at_least_zero("share", shares[k]);
        bins.push_back({static_cast<float>(per_mm[k]), static_cast<float>(shares[k])});
    }
    const std::span pixels(static_cast<float*>(primary.data()), primary.size());
    const nb::gil_scoped_release unlocked;
    cathrt::phantom::transmit(pixels, lengths, bins);
}

// A new image of this size, filled by `fill` with the interpreter lock released.
template <typename Fill>
Made made(std::size_t rows, std::size_t columns, const Fill& fill) {
    auto* pixels = new float[rows * columns];
    nb::capsule owner(pixels, [](void* p) noexcept { delete[] static_cast<float*>(p); });
    {
        const nb::gil_scoped_release unlocked;
        fill(pixels);
    }
    return {pixels, {rows, columns}, owner};
}

Made low_pass(const Given& image, const Given& row_spread, const Given& column_spread, std::int32_t block) {
    require_image("image", image);
    require(block >= 1 && block <= kMaxReach,
            "block is " + std::to_string(block) + ": expected 1 to " + std::to_string(kMaxReach));
    const std::size_t rows = image.shape(0), columns = image.shape(1), side = static_cast<std::size_t>(block);
    const std::size_t high = (rows + side - 1) / side, wide = (columns + side - 1) / side;
    const cathrt::phantom::Spread spread{checked<float>("row_spread", row_spread, {rows, high}),
                                         checked<float>("column_spread", column_spread, {wide, columns}), block};
    const auto* pixels = static_cast<const float*>(image.data());
    return made(rows, columns, [&](float* out) {
        cathrt::phantom::low_pass(pixels, side_of(image, 0), side_of(image, 1), spread, out);
    });
}

Made separable_blur3(const Given& image, double neighbour, std::int32_t reach) {
    require_image("image", image);
    require(neighbour >= 0.0 && neighbour <= 0.5,
            "neighbour is " + std::to_string(neighbour) + ": expected 0 to 0.5, a share of the weights");
    require(reach >= 1 && reach <= kMaxReach,
            "reach is " + std::to_string(reach) + ": expected 1 to " + std::to_string(kMaxReach));
    const auto* pixels = static_cast<const float*>(image.data());
    return made(image.shape(0), image.shape(1), [&](float* out) {
        cathrt::phantom::separable_blur3(pixels, side_of(image, 0), side_of(image, 1), static_cast<float>(neighbour),
                                         reach, out);
    });
}

}  // namespace

NB_MODULE(_projector, module) {
    module.doc() = "What the phantom does to every pixel: chords through tubes, shifts, iodine, noise, low-pass, blur.";
    module.def("add_chords", &add_chords, nb::arg("image"), nb::arg("points"), nb::arg("seen"), nb::arg("radii"),
               nb::arg("joined"), nb::arg("weight").none(), nb::arg("blur_variance"),
               "Add the chord length, mm, of each pixel's ray through the tubes.");
    module.def("shift_layers", &shift_layers, nb::arg("first"), nb::arg("second"), nb::arg("share"), nb::arg("margin"),
               nb::arg("row_shift"), nb::arg("column_shift"), nb::arg("out"),
               "Add a blend of two layers, without their margins, shifted by parts of pixels.");
    module.def("add_noise", &add_noise, nb::arg("signal"), nb::arg("per_photon"), nb::arg("electronic_square"),
               nb::arg("noise_share"), nb::arg("seed"), "Add quantum and electronic noise in place.");
    module.def("transmit", &transmit, nb::arg("primary"), nb::arg("path"), nb::arg("mu"), nb::arg("share"),
               "Weaken the primary beam in place by what it loses in contrast medium.");
    module.def("low_pass", &low_pass, nb::arg("image"), nb::arg("row_spread"), nb::arg("column_spread"),
               nb::arg("block"), "Low-pass of an image through the means of its blocks.");
    module.def("separable_blur3", &separable_blur3, nb::arg("image"), nb::arg("neighbour"), nb::arg("reach"),
               "Three-tap blur along both axes.");
}
