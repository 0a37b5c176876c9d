"""NumPy float64 truth of contrast-limited adaptive histogram equalisation, which the C++ and CUDA twins must meet.

Not for speed, nor for windowing: stored values go in and stored values of the same depth come out.
Source: Zuiderveld, Contrast limited adaptive histogram equalization, Graphics Gems IV, 1994, VIII.5; clip limit,
redistribution, padding and interpolation as OpenCV's createCLAHE computes them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels.reference.ingest import Float64, stored_values

# More bins than this no tile of an angiogram can fill. Deeper stored values that share a bin come out equal; told
# apart, they would differ by at most (clip_limit + 2) / 4096 of the range, a bin's step in a tile's table.
MOST_BINS_LOG2 = 12


def bins_log2(bits_stored: int) -> int:
    """Binary logarithm of the number of bins: one bin a stored value, up to 4096 bins."""
    return min(bits_stored, MOST_BINS_LOG2)


def padded_side(side: int, tiles: int, *, whole: bool) -> int:
    """A side of the frame made to divide into tiles. whole: both sides do already, so that nothing is added."""
    return side if whole else side + tiles - side % tiles


def clip_count(clip_limit: float, tile_pixels: int, bins: int) -> int:
    """Highest count a bin may keep: clip_limit times the mean count, at least 1. clip_limit 0: no limit."""
    return tile_pixels if clip_limit == 0 else max(1, int(clip_limit * tile_pixels / bins))


def redistribute(counts: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Cut counts at `most`; give what was cut to all bins alike, the rest to bins evenly apart from bin 0 on."""
    bins = len(counts)
    kept = np.minimum(counts, most)
    each, rest = divmod(int(counts.sum() - kept.sum()), bins)
    kept += each
    if rest > 0:
        kept[: rest * (bins // rest) : bins // rest] += 1
    return kept


def tile_tables(binned: NDArray[np.int64], tiles: tuple[int, int], clip_limit: float, bins: int, top: int) -> Float64:
    """(tiles down, tiles across, bins) stored values 0 .. top that each bin becomes in each tile.

    binned: (H, W) bin of each pixel. Frames that do not divide are mirrored on at the lower and right edge, without
    repeating the edge itself. A table is the running sum of the tile's counts, rounded to whole stored values.
    """
    whole = all(side % count == 0 for side, count in zip(binned.shape, tiles, strict=True))
    padding = [(0, padded_side(s, t, whole=whole) - s) for s, t in zip(binned.shape, tiles, strict=True)]
    padded = np.pad(binned, padding, mode="reflect")
    height, width = (side // count for side, count in zip(padded.shape, tiles, strict=True))
    most = clip_count(clip_limit, height * width, bins)
    tables = np.empty((*tiles, bins))
    for down in range(tiles[0]):
        for across in range(tiles[1]):
            tile = padded[down * height :, across * width :][:height, :width]
            counts = redistribute(np.bincount(tile.ravel(), minlength=bins), most)
            tables[down, across] = np.rint(np.cumsum(counts) * (top / (height * width)))
    return tables


def between_tiles(side: int, tile: int, tiles: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Float64]:
    """For each of `side` pixels: the tiles whose centres lie before and after it, and the share of the second."""
    place = np.arange(side) / tile - 0.5
    before = np.floor(place).astype(np.int64)
    return np.maximum(before, 0), np.minimum(before + 1, tiles - 1), place - before


def clahe(
    pixels: NDArray[Any], bits_stored: int, tiles: tuple[int, int], clip_limit: float, most_bins: int | None = None
) -> NDArray[np.int64]:
    """Equalise (H, W) stored values in `tiles` (down, across); returns (H, W) from 0 to 2**bits_stored - 1.

    Each pixel is looked up in the tables of the four tiles whose centres surround it, and the four are interpolated.
    clip_limit: highest count of a bin, as a multiple of the mean; 0: none. most_bins: a power of two, else 4096.
    """
    values = stored_values(pixels, bits_stored)
    bins = min(1 << bits_stored, most_bins or 1 << MOST_BINS_LOG2)
    binned = values * bins >> bits_stored
    rows, columns = values.shape
    tables = tile_tables(binned, tiles, clip_limit, bins, (1 << bits_stored) - 1)
    whole = rows % tiles[0] == 0 and columns % tiles[1] == 0
    above, below, down = between_tiles(rows, padded_side(rows, tiles[0], whole=whole) // tiles[0], tiles[0])
    left, right, across = between_tiles(columns, padded_side(columns, tiles[1], whole=whole) // tiles[1], tiles[1])
    above, below, down = above[:, None], below[:, None], down[:, None]
    upper = tables[above, left, binned] * (1 - across) + tables[above, right, binned] * across
    lower = tables[below, left, binned] * (1 - across) + tables[below, right, binned] * across
    mixed: NDArray[np.int64] = np.rint(upper * (1 - down) + lower * down).astype(np.int64)
    return mixed
