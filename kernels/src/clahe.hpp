// Contrast-limited adaptive histogram equalisation of stored values, which keep their depth. Truth and source:
// reference/clahe.py. Not for windowing.
#pragma once

#include <cstdint>
#include <vector>

#include "stored.hpp"

namespace cathrt {

inline constexpr int kMostBinsLog2 = 12;  // why: reference/clahe.py
inline constexpr std::int32_t kMostTiles = 64;

// One side of the frame cut into tiles. Where a side does not divide, the last tiles reach beyond the frame and see it
// mirrored (without its edge itself).
struct TiledSide {
    std::int32_t size;   // of the frame, in pixels
    std::int32_t tiles;  // 1 to kMostTiles
    std::int32_t tile;   // pixels of one tile

    // The pixel seen at `place`, which may lie beyond the frame.
    std::int32_t mirrored(std::int32_t place) const;
    // Cells lie between the centres of tiles: cell c, 0 to tiles, holds the pixels from the centre of tile c - 1 on.
    std::int32_t cell_start(std::int32_t cell) const;
    // Share of tile c in pixel `place` of cell c; tile c - 1 has the rest.
    float share(std::int32_t place, std::int32_t cell) const;
};

// Both sides of a frame cut into tiles; sides that both divide stay as they are.
TiledSide tiled_side(std::int32_t size, std::int32_t tiles, bool both_divide);

// The plan and scratch of frames of one size: running allocates nothing. Not thread-safe.
class Clahe {
  public:
    // clip_limit: highest count of a bin as a multiple of the mean; 0: none. A tile has fewer than 2**31 pixels.
    Clahe(TiledSide down, TiledSide across, int bits_stored, double clip_limit);

    // frame: of this plan's size and mask. out: as many pixels of the same kind, out_stride bytes from row to row;
    // it may be the frame itself.
    void run(const StoredFrame& frame, std::byte* out, std::ptrdiff_t out_stride);

    std::int32_t rows() const { return down_.size; }
    std::int32_t columns() const { return across_.size; }
    int bits_stored() const { return bits_stored_; }

  private:
    template <typename Stored>
    void count_tile(const StoredFrame& frame, std::int32_t tile_down, std::int32_t tile_across);
    template <typename Stored>
    void equalise_cell(const StoredFrame& frame, std::int32_t cell_down, std::int32_t cell_across, std::byte* out,
                       std::ptrdiff_t out_stride);
    std::uint16_t* table(std::int32_t tile_down, std::int32_t tile_across);

    TiledSide down_;
    TiledSide across_;
    int bits_stored_;
    std::int32_t bins_;
    std::int32_t clip_count_;
    std::vector<std::int32_t> beyond_;   // column seen at each place beyond the frame
    std::vector<float> column_share_;    // TiledSide::share of each column
    std::vector<std::uint16_t> parts_;   // counts of a few rows, in several tables
    std::vector<std::int32_t> counts_;   // (bins,) of one tile
    std::vector<std::uint16_t> tables_;  // (tiles down, tiles across, bins) stored value that each bin becomes
    std::vector<std::uint64_t> quads_;   // (bins,): the entries of a cell's four tiles side by side
};

}  // namespace cathrt
