// Python face of the row and column sums that collimator edges are found from: argument checks and one call.
#include "arguments.hpp"
#include "bindings.hpp"
#include "collimator.hpp"

namespace cathrt {
namespace {

std::uint32_t* checked_sums(const char* name, const Tensor& sums, std::int32_t count) {
    require(
        sums.dtype() == nb::dtype<std::uint32_t>() && sums.ndim() == 1 &&
            sums.shape(0) == static_cast<std::size_t>(count) && (count == 1 || sums.stride(0) == 1),
        std::string(name) + " are " + describe(sums) + ": expected contiguous uint32 (" + std::to_string(count) + ",)");
    return static_cast<std::uint32_t*>(sums.data());
}

void run_profile_sums(const Pixels& pixels, int bits_stored, const Tensor& row_sums, const Tensor& column_sums) {
    require_bits_stored(bits_stored);
    const StoredFrame frame = stored_frame(pixels, bits_stored);
    std::uint32_t* of_rows = checked_sums("row_sums", row_sums, frame.rows);
    profile_sums(frame, of_rows, checked_sums("column_sums", column_sums, frame.columns));
}

}  // namespace

void bind_collimator(nb::module_& module) {
    module.def("profile_sums", &run_profile_sums, nb::arg("pixels"), nb::arg("bits_stored"), nb::arg("row_sums"),
               nb::arg("column_sums"), "Fill row_sums and column_sums, uint32, with the sums of the stored values.");
}

}  // namespace cathrt
