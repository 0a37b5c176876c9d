// Markers and tile parts. What only a decoder needs (quantisation, colour, comments, lengths told twice) is passed
// over.
#include "jpeg2000_header.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace cathrt::sources {
namespace {

constexpr unsigned kSoc = 0xFF4F, kSiz = 0xFF51, kCod = 0xFF52, kCoc = 0xFF53, kPoc = 0xFF5F, kPpm = 0xFF60,
                   kPpt = 0xFF61, kSot = 0xFF90, kSod = 0xFF93, kEoc = 0xFFD9;
constexpr std::uint64_t kMostTiles = 65535;

std::uint64_t ceil_divide(std::uint64_t value, std::uint64_t by) { return (value + by - 1) / by; }

void read_blocks_and_precincts(Reader& segment, CodingStyle& style, bool own_precincts) {
    style.levels = segment.byte();
    require(style.levels <= 32, std::to_string(style.levels) + " decomposition levels, expected at most 32");
    style.block_width_log = (segment.byte() & 15) + 2;
    style.block_height_log = (segment.byte() & 15) + 2;
    require(style.block_width_log <= 10 && style.block_height_log <= 10,
            "a code-block of more than 1024 samples a side");
    style.block_style = segment.byte();
    segment.byte();  // wavelet
    for (unsigned r = 0; r <= style.levels; ++r) {
        const unsigned size = own_precincts ? segment.byte() : 0xFF;
        style.precinct_x[r] = size & 15;
        style.precinct_y[r] = size >> 4;
        require(r == 0 || (style.precinct_x[r] > 0 && style.precinct_y[r] > 0), "a precinct smaller than a sample");
    }
}

Progression progression_of(unsigned value) {
    require(value <= 4, "progression order " + std::to_string(value) + ", which JPEG 2000 has not");
    return static_cast<Progression>(value);
}

// COD and COC of the main or of a tile's header; COC has the last word on blocks and precincts.
struct Styles {
    std::optional<CodingStyle> cod;
    std::optional<CodingStyle> coc;

    void read_cod(Reader& segment) {
        CodingStyle style;
        const unsigned flags = segment.byte();
        style.progression = progression_of(segment.byte());
        style.layers = segment.word();
        require(style.layers > 0, "no quality layer");
        segment.byte();  // component transform
        read_blocks_and_precincts(segment, style, (flags & 1) != 0);
        cod = style;
    }
    void read_coc(Reader& segment) {
        CodingStyle style;
        segment.byte();  // the component: there is but one
        const unsigned flags = segment.byte();
        read_blocks_and_precincts(segment, style, (flags & 1) != 0);
        coc = style;
    }
    CodingStyle merged() const {
        require(cod.has_value(), "no coding style (COD)");
        CodingStyle style = coc.value_or(*cod);
        style.progression = cod->progression;
        style.layers = cod->layers;
        return style;
    }
};

std::vector<ProgressionVolume> read_poc(Reader& segment) {
    std::vector<ProgressionVolume> volumes;
    while (segment.left() > 0) {
        ProgressionVolume volume{};
        volume.first_resolution = segment.byte();
        segment.byte();  // first component
        volume.end_layer = segment.word();
        volume.end_resolution = segment.byte();
        segment.byte();  // end component
        volume.progression = progression_of(segment.byte());
        volumes.push_back(volume);
    }
    return volumes;
}

// Pieces of PPM or PPT, by their number.
using Pieces = std::map<unsigned, Bytes>;

void add_piece(Reader& segment, Pieces& pieces) {
    const unsigned number = segment.byte();
    require(pieces.emplace(number, segment.take(segment.left())).second,
            "two pieces of packed packet headers with one number");
}

std::vector<std::uint8_t> joined(const Pieces& pieces) {
    std::vector<std::uint8_t> all;
    unsigned expected = 0;
    for (const auto& [number, piece] : pieces) {
        require(number == expected++, "a piece of the packed packet headers is missing");
        all.insert(all.end(), piece.begin(), piece.end());
    }
    return all;
}

class Parser {
  public:
    explicit Parser(Bytes stream) : stream_(stream), reader_(stream) {}

