// The packets of one tile: every precinct of every resolution, layer by layer, in the order the stream declares.
// Headers are read bit by bit, for they say how many bytes follow; the coded bytes are passed over.
#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <tuple>

#include "jpeg2000_packet.hpp"

namespace cathrt::sources {
namespace {

constexpr std::uint64_t kMostRepeats = 1U << 24;  // steps of POC that lead to no packet
// As many zero bytes in a row are a part of the stream that was never written: the arithmetic coder's output looks like
// noise, and raw bits (bypass, HTJ2K) are zero for so long in no picture that has noise.
constexpr std::size_t kZeroRun = 64, kZeroRunOfRawBits = 512;

std::uint64_t ceil_shift(std::uint64_t value, unsigned by) { return (value + (std::uint64_t{1} << by) - 1) >> by; }

struct Resolution {
    std::uint64_t x0, y0, x1, y1;
    unsigned shift;                   // to the reference grid
    unsigned precinct_x, precinct_y;  // log2 of their size
    std::uint64_t across, down;       // precincts
    std::vector<std::unique_ptr<Precinct>> precincts;
};

class TileWalk {
  public:
    TileWalk(const ImageGrid& grid, const Tile& tile) : tile_(tile), style_(tile.style), headers_(tile.headers) {
        const std::uint64_t column = tile.index % grid.tiles_across, row = tile.index / grid.tiles_across;
        x0_ = std::max(grid.tile_x0 + column * grid.tile_width, grid.x0);
        y0_ = std::max(grid.tile_y0 + row * grid.tile_height, grid.y0);
        x1_ = std::min(grid.tile_x0 + (column + 1) * grid.tile_width, grid.x1);
        y1_ = std::min(grid.tile_y0 + (row + 1) * grid.tile_height, grid.y1);
        require((style_.block_style & kMixed) == 0, "code-blocks of both JPEG 2000 and HTJ2K in one tile");
        lay_out();
    }

    void run() {
        body_ = tile_.bodies.front();
        for (const ProgressionVolume& volume : tile_.volumes) walk(volume);
        if (read_ < total_) fail("its packets are not all in its progression order");
        // One zero byte may pad the coded data to an even length.
        std::size_t over = tile_.packed ? headers_.size() : 0;
        for (next_part(); part_ < tile_.bodies.size(); next_part(true)) over += body_.size();
        if (over > 1 || (over == 1 && last_byte() != 0)) {
            throw NotWhole("tile " + std::to_string(tile_.index) + ": " + std::to_string(over) +
                           " bytes are left over after its packets: data before them are damaged, or some are missing");
        }
    }

  private:
    void lay_out();
    std::unique_ptr<Precinct> make_precinct(unsigned r, std::uint64_t k) const;
    void walk(const ProgressionVolume& volume);
    void walk_by_position(const ProgressionVolume& volume);
    void visit(unsigned r, std::uint64_t k, unsigned layer);
    void read_packet(Precinct& precinct, unsigned layer);
    void require_no_gap(Bytes coded) const;
    void next_part(bool skip = false);
    std::uint8_t last_byte() const;

    [[noreturn]] void fail(const std::string& why) const {
        throw NotWhole("tile " + std::to_string(tile_.index) + ", packet " + std::to_string(read_ + 1) + " of " +
                       std::to_string(total_) + ": " + why);
    }

