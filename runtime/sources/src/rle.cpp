// RLE of DICOM: the header's segments, and how many bytes each comes to.
#include <algorithm>
#include <string>

#include "completeness.hpp"

namespace cathrt::sources {
namespace {

constexpr std::size_t kHeader = 64;
constexpr unsigned kNoOperation = 128;

std::size_t little_endian(Bytes stream, std::size_t at) {
    return stream[at] | std::size_t{stream[at + 1]} << 8 | std::size_t{stream[at + 2]} << 16 |
           std::size_t{stream[at + 3]} << 24;
}

void check_segment(Bytes segment, std::size_t samples, const std::string& name) {
    std::size_t at = 0, made = 0;
    const auto ends_early = [&] {
        return NotWhole(name + " ends after " + std::to_string(made) + " of " + std::to_string(samples) + " samples");
    };
    while (made < samples) {
        if (at >= segment.size()) throw ends_early();
        const unsigned code = segment[at++];
        if (code == kNoOperation) continue;
        const std::size_t taken = code < kNoOperation ? code + 1 : 1;
        if (taken > segment.size() - at) throw ends_early();
        made += code < kNoOperation ? code + 1 : 257 - code;
        at += taken;
    }
    require(made == samples, name + " comes to " + std::to_string(made) + " samples, expected " +
                                 std::to_string(samples) + ": it is damaged, or data are missing");
    const auto is_padding = [](std::uint8_t byte) { return byte == 0 || byte == kNoOperation; };
    const auto rest = segment.subspan(at);
    require(rest.size() <= 2 || std::all_of(rest.begin(), rest.end(), is_padding),
            name + " has " + std::to_string(rest.size()) +
                " bytes left over: data before them are damaged, or some are missing");
}

}  // namespace

void check_rle(Bytes stream, std::size_t samples, std::size_t segments) {
    require(stream.size() >= kHeader,
            "no RLE header: " + std::to_string(stream.size()) + " bytes, expected at least 64");
    const std::size_t found = little_endian(stream, 0);
    require(found == segments,
            "the RLE header says " + std::to_string(found) + " segments, expected " + std::to_string(segments));
    for (std::size_t i = 0; i < segments; ++i) {
        const std::size_t start = little_endian(stream, 4 * (i + 1));
        const std::size_t end = i + 1 < segments ? little_endian(stream, 4 * (i + 2)) : stream.size();
        const std::string name = "RLE segment " + std::to_string(i + 1) + " of " + std::to_string(segments);
        require(start >= kHeader && start <= end && end <= stream.size(),
                name + " lies at bytes " + std::to_string(start) + " to " + std::to_string(end) + " of " +
                    std::to_string(stream.size()));
        check_segment(stream.subspan(start, end - start), samples, name);
    }
}

}  // namespace cathrt::sources
