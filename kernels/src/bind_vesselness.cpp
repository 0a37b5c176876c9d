// Python face of the vesselness of a frame: argument checks and one call each.
#include <nanobind/stl/array.h>

#include <array>

#include "arguments.hpp"
#include "bindings.hpp"
#include "frame_out.hpp"
#include "vesselness.hpp"

namespace cathrt {
namespace {

void make_vesselness(Vesselness* self, const std::array<std::int32_t, 2>& shape, int bits_stored,
                     const std::optional<Spans>& exposed, bool inverted) {
    require_side("rows", shape[0]);
    require_side("columns", shape[1]);
    require_bits_stored(bits_stored);
    new (self) Vesselness(shape[0], shape[1], bits_stored, checked_spans(exposed, shape[0], shape[1]), inverted);
}

float run_vesselness(Vesselness& vesselness, const Pixels& pixels) {
    const StoredFrame frame = stored_frame(pixels, vesselness.bits_stored());
    require_shape(pixels, vesselness.rows(), vesselness.columns());
    return vesselness.run(frame);
}

}  // namespace

void bind_vesselness(nb::module_& module) {
    nb::class_<Vesselness>(module, "Vesselness", "How much of a frame's field looks like dark lines, as one number.")
        .def("__init__", &make_vesselness, nb::arg("shape"), nb::arg("bits_stored"), nb::arg("exposed").none(),
             nb::arg("inverted"))
        .def("__call__", &run_vesselness, nb::arg("pixels"),
             "Of one frame, at least 0; 0 where no cell counts, or all are equal.");
}

}  // namespace cathrt
