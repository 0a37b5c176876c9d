// Python face of mask subtraction: argument checks and one call each.
#include <nanobind/stl/array.h>

#include <array>
#include <cmath>

#include "bindings.hpp"
#include "frame_out.hpp"
#include "subtraction.hpp"

namespace cathrt {
namespace {

constexpr float kMaxGain = 1e6F;
constexpr float kMaxOffset = 1e6F;

SubtractionSettings subtraction_settings(const std::string& pixel_intensity_relationship, float gain, float offset,
                                         int bits_out) {
    require(pixel_intensity_relationship == "LIN" || pixel_intensity_relationship == "LOG",
            "pixel_intensity_relationship is " + pixel_intensity_relationship +
                ": expected LIN or LOG; map other values to one of them first (PS3.3 C.8.7.1.1.2)");
    require(std::abs(gain) <= kMaxGain && std::abs(offset) <= kMaxOffset, "gain, offset are " + std::to_string(gain) +
                                                                              ", " + std::to_string(offset) +
                                                                              ": expected magnitudes of at most 1e6");
    require(bits_out >= 1 && bits_out <= 16, "bits_out is " + std::to_string(bits_out) + ": expected 1 to 16");
    return {pixel_intensity_relationship == "LIN", gain, offset, bits_out};
}

void make_subtraction(MaskSubtraction* self, const std::array<std::int32_t, 2>& shape, int bits_stored,
                      const SubtractionSettings& settings) {
    require_side("rows", shape[0]);
    require_side("columns", shape[1]);
    require_bits_stored(bits_stored);
    new (self) MaskSubtraction(shape[0], shape[1], bits_stored, settings);
}

StoredFrame checked_frame(const MaskSubtraction& subtraction, const Pixels& pixels) {
    const StoredFrame frame = stored_frame(pixels, subtraction.bits_stored());
    require_shape(pixels, subtraction.rows(), subtraction.columns());
    return frame;
}

void add_mask_frame(MaskSubtraction& subtraction, const Pixels& pixels) {
    const StoredFrame frame = checked_frame(subtraction, pixels);
    require(subtraction.mask_frames() < kMaxMaskFrames, "the mask has " + std::to_string(kMaxMaskFrames) +
                                                            " frames already: expected no more; reset() begins anew");
    subtraction.add_mask_frame(frame);
}

void run_subtraction(MaskSubtraction& subtraction, const Pixels& pixels, const FrameOut& out,
                     const std::array<double, 2>& shift) {
    const StoredFrame frame = checked_frame(subtraction, pixels);
    require(subtraction.mask_frames() > 0, "the mask has no frame: call add_mask_frame() first");
    require(std::isfinite(shift[0]) && std::isfinite(shift[1]),
            "shift is (" + std::to_string(shift[0]) + ", " + std::to_string(shift[1]) + "): expected finite pixels");
    subtraction.run(frame, shift[0], shift[1], static_cast<std::uint16_t*>(checked_frame_out(out, frame, true)));
}

}  // namespace

void bind_subtraction(nb::module_& module) {
    nb::class_<SubtractionSettings>(module, "SubtractionSettings", "What is subtracted, and how it is shown.")
        .def(nb::new_(&subtraction_settings), nb::arg("pixel_intensity_relationship"), nb::arg("gain"),
             nb::arg("offset"), nb::arg("bits_out"))
        .def_prop_ro("pixel_intensity_relationship",
                     [](const SubtractionSettings& s) { return s.linear ? "LIN" : "LOG"; })
        .def_ro("gain", &SubtractionSettings::gain)
        .def_ro("offset", &SubtractionSettings::offset)
        .def_ro("bits_out", &SubtractionSettings::bits_out);
    nb::class_<MaskSubtraction>(module, "MaskSubtraction", "The mask of one run: live frames in, subtracted ones out.")
        .def("__init__", &make_subtraction, nb::arg("shape"), nb::arg("bits_stored"), nb::arg("settings"))
        .def("add_mask_frame", &add_mask_frame, nb::arg("pixels"), "Take one more frame into the mean; at most 256.")
        .def("reset", &MaskSubtraction::reset, "Forget the mask.")
        .def("__call__", &run_subtraction, nb::arg("pixels"), nb::arg("out"),
             nb::arg("shift") = std::array<double, 2>{0.0, 0.0},
             "Subtract the mask, moved by shift (rows down, columns right), into out: uint16 of pixels' shape.");
}

}  // namespace cathrt
