// The header is read bit by bit: tag trees tell which code-blocks are included, then come passes and lengths.
#include "jpeg2000_packet.hpp"

#include <algorithm>
#include <bit>

namespace cathrt::sources {
namespace {

constexpr unsigned kMostZeroPlanes = 127;  // more bit planes than any sample has

unsigned floor_log2(std::uint64_t value) { return static_cast<unsigned>(std::bit_width(value)) - 1; }

// T.800 B.10.6 and B.10.7, T.814 B.3: how many coding passes, and the bytes of each codeword segment.
std::uint64_t read_lengths(const CodingStyle& style, CodeBlock& block, HeaderBits& bits) {
    std::uint64_t passes = 1;
    if (bits.bit() != 0) passes = 2;
    if (passes == 2 && bits.bit() != 0) passes = 3 + bits.bits(2);
    if (passes == 6) passes = 6 + bits.bits(5);
    if (passes == 37) passes = 37 + bits.bits(7);
    while (bits.bit() != 0) ++block.length_bits;
    std::uint64_t announced = 0;
    const auto add = [&](std::uint64_t length_passes) {
        const unsigned width = block.length_bits + floor_log2(length_passes);
        require(width <= 32, "a code-block whose length takes more than 32 bits");
        announced += bits.bits(width);
    };
    if ((style.block_style & kHighThroughput) != 0) {
        // A cleanup pass, then one segment of refinement. Every three passes before them hold no bytes.
        if (block.passes == 0) {
            const std::uint64_t empty = (passes - 1) / 3 * 3;
            add(empty + 1);
            if (passes - empty > 1) add(passes - empty - 1);
            block.passes = static_cast<unsigned>(passes - empty);
        } else {
            require(block.passes + passes <= 3, "HTJ2K code-blocks of several cleanup passes");
            add(passes);
            block.passes += static_cast<unsigned>(passes);
        }
        return announced;
    }
    while (passes > 0) {
        std::uint64_t taken = passes;
        if ((style.block_style & kTermination) != 0) {
            taken = 1;
        } else if ((style.block_style & kBypass) != 0) {
            // Ten passes, then by turns two raw ones and a cleanup.
            const std::uint64_t turn = block.passes < 10 ? 0 : (block.passes - 10) % 3;
            taken = std::min<std::uint64_t>(passes, block.passes < 10 ? 10 - block.passes : turn < 2 ? 2 - turn : 1);
        }
        add(taken);
        block.passes += static_cast<unsigned>(taken);
        passes -= taken;
    }
    return announced;
}

}  // namespace

std::uint64_t read_packet_header(const CodingStyle& style, Precinct& precinct, unsigned layer, HeaderBits& bits) {
    if (bits.bit() == 0) return 0;
    std::uint64_t announced = 0;
    for (BandPart& band : precinct.bands) {
        for (std::size_t i = 0; i < band.blocks.size(); ++i) {
            CodeBlock& block = band.blocks[i];
            const std::size_t x = i % band.across, y = i / band.across;
            const bool first = block.passes == 0;
            const bool included = first ? band.included.below(x, y, layer + 1, bits) : bits.bit() != 0;
            if (!included) continue;
            if (first) {
                unsigned planes = 1;
                while (!band.zero_planes.below(x, y, planes, bits)) {
                    require(++planes <= kMostZeroPlanes, "a code-block without a bit plane");
                }
            }
            announced += read_lengths(style, block, bits);
        }
    }
    return announced;
}

}  // namespace cathrt::sources
