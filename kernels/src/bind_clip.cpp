// Python face of the clip assembler: argument checks and one call each.
#include <nanobind/stl/array.h>

#include <array>
#include <limits>

#include "arguments.hpp"
#include "bindings.hpp"
#include "clip.hpp"

namespace cathrt {
namespace {

void make_clip(Clip* self, const std::array<std::int32_t, 2>& shape, int bits_stored, const Window& window,
               std::int32_t frames, const TensorLayout& tensor) {
    require_bits_stored(bits_stored);
    require_side("rows", shape[0]);
    require_side("columns", shape[1]);
    require(frames >= 1 && frames <= std::numeric_limits<std::int32_t>::max() / tensor.height,
            "frames is " + std::to_string(frames) + ": expected at least 1, and frames * height within int32");
    require(window.fixed.has_value(),
            "the window is found from each frame, so that the clip would flicker: expected Window.linear or "
            "Window.table; of percentiles, take those of one frame or of the run");
    require(!tensor.history.has_value(),
            "the layout has a history, which a clip has not: expected three grey channels; leave history out");
    const std::size_t entries = std::size_t{1} << bits_stored;
    require(window.table.empty() || window.table.size() == entries,
            "the window's table has " + std::to_string(window.table.size()) + " entries: expected " +
                std::to_string(entries) + ", one per stored value");
    new (self) Clip(shape[0], shape[1], bits_stored, window, frames, tensor);
}

nb::dlpack::dtype type_of(Element element) {
    switch (element) {
        case Element::kFloat16:
            return {static_cast<std::uint8_t>(nb::dlpack::dtype_code::Float), 16, 1};
        case Element::kInt8:
            return nb::dtype<std::int8_t>();
        default:
            return nb::dtype<float>();
    }
}

void run_clip(Clip& clip, const nb::sequence& frames, const Tensor& out) {
    const Ingest& ingest = clip.ingest();
    const TensorLayout& tensor = ingest.tensor();
    const std::size_t count = nb::len(frames);
    require(count == static_cast<std::size_t>(clip.frames()), "there are " + std::to_string(count) +
                                                                  " frames: expected " + std::to_string(clip.frames()) +
                                                                  ", as reference.clip.sample_frames picks them");
    std::vector<StoredFrame> stored;
    stored.reserve(count);
    for (const nb::handle item : frames) {
        const auto pixels = nb::cast<Pixels>(item);
        stored.push_back(stored_frame(pixels, ingest.bits_stored()));
        require(stored.back().rows == ingest.rows() && stored.back().columns == ingest.columns() &&
                    stored.back().wide == stored.front().wide,
                "frame " + std::to_string(stored.size() - 1) + " is " + describe(pixels) +
                    ": expected all of one type and (" + std::to_string(ingest.rows()) + ", " +
                    std::to_string(ingest.columns()) + ")");
    }
    const std::array<std::int32_t, 4> shape = tensor.channels_last
                                                  ? std::array{clip.frames(), tensor.height, tensor.width, 3}
                                                  : std::array{3, clip.frames(), tensor.height, tensor.width};
    bool fits = out.dtype() == type_of(tensor.element) && out.ndim() == 4;
    std::int64_t stride = 1;
    std::string expected;
    for (std::size_t i = 4; i-- > 0;) {
        fits = fits && out.shape(i) == static_cast<std::size_t>(shape[i]) && (shape[i] == 1 || out.stride(i) == stride);
        stride *= shape[i];
        expected = std::to_string(shape[i]) + (i < 3 ? ", " : "") + expected;
    }
    require(fits, "out is " + describe(out) + ": expected contiguous (" + expected + ") of the layout's element");
    clip.run(stored, out.data());
}

}  // namespace

void bind_clip(nb::module_& module) {
    nb::class_<Clip>(module, "Clip", "The plan and scratch of one run's clips: frames in, one clip of a batch out.")
        .def("__init__", &make_clip, nb::arg("shape"), nb::arg("bits_stored"), nb::arg("window"), nb::arg("frames"),
             nb::arg("tensor"))
        .def("__call__", &run_clip, nb::arg("frames"), nb::arg("out"),
             "Fill out: (frames, height, width, 3), or (3, frames, height, width).");
}

}  // namespace cathrt
