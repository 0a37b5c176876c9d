// Python face of the clip assembler: argument checks and one call each.
#include <nanobind/stl/array.h>

#include <array>
#include <cmath>

#include "arguments.hpp"
#include "bindings.hpp"
#include "clip.hpp"

namespace cathrt {
namespace {

// Nothing the kernel computes from such numbers leaves the range of float32, so nothing is ever infinite or NaN.
constexpr float kMost = 1e9F;

ClipLayout clip_layout(std::int32_t frames, std::int32_t height, std::int32_t width, bool channels_last, float mean,
                       float std) {
    require(frames >= 1 && frames <= kMaxSide, "frames is " + std::to_string(frames) + ": expected 1 to 65535");
    require_side("height", height);
    require_side("width", width);
    require(std::abs(mean) <= kMost && std >= 1e-9F && std <= kMost,
            "mean, std are " + std::to_string(mean) + ", " + std::to_string(std) +
                ": expected a mean within 1e9 and a std from 1e-9 to 1e9, on the scale of 0 to 255");
    return {frames, height, width, channels_last, mean, std};
}

void require_frames(const std::array<std::int32_t, 2>& shape, int bits_stored) {
    require_bits_stored(bits_stored);
    require_side("rows", shape[0]);
    require_side("columns", shape[1]);
}

Clip linear_clip(const std::array<std::int32_t, 2>& shape, int bits_stored, const std::array<float, 3>& line,
                 const ClipLayout& layout) {
    require_frames(shape, bits_stored);
    require(std::abs(line[0]) <= kMost && std::abs(line[1]) <= kMost && std::abs(line[2]) <= kMost,
            "line is (" + std::to_string(line[0]) + ", " + std::to_string(line[1]) + ", " + std::to_string(line[2]) +
                "): expected (origin, slope, intercept) with magnitudes of at most 1e9");
    return {shape[0], shape[1], bits_stored, GreyLine{line[0], line[1], line[2]}, layout};
}

Clip table_clip(const std::array<std::int32_t, 2>& shape, int bits_stored, const Table& grey,
                const ClipLayout& layout) {
    require_frames(shape, bits_stored);
    const std::size_t entries = std::size_t{1} << bits_stored;
    require(grey.dtype() == nb::dtype<float>() && grey.ndim() == 1 && grey.shape(0) == entries && grey.stride(0) == 1,
            "grey is " + describe(grey) + ": expected contiguous float32 (" + std::to_string(entries) +
                "), one entry per stored value");
    const auto* values = static_cast<const float*>(grey.data());
    for (std::size_t i = 0; i < entries; ++i)
        require(std::abs(values[i]) <= kMost, "grey[" + std::to_string(i) + "] is " + std::to_string(values[i]) +
                                                  ": expected a magnitude of at most 1e9");
    return {shape[0], shape[1], bits_stored, GreyTable(values, values + entries), layout};
}

void run_clip(Clip& clip, const nb::sequence& frames, const Tensor& out) {
    const ClipLayout& layout = clip.layout();
    const std::size_t count = nb::len(frames);
    require(count == static_cast<std::size_t>(layout.frames), "there are " + std::to_string(count) +
                                                                  " frames: expected " + std::to_string(layout.frames) +
                                                                  ", as reference.clip.sample_frames picks them");
    std::vector<StoredFrame> stored;
    stored.reserve(count);
    for (const nb::handle item : frames) {
        const auto pixels = nb::cast<Pixels>(item);
        stored.push_back(stored_frame(pixels, clip.bits_stored()));
        require(stored.back().rows == clip.rows() && stored.back().columns == clip.columns() &&
                    stored.back().wide == stored.front().wide,
                "frame " + std::to_string(stored.size() - 1) + " is " + describe(pixels) +
                    ": expected all of one type and (" + std::to_string(clip.rows()) + ", " +
                    std::to_string(clip.columns()) + ")");
    }
    const std::array<std::int32_t, 4> shape = layout.channels_last
                                                  ? std::array{layout.frames, layout.height, layout.width, 3}
                                                  : std::array{3, layout.frames, layout.height, layout.width};
    const bool half = out.dtype() == nb::dlpack::dtype{static_cast<std::uint8_t>(nb::dlpack::dtype_code::Float), 16, 1};
    bool fits = (half || out.dtype() == nb::dtype<float>()) && out.ndim() == 4;
    std::int64_t stride = 1;
    std::string expected;
    for (std::size_t i = 4; i-- > 0;) {
        fits = fits && out.shape(i) == static_cast<std::size_t>(shape[i]) && (shape[i] == 1 || out.stride(i) == stride);
        stride *= shape[i];
        expected = std::to_string(shape[i]) + (i < 3 ? ", " : "") + expected;
    }
    require(fits, "out is " + describe(out) + ": expected contiguous float32 or float16 (" + expected + ")");
    if (half)
        clip.run(stored, static_cast<Half*>(out.data()));
    else
        clip.run(stored, static_cast<float*>(out.data()));
}

}  // namespace

void bind_clip(nb::module_& module) {
    nb::class_<ClipLayout>(module, "ClipLayout", "Shape and normalisation of one clip of a video encoder's batch.")
        .def(nb::new_(&clip_layout), nb::arg("frames"), nb::arg("height"), nb::arg("width"), nb::arg("channels_last"),
             nb::arg("mean"), nb::arg("std"));
    nb::class_<Clip>(module, "Clip", "The plan and scratch of one run's clips: frames in, one clip of a batch out.")
        .def_static("linear", &linear_clip, nb::arg("shape"), nb::arg("bits_stored"), nb::arg("line"),
                    nb::arg("layout"), "grey = clamp((stored - origin) * slope + intercept).")
        .def_static("table", &table_clip, nb::arg("shape"), nb::arg("bits_stored"), nb::arg("grey"), nb::arg("layout"),
                    "grey = clamp(grey[stored]); float32, one entry per stored value.")
        .def("__call__", &run_clip, nb::arg("frames"), nb::arg("out"),
             "Fill out, float32 or float16 (frames, height, width, 3), or (3, frames, height, width).");
}

}  // namespace cathrt
