// Python face of the repeat test: argument checks and one call each.
#include <nanobind/stl/tuple.h>

#include <tuple>

#include "arguments.hpp"
#include "bindings.hpp"
#include "repeats.hpp"

namespace cathrt {
namespace {

struct Pair {
    StoredFrame previous;
    StoredFrame current;
};

Pair checked_pair(const Pixels& previous, const Pixels& current, int bits_stored) {
    require_bits_stored(bits_stored);
    const Pair pair{stored_frame(previous, bits_stored), stored_frame(current, bits_stored)};
    require(pair.previous.rows == pair.current.rows && pair.previous.columns == pair.current.columns &&
                pair.previous.wide == pair.current.wide,
            "previous is " + describe(previous) + ", current is " + describe(current) +
                ": expected two frames of one shape and type");
    return pair;
}

using Values = std::tuple<std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t>;

Values compare(const Pixels& previous, const Pixels& current, int bits_stored, int limit) {
    require(limit >= 0 && limit <= 65535, "limit is " + std::to_string(limit) + ": expected 0 to 65535 stored values");
    const Pair pair = checked_pair(previous, current, bits_stored);
    const Comparison result = compare_frames(pair.previous, pair.current, static_cast<std::uint16_t>(limit));
    return {result.content_hash, result.difference_sum, result.difference_max, result.above_limit, result.texture};
}

bool same(const Pixels& previous, const Pixels& current, int bits_stored) {
    const Pair pair = checked_pair(previous, current, bits_stored);
    return same_pixels(pair.previous, pair.current);
}

}  // namespace

void bind_repeats(nb::module_& module) {
    module.def("compare_frames", &compare, nb::arg("previous"), nb::arg("current"), nb::arg("bits_stored"),
               nb::arg("limit"),
               "(content hash, sum and maximum of differences, pixels above limit, texture): the fields of "
               "reference.repeats.Comparison, in order.");
    module.def("same_pixels", &same, nb::arg("previous"), nb::arg("current"), nb::arg("bits_stored"),
               "Whether all stored values are equal; returns at the first few thousand that are not.");
}

}  // namespace cathrt
