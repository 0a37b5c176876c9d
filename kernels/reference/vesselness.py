"""NumPy float64 truth of the vesselness of a frame: how much of its field looks like dark lines, as one number.

The classical baseline of key frames, and what they are checked against. The C++ and CUDA twins are tested against this
file. Not for: a picture of the vessels, or runs compared with each other: it ranks the frames of one run.

The grid: cells of `cell_side` pixels a side, the means of their stored values, about 256 along the frame's longer side.
Sources: Hessian of the smoothed picture, line where one eigenvalue is large and the other small: Frangi et al., MICCAI
1998, LNCS 1496, 130. Central differences of a smoothed picture, and the factor sigma**2 that makes scales comparable:
Lindeberg, J. Math. Imaging Vision 3 (1993) 349, and Int. J. Comput. Vision 30 (1998) 117. The measure is ours.
"""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels.reference.ingest import Float64, stored_values

GRID_SIDE = 256
# Sums of 16-bit values over a cell of this side stay below 2**31. Frames beyond 46,000 pixels get a finer grid.
MAX_CELL_SIDE = 181
SIGMA = 2.0  # of the Gaussian, in 256ths of the grid's longer side: lines 3 to 8 of them wide
MIN_SIGMA = 1.0  # cells; below that, central differences of a sampled Gaussian are no derivatives


def cell_side(shape: tuple[int, int]) -> int:
    """Pixels along a side of a cell, for frames of shape (rows, columns)."""
    return min(max(1, (max(shape) + GRID_SIDE // 2) // GRID_SIDE), MAX_CELL_SIDE)


def grid_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """(rows, columns) of cells. Pixels beyond the last whole cell take no part; a narrow frame may have no cell."""
    side = cell_side(shape)
    return shape[0] // side, shape[1] // side


def sigma_of(grid: tuple[int, int]) -> float:
    """Standard deviation of the Gaussian for a grid (rows, columns), in cells."""
    return max(MIN_SIGMA, SIGMA * max(grid) / GRID_SIDE)


def gaussian(sigma: float) -> Float64:
    """(2 * radius + 1,) weights of the sampled Gaussian, cut off at radius = ceil(3 * sigma); they sum to 1."""
    radius = ceil(3.0 * sigma)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return np.asarray(weights / weights.sum())


def field_spans(exposed: NDArray[np.int32] | None, shape: tuple[int, int]) -> NDArray[np.int32]:
    """(grid rows, 2): the cells [start, stop) of each row of the grid that count; start == stop where none does.

    A cell counts where its response rests on exposed pixels alone: all cells within the Gaussian's radius and one more,
    in both directions, are whole and exposed. So an edge of the frame, of a shutter or of a collimator is no vessel.
    exposed: columns [start, stop) of each row of the frame, (rows, 2), or None: all of it.
    """
    rows, columns = grid_shape(shape)
    side, margin = cell_side(shape), len(gaussian(sigma_of((rows, columns)))) // 2 + 1
    spans = np.zeros((rows, 2), dtype=np.int32)
    for y in range(margin, rows - margin):
        first, last = (y - margin) * side, (y + margin + 1) * side
        start, stop = (
            (0, columns * side) if exposed is None else (exposed[first:last, 0].max(), exposed[first:last, 1].min())
        )
        start, stop = -(-int(start) // side) + margin, min(int(stop) // side, columns) - margin
        if start < stop:
            spans[y] = start, stop
    return spans


def cell_sums(stored: NDArray[np.int64], side: int) -> NDArray[np.int64]:
    """(grid rows, grid columns) sums of the stored values of each cell. stored: (H, W)."""
    rows, columns = stored.shape[0] // side, stored.shape[1] // side
    whole = stored[: rows * side, : columns * side]
    return np.asarray(whole.reshape(rows, side, columns, side).sum(axis=(1, 3)))


def smoothed(grid: Float64, weights: Float64) -> Float64:
    """The grid under a separable Gaussian; beyond its edges it is 0, which no cell that counts sees."""
    for axis in (0, 1):
        if grid.size:
            grid = np.apply_along_axis(np.convolve, axis, grid, weights, "full")
            radius = len(weights) // 2
            grid = np.take(grid, np.arange(radius, grid.shape[axis] - radius), axis)
    return grid


def response(smooth: Float64, sigma: float) -> Float64:
    """sigma**2 * (larger eigenvalue of the Hessian - magnitude of the other one), 0 where that is negative; (h, w) to
    (h - 2, w - 2).

    Positive on dark lines and, because the second differences across a line sum to 0, on both flanks of a bright one.
    With trace t and difference d of the eigenvalues (t + d) / 2 >= (t - d) / 2 it is min(t, d), whatever their signs.
    """
    centre = smooth[1:-1, 1:-1]
    down = smooth[:-2, 1:-1] + smooth[2:, 1:-1] - 2.0 * centre
    across = smooth[1:-1, :-2] + smooth[1:-1, 2:] - 2.0 * centre
    mixed = (smooth[:-2, :-2] + smooth[2:, 2:] - smooth[:-2, 2:] - smooth[2:, :-2]) / 4.0
    trace, difference = down + across, np.hypot(down - across, 2.0 * mixed)
    return np.asarray(sigma**2 * np.maximum(0.0, np.minimum(trace, difference)))


def vesselness(
    pixels: NDArray[Any], bits_stored: int, *, exposed: NDArray[np.int32] | None = None, inverted: bool = False
) -> float:
    """Mean response of the cells that count, over the mean absolute deviation of their values from their mean.

    pixels: (H, W) uint8 or uint16 of any relationship to intensity; gain and offset of grey change nothing.
    exposed: as field_spans.   inverted: MONOCHROME1, vessels are bright in the stored values.
    0 where no cell counts, or all that count are equal.
    """
    shape = (pixels.shape[0], pixels.shape[1])
    spans = field_spans(exposed, shape)
    columns = np.arange(grid_shape(shape)[1])
    counts = (columns >= spans[:, :1]) & (columns < spans[:, 1:])
    if not counts.any():
        return 0.0
    sums = cell_sums(stored_values(pixels, bits_stored), cell_side(shape)).astype(np.float64)
    if np.ptp(sums[counts]) == 0.0:
        return 0.0
    grid = sums - sums[counts].mean()
    spread = np.abs(grid[counts]).mean()
    sigma = sigma_of(grid_shape(shape))
    smooth = smoothed(-grid if inverted else grid, gaussian(sigma))
    found = np.zeros(grid.shape)
    found[1:-1, 1:-1] = response(smooth, sigma)
    return float(found[counts].mean() / spread)