    const Tile& tile_;
    const CodingStyle& style_;
    std::uint64_t x0_, y0_, x1_, y1_;
    std::vector<Resolution> resolutions_;
    Bytes headers_;  // packed ones that were not read
    std::size_t part_ = 0;
    Bytes body_;  // what was not read of this part
    std::uint64_t total_ = 0, read_ = 0, repeats_ = 0;
};

// T.800 B.5 to B.7.
void TileWalk::lay_out() {
    std::uint64_t bytes = tile_.headers.size();
    for (const Bytes body : tile_.bodies) bytes += body.size();
    std::uint64_t precincts = 0;
    for (unsigned r = 0; r <= style_.levels; ++r) {
        Resolution res{};
        res.shift = style_.levels - r;
        res.precinct_x = style_.precinct_x[r];
        res.precinct_y = style_.precinct_y[r];
        res.x0 = ceil_shift(x0_, res.shift);
        res.y0 = ceil_shift(y0_, res.shift);
        res.x1 = ceil_shift(x1_, res.shift);
        res.y1 = ceil_shift(y1_, res.shift);
        if (res.x0 < res.x1 && res.y0 < res.y1) {
            res.across = ceil_shift(res.x1, res.precinct_x) - (res.x0 >> res.precinct_x);
            res.down = ceil_shift(res.y1, res.precinct_y) - (res.y0 >> res.precinct_y);
        }
        // A packet takes a byte at least, which bounds what is allocated for it.
        if (res.across > bytes || res.down > bytes || (precincts += res.across * res.down) > bytes) {
            throw NotWhole("tile " + std::to_string(tile_.index) + " has more precincts than bytes");
        }
        res.precincts.resize(res.across * res.down);
        resolutions_.push_back(std::move(res));
    }
    total_ = precincts * style_.layers;
}

std::unique_ptr<Precinct> TileWalk::make_precinct(unsigned r, std::uint64_t k) const {
    const Resolution& res = resolutions_[r];
    const std::uint64_t px = (res.x0 >> res.precinct_x) + k % res.across,
                        py = (res.y0 >> res.precinct_y) + k / res.across;
    const unsigned half = r == 0 ? 0 : 1;  // sub-bands above the lowest have half its samples
    const unsigned width_log = res.precinct_x - half, height_log = res.precinct_y - half;
    const unsigned block_x = std::min(style_.block_width_log, width_log);
    const unsigned block_y = std::min(style_.block_height_log, height_log);
    auto precinct = std::make_unique<Precinct>();
    for (unsigned band = half; band <= 3 * half; ++band) {  // LL, or HL, LH, HH
        const unsigned shift = res.shift + half;
        const auto edge = [shift, half](std::uint64_t value, unsigned high) {
            const std::uint64_t offset = half != 0 && high != 0 ? std::uint64_t{1} << (shift - 1) : 0;
            return value <= offset ? std::uint64_t{0} : ceil_shift(value - offset, shift);
        };
        const std::uint64_t left = std::max(edge(x0_, band & 1), px << width_log);
        const std::uint64_t right = std::min(edge(x1_, band & 1), (px + 1) << width_log);
        const std::uint64_t top = std::max(edge(y0_, band >> 1), py << height_log);
        const std::uint64_t bottom = std::min(edge(y1_, band >> 1), (py + 1) << height_log);
        if (left >= right || top >= bottom) continue;
        const std::uint64_t across = ceil_shift(right, block_x) - (left >> block_x);
        const std::uint64_t down = ceil_shift(bottom, block_y) - (top >> block_y);
        precinct->bands.emplace_back(across, down);
    }
    return precinct;
}

// T.800 B.12.
void TileWalk::walk(const ProgressionVolume& volume) {
    const unsigned end_layer = std::min(volume.end_layer, style_.layers);
    const unsigned end = std::min(volume.end_resolution, style_.levels + 1);
    if (volume.progression == Progression::lrcp) {
        for (unsigned layer = 0; layer < end_layer; ++layer) {
            for (unsigned r = volume.first_resolution; r < end; ++r) {
                for (std::uint64_t k = 0; k < resolutions_[r].precincts.size(); ++k) visit(r, k, layer);
            }
        }
    } else if (volume.progression == Progression::rlcp) {
        for (unsigned r = volume.first_resolution; r < end; ++r) {
            for (unsigned layer = 0; layer < end_layer; ++layer) {
                for (std::uint64_t k = 0; k < resolutions_[r].precincts.size(); ++k) visit(r, k, layer);
            }
        }
    } else if (volume.progression == Progression::rpcl) {
        for (unsigned r = volume.first_resolution; r < end; ++r) {
            for (std::uint64_t k = 0; k < resolutions_[r].precincts.size(); ++k) {
                for (unsigned layer = 0; layer < end_layer; ++layer) visit(r, k, layer);
            }
        }
    } else {
        walk_by_position({volume.first_resolution, end, end_layer, volume.progression});
    }
}

// PCRL, and CPRL of one component: by the upper left corner of precincts on the reference grid.
void TileWalk::walk_by_position(const ProgressionVolume& volume) {
    std::vector<std::tuple<std::uint64_t, std::uint64_t, unsigned, std::uint64_t>> order;
    for (unsigned r = volume.first_resolution; r < volume.end_resolution; ++r) {
        const Resolution& res = resolutions_[r];
        for (std::uint64_t k = 0; k < res.precincts.size(); ++k) {
            const std::uint64_t x = ((res.x0 >> res.precinct_x) + k % res.across) << (res.precinct_x + res.shift);
            const std::uint64_t y = ((res.y0 >> res.precinct_y) + k / res.across) << (res.precinct_y + res.shift);
            order.emplace_back(std::max(y, y0_), std::max(x, x0_), r, k);
        }
    }
    std::sort(order.begin(), order.end());
    for (const auto& [y, x, r, k] : order) {
        for (unsigned layer = 0; layer < volume.end_layer; ++layer) visit(r, k, layer);
    }
}

void TileWalk::visit(unsigned r, std::uint64_t k, unsigned layer) {
    std::unique_ptr<Precinct>& precinct = resolutions_[r].precincts[k];
    if (precinct == nullptr) precinct = make_precinct(r, k);
    if (layer < precinct->layers) {  // a progression order change comes by again
        if (++repeats_ > kMostRepeats) fail("a progression order that repeats itself without end");
        return;
    }
    read_packet(*precinct, layer);
    ++precinct->layers;
    ++read_;
}

// T.800 B.9 and B.10.
void TileWalk::read_packet(Precinct& precinct, unsigned layer) {
    next_part();
    if (part_ == tile_.bodies.size() && !tile_.packed) fail("it is missing, and all after it");
    if (body_.size() >= 6 && body_[0] == 0xFF && body_[1] == 0x91) {  // SOP
        const std::uint64_t number = std::uint64_t{body_[4]} << 8 | body_[5];
        if (number != (read_ & 0xFFFF)) fail("it has number " + std::to_string(number) + ": packets are missing");
        body_ = body_.subspan(6);
    }
    Bytes& source = tile_.packed ? headers_ : body_;
    std::uint64_t announced = 0;
    try {
        HeaderBits bits(source);
        announced = read_packet_header(style_, precinct, layer, bits);
        source = source.subspan(bits.finish());
    } catch (const NotWhole& found) {
        fail(found.what());
    }
    if (source.size() >= 2 && source[0] == 0xFF && source[1] == 0x92) source = source.subspan(2);  // EPH
    if (announced > body_.size()) {
        fail("it announces " + std::to_string(announced) + " bytes, " + std::to_string(body_.size()) + " are there");
    }
    require_no_gap(body_.first(announced));
    body_ = body_.subspan(announced);
}

void TileWalk::require_no_gap(Bytes coded) const {
    const bool raw = (style_.block_style & (kBypass | kHighThroughput)) != 0;
    const std::size_t longest = raw ? kZeroRunOfRawBits : kZeroRun;
    const auto is_set = [](std::uint8_t byte) { return byte != 0; };
    for (std::size_t i = longest / 2; i + 8 <= coded.size(); i += longest / 2) {  // every such run holds one of these
        std::uint64_t word;
        std::memcpy(&word, coded.data() + i, sizeof word);
        if (word != 0) continue;
        const auto at = coded.begin() + static_cast<std::ptrdiff_t>(i);
        const auto after = std::find_if(at, coded.end(), is_set);
        const auto before = std::find_if(std::reverse_iterator(at), coded.rend(), is_set).base();
        if (static_cast<std::size_t>(after - before) >= longest) {
            fail(std::to_string(after - before) + " zero bytes in a row: a part of the stream was never written");
        }
    }
}

// Goes on to the next tile part once this one is used up, or at once.
void TileWalk::next_part(bool skip) {
    while (part_ < tile_.bodies.size() && (skip || body_.empty())) {
        ++part_;
        body_ = part_ < tile_.bodies.size() ? tile_.bodies[part_] : Bytes{};
        skip = false;
    }
}

std::uint8_t TileWalk::last_byte() const {
    if (!headers_.empty()) return headers_.back();
    for (auto body = tile_.bodies.rbegin(); body != tile_.bodies.rend(); ++body) {
        if (!body->empty()) return body->back();
    }
    return 0;
}

}  // namespace

void check_tile(const ImageGrid& grid, const Tile& tile) { TileWalk(grid, tile).run(); }

}  // namespace cathrt::sources