    CodeStream read() {
        read_main_header();
        unsigned marker = kSot;
        for (; marker == kSot; marker = next_marker()) read_tile_part();
        require(marker == kEoc, "no tile part or end marker at byte " + std::to_string(reader_.position() - 2));
        const std::uint64_t count = out_.grid.tiles_across * out_.grid.tiles_down;
        require(out_.tiles.size() == count,
                std::to_string(count - out_.tiles.size()) + " of " + std::to_string(count) + " tiles are missing");
        for (auto& [index, tile] : out_.tiles) finish(tile);
        return std::move(out_);
    }

  private:
    unsigned next_marker() {
        require(reader_.left() >= 2, "no end marker (EOC)");
        return reader_.word();
    }

    Reader next_segment() {
        const std::size_t length = reader_.word();
        require(length >= 2, "a marker segment of " + std::to_string(length) + " bytes");
        return Reader(reader_.take(length - 2));
    }

    void read_main_header() {
        require(reader_.left() >= 2 && reader_.word() == kSoc, "no JPEG 2000 stream: it does not begin with SOC");
        for (unsigned marker = next_marker(); marker != kSot; marker = next_marker()) {
            require(marker >= 0xFF4F && marker <= 0xFF7F,
                    "no marker of a main header at byte " + std::to_string(reader_.position() - 2));
            Reader segment = next_segment();
            if (marker == kSiz) read_grid(segment);
            if (marker == kCod) main_.read_cod(segment);
            if (marker == kCoc) main_.read_coc(segment);
            if (marker == kPoc) main_order_ = read_poc(segment);
            if (marker == kPpm) add_piece(segment, packed_main_);
        }
        require(out_.grid.tile_width > 0, "no image size (SIZ)");
        packed_ = joined(packed_main_);
    }

    void read_grid(Reader& segment) {
        ImageGrid& grid = out_.grid;
        segment.word();  // capabilities
        grid.x1 = segment.long_word();
        grid.y1 = segment.long_word();
        grid.x0 = segment.long_word();
        grid.y0 = segment.long_word();
        grid.tile_width = segment.long_word();
        grid.tile_height = segment.long_word();
        grid.tile_x0 = segment.long_word();
        grid.tile_y0 = segment.long_word();
        const unsigned components = segment.word();
        segment.byte();  // depth
        const unsigned step_x = segment.byte(), step_y = segment.byte();
        require(components == 1 && step_x == 1 && step_y == 1, "a picture of several or subsampled components");
        require(grid.x0 < grid.x1 && grid.y0 < grid.y1 && grid.tile_width > 0 && grid.tile_height > 0 &&
                    grid.tile_x0 <= grid.x0 && grid.tile_y0 <= grid.y0 && grid.tile_x0 + grid.tile_width > grid.x0 &&
                    grid.tile_y0 + grid.tile_height > grid.y0,
                "an image area and tiles that do not go together");
        grid.tiles_across = ceil_divide(grid.x1 - grid.tile_x0, grid.tile_width);
        grid.tiles_down = ceil_divide(grid.y1 - grid.tile_y0, grid.tile_height);
        require(grid.tiles_across <= kMostTiles && grid.tiles_down <= kMostTiles &&
                    grid.tiles_across * grid.tiles_down <= kMostTiles,
                "more tiles than JPEG 2000 can number");
    }

