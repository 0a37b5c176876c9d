// Python face of the temporal filter: argument checks and one call each.
#include <nanobind/stl/array.h>

#include <array>

#include "bindings.hpp"
#include "frame_out.hpp"
#include "temporal.hpp"

namespace cathrt {
namespace {

using State = nb::ndarray<nb::numpy, float, nb::ndim<2>>;

void require_within(const char* name, float value, float low, float high) {
    require(low <= value && value <= high, std::string(name) + " is " + std::to_string(value) + ": expected " +
                                               std::to_string(low) + " to " + std::to_string(high));
}

// The kernel relies on finite results and on a noise that is never 0.
TemporalSettings temporal_settings(float noise_offset, float noise_gain, float still, float threshold, float slope,
                                   float ghosting_limit) {
    require_within("noise_offset", noise_offset, 1e-4F, 1e9F);
    require_within("noise_gain", noise_gain, 0.0F, 1e6F);
    require_within("still", still, 1e-4F, 1.0F);
    require_within("threshold", threshold, 0.0F, 1e6F);
    require_within("slope", slope, 0.0F, 1e6F);
    require_within("ghosting_limit", ghosting_limit, 0.0F, 1e9F);
    return {noise_offset, noise_gain, still, threshold, slope, ghosting_limit};
}

void make_temporal(TemporalFilter* self, const std::array<std::int32_t, 2>& shape, int bits_stored,
                   const TemporalSettings& settings) {
    require_side("rows", shape[0]);
    require_side("columns", shape[1]);
    require_bits_stored(bits_stored);
    new (self) TemporalFilter(shape[0], shape[1], bits_stored, settings);
}

void run_temporal(TemporalFilter& filter, const Pixels& pixels, const FrameOut& out) {
    const StoredFrame frame = stored_frame(pixels, filter.bits_stored());
    require_shape(pixels, filter.rows(), filter.columns());
    filter.run(frame, checked_frame_out(out, frame, frame.wide));
}

State state_of(const TemporalFilter& filter) {
    auto* copy = new Scratch<float>(filter.state());
    nb::capsule owner(copy, [](void* p) noexcept { delete static_cast<Scratch<float>*>(p); });
    return {copy->data(), {static_cast<std::size_t>(filter.rows()), static_cast<std::size_t>(filter.columns())}, owner};
}

}  // namespace

void bind_temporal(nb::module_& module) {
    nb::class_<TemporalSettings>(module, "TemporalSettings", "Detector noise, motion gain and ghosting limit.")
        .def(nb::new_(&temporal_settings), nb::arg("noise_offset"), nb::arg("noise_gain"), nb::arg("still"),
             nb::arg("threshold"), nb::arg("slope"), nb::arg("ghosting_limit"))
        .def_ro("noise_offset", &TemporalSettings::noise_offset)
        .def_ro("noise_gain", &TemporalSettings::noise_gain)
        .def_ro("still", &TemporalSettings::still)
        .def_ro("threshold", &TemporalSettings::threshold)
        .def_ro("slope", &TemporalSettings::slope)
        .def_ro("ghosting_limit", &TemporalSettings::ghosting_limit);
    nb::class_<TemporalFilter>(module, "TemporalFilter", "The state of one run: frames in, frames with less noise out.")
        .def("__init__", &make_temporal, nb::arg("shape"), nb::arg("bits_stored"), nb::arg("settings"))
        .def("__call__", &run_temporal, nb::arg("pixels"), nb::arg("out"),
             "Filter pixels into out, of the same type and shape; the first frame comes out as it is.")
        .def("reset", &TemporalFilter::reset, "Forget the frames so far: the next one comes out as it is.")
        .def_prop_ro("state", &state_of, nb::rv_policy::automatic,
                     "A copy of the filtered frame before rounding: float32 (rows, columns).");
}

}  // namespace cathrt
