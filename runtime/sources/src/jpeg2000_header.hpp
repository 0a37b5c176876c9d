// The marker segments of a JPEG 2000 stream, for jpeg2000_packet.cpp and jpeg2000_tile.cpp.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "completeness.hpp"

namespace cathrt::sources {

// SIZ: the image and its tiles on the reference grid.
struct ImageGrid {
    std::uint64_t x0, y0, x1, y1;
    std::uint64_t tile_x0, tile_y0, tile_width, tile_height;
    std::uint64_t tiles_across, tiles_down;
};

enum class Progression : unsigned { lrcp, rlcp, rpcl, pcrl, cprl };

// COD and COC of the one component.
struct CodingStyle {
    Progression progression = Progression::lrcp;
    unsigned layers = 0;
    unsigned levels = 0;  // of decomposition
    unsigned block_width_log = 0, block_height_log = 0;
    unsigned block_style = 0;                             // SPcod: bypass 1, termination 4, HT 64
    std::array<unsigned, 33> precinct_x{}, precinct_y{};  // log2 of the size, by resolution
};

// One line of POC, or all packets of a tile where there is none.
struct ProgressionVolume {
    unsigned first_resolution, end_resolution, end_layer;
    Progression progression;
};

// One tile, put together from its tile parts.
struct Tile {
    std::uint64_t index = 0;
    unsigned parts = 0;
    CodingStyle style;
    std::vector<ProgressionVolume> volumes;
    std::vector<Bytes> bodies;          // of its parts
    bool packed = false;                // packet headers stand in PPM or PPT, not among the bodies
    std::vector<std::uint8_t> headers;  // those packet headers
};

struct CodeStream {
    ImageGrid grid{};
    std::map<std::uint64_t, Tile> tiles;
};

// Reads markers and tile parts up to the end marker. Raises NotWhole where one is missing or does not end where its
// length says.
CodeStream read_code_stream(Bytes stream);

// Raises NotWhole unless every packet of the tile is there.
void check_tile(const ImageGrid& grid, const Tile& tile);

}  // namespace cathrt::sources