    // Its marker has been read; leaves the reader at the next one.
    void read_tile_part() {
        const std::size_t start = reader_.position() - 2;
        Reader segment = next_segment();
        const std::uint64_t index = segment.word();
        const std::size_t length = segment.long_word();
        const unsigned part = segment.byte();
        require(index < out_.grid.tiles_across * out_.grid.tiles_down,
                "a part of tile " + std::to_string(index) + ", which the image has not");
        Tile& tile = out_.tiles[index];
        tile.index = index;
        require(part == tile.parts, "part " + std::to_string(tile.parts) + " of tile " + std::to_string(index) +
                                        " is missing: part " + std::to_string(part) + " follows");
        const std::size_t end = length == 0 ? end_marker() : start + length;
        require(length == 0 || length >= 12, "a part of tile " + std::to_string(index) + " of " +
                                                 std::to_string(length) + " bytes, expected at least 12");
        require(end <= stream_.size(), "part " + std::to_string(part) + " of tile " + std::to_string(index) +
                                           " ends at byte " + std::to_string(end) + ", beyond the stream of " +
                                           std::to_string(stream_.size()) + " bytes");
        if (part == 0) {
            styles_[index] = main_;
            orders_[index] = main_order_;
        }
        ++tile.parts;
        if (end > reader_.position()) read_tile_part_header(tile, part == 0);
        require(end >= reader_.position(), "a tile part shorter than its header");
        tile.bodies.push_back(stream_.subspan(reader_.position(), end - reader_.position()));
        take_packed_headers(tile);
        reader_.seek(end);
    }

    // A last tile part of unknown length lasts until the end marker, which coded data cannot hold.
    std::size_t end_marker() const {
        constexpr std::array<std::uint8_t, 2> eoc{0xFF, 0xD9};
        const auto from = stream_.begin() + static_cast<std::ptrdiff_t>(reader_.position());
        const auto found = std::search(from, stream_.end(), eoc.begin(), eoc.end());
        require(found != stream_.end(), "no end marker (EOC)");
        return static_cast<std::size_t>(found - stream_.begin());
    }

    void read_tile_part_header(Tile& tile, bool first) {
        bool own_order = false;
        Styles& styles = styles_[tile.index];
        for (unsigned marker = next_marker(); marker != kSod; marker = next_marker()) {
            require(marker >= 0xFF50 && marker <= 0xFF7F,
                    "no marker of a tile-part header at byte " + std::to_string(reader_.position() - 2));
            Reader segment = next_segment();
            if (marker == kCod && first) {
                styles.coc.reset();
                styles.read_cod(segment);
            }
            if (marker == kCoc && first) styles.read_coc(segment);
            if (marker == kPoc) {
                if (first && !own_order) orders_[tile.index].clear();
                own_order = true;
                const auto more = read_poc(segment);
                orders_[tile.index].insert(orders_[tile.index].end(), more.begin(), more.end());
            }
            if (marker == kPpt) add_piece(segment, packed_tile_[tile.index]);
        }
    }

    // PPM holds the packet headers of one tile part after the other, each after their length.
    void take_packed_headers(Tile& tile) {
        if (packed_main_.empty()) return;
        tile.packed = true;
        Reader packed(packed_, packed_at_);
        const std::size_t length = packed.long_word();
        const Bytes headers = packed.take(length);
        tile.headers.insert(tile.headers.end(), headers.begin(), headers.end());
        packed_at_ = packed.position();
    }

    void finish(Tile& tile) {
        tile.style = styles_[tile.index].merged();
        tile.volumes = orders_[tile.index];
        if (tile.volumes.empty()) {
            tile.volumes.push_back({0, tile.style.levels + 1, tile.style.layers, tile.style.progression});
        }
        const auto packed = packed_tile_.find(tile.index);
        if (packed == packed_tile_.end()) return;
        require(packed_main_.empty(), "packet headers packed in two ways (PPM and PPT)");
        tile.packed = true;
        tile.headers = joined(packed->second);
    }

    Bytes stream_;
    Reader reader_;
    CodeStream out_;
    Styles main_;
    std::vector<ProgressionVolume> main_order_;
    Pieces packed_main_;
    std::vector<std::uint8_t> packed_;
    std::size_t packed_at_ = 0;
    std::map<std::uint64_t, Styles> styles_;
    std::map<std::uint64_t, std::vector<ProgressionVolume>> orders_;
    std::map<std::uint64_t, Pieces> packed_tile_;
};

}  // namespace

CodeStream read_code_stream(Bytes stream) { return Parser(stream).read(); }

void check_jpeg2000(Bytes stream) {
    const CodeStream code_stream = read_code_stream(stream);
    for (const auto& [index, tile] : code_stream.tiles) check_tile(code_stream.grid, tile);
}

}  // namespace cathrt::sources
