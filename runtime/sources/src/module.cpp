// The Python face of the completeness checks: what the arguments mean is in completeness.hpp and _completeness.pyi.
#include <nanobind/nanobind.h>

#include "completeness.hpp"

namespace nb = nanobind;

namespace {

template <typename Result, typename... Arguments>
Result checked(Result (*check)(cathrt::sources::Bytes, Arguments...), nb::bytes stream, Arguments... arguments) {
    const cathrt::sources::Bytes bytes(static_cast<const std::uint8_t*>(stream.data()), stream.size());
    try {
        return check(bytes, arguments...);
    } catch (const cathrt::sources::NotWhole& found) {
        throw nb::value_error(found.what());
    }
}

}  // namespace

NB_MODULE(_completeness, module) {
    using namespace nb::literals;
    namespace sources = cathrt::sources;
    module.def("check_jpeg", [](nb::bytes stream) { return checked(sources::check_jpeg, stream); }, "stream"_a);
    module.def("check_jpeg2000", [](nb::bytes stream) { checked(sources::check_jpeg2000, stream); }, "stream"_a);
    module.def(
        "check_rle",
        [](nb::bytes stream, std::size_t samples, std::size_t segments) {
            checked(sources::check_rle, stream, samples, segments);
        },
        "stream"_a, "samples"_a, "segments"_a);
}
