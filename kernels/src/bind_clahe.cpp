// Python face of contrast-limited adaptive histogram equalisation: argument checks and one call.
#include <nanobind/stl/array.h>

#include "arguments.hpp"
#include "bindings.hpp"
#include "clahe.hpp"

namespace cathrt {
namespace {

void make_clahe(Clahe* self, const std::array<std::int32_t, 2>& shape, int bits_stored,
                const std::array<std::int32_t, 2>& tiles, double clip_limit) {
    require_bits_stored(bits_stored);
    require_side("rows", shape[0]);
    require_side("columns", shape[1]);
    require(1 <= tiles[0] && tiles[0] <= kMostTiles && 1 <= tiles[1] && tiles[1] <= kMostTiles,
            "tiles are (" + std::to_string(tiles[0]) + ", " + std::to_string(tiles[1]) + "): expected 1 to " +
                std::to_string(kMostTiles) + " down and across");
    require(0.0 <= clip_limit && clip_limit <= 65536.0,
            "clip_limit is " + std::to_string(clip_limit) +
                ": expected a multiple of the mean count up to 65536, or 0 for no limit");
    const bool both_divide = shape[0] % tiles[0] == 0 && shape[1] % tiles[1] == 0;
    const TiledSide down = tiled_side(shape[0], tiles[0], both_divide);
    const TiledSide across = tiled_side(shape[1], tiles[1], both_divide);
    const std::int64_t pixels = std::int64_t{down.tile} * across.tile;
    require(pixels < (std::int64_t{1} << 31),
            "a tile has " + std::to_string(pixels) + " pixels: expected fewer than 2**31; ask for more tiles");
    new (self) Clahe(down, across, bits_stored, clip_limit);
}

void run_clahe(Clahe& clahe, const Pixels& pixels, const Tensor& out) {
    const StoredFrame frame = stored_frame(pixels, clahe.bits_stored());
    require(frame.rows == clahe.rows() && frame.columns == clahe.columns(),
            "pixels are " + describe(pixels) + ": this plan was made for (" + std::to_string(clahe.rows()) + ", " +
                std::to_string(clahe.columns()) + ")");
    require(out.dtype() == pixels.dtype() && out.ndim() == 2 && out.shape(0) == pixels.shape(0) &&
                out.shape(1) == pixels.shape(1),
            "out is " + describe(out) + ": expected " + describe(pixels) + ", as the pixels are");
    const StoredFrame equalised = stored_frame(Pixels(out), clahe.bits_stored());
    clahe.run(frame, static_cast<std::byte*>(out.data()), equalised.row_stride);
}

}  // namespace

void bind_clahe(nb::module_& module) {
    nb::class_<Clahe>(module, "Clahe", "Contrast-limited adaptive histogram equalisation of frames of one size.")
        .def("__init__", &make_clahe, nb::arg("shape"), nb::arg("bits_stored"), nb::arg("tiles"), nb::arg("clip_limit"))
        .def("__call__", &run_clahe, nb::arg("pixels"), nb::arg("out"),
             "Fill out with the equalised stored values; it may be pixels itself.");
}

}  // namespace cathrt
