"""Vesselness of one frame: ours beside OpenCV, numba, and NumPy with SciPy, and the memory limit.

All of the frame is exposed. Each is compared with kernels/reference/vesselness.py before it is timed.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numba
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from benchmarks import measure
from benchmarks.kernel_ops.ingest import FRAMES, Case, Pixels, Results, frames_of
from cathrt.kernels._kernels import Vesselness
from cathrt.kernels.reference import vesselness as reference

CASES = (
    Case("512_u8", 512, 8),
    Case("512_u16", 512, 12),
    Case("1024_u8", 1024, 8),
    Case("1024_u16", 1024, 12),
)
AGREES = 1e-4  # relative; float32 all along

Variant = Callable[[Pixels], float]


def _plan(side: int) -> tuple[int, int, int, float]:
    """Side of a cell, cells along a side of the grid, radius and standard deviation of the Gaussian."""
    cells = reference.grid_shape((side, side))
    sigma = reference.sigma_of(cells)
    return reference.cell_side((side, side)), cells[0], len(reference.gaussian(sigma)) // 2, sigma


def opencv(case: Case) -> Variant:
    """Whole-grid operations, all into buffers made once."""
    _, cells, radius, sigma = _plan(case.side)
    size = (cells, cells)
    inside = slice(radius + 1, cells - radius - 1)
    grid, smooth, down, across, mixed, difference = (np.zeros(size, np.float32) for _ in range(6))
    second = np.array([[1.0, -2.0, 1.0]], np.float32)
    twice_mixed = np.array([[0.5, 0, -0.5], [0, 0, 0], [-0.5, 0, 0.5]], np.float32)
    weights = reference.gaussian(sigma).astype(np.float32)

    def run(pixels: Pixels) -> float:
        # INTER_AREA rounds integers, so the frame becomes float first.
        cv2.resize(pixels.astype(np.float32), size, dst=grid, interpolation=cv2.INTER_AREA)
        cv2.sepFilter2D(grid, cv2.CV_32F, weights, weights, dst=smooth)
        cv2.filter2D(smooth, -1, second.T, dst=down)
        cv2.filter2D(smooth, -1, second, dst=across)
        cv2.filter2D(smooth, -1, twice_mixed, dst=mixed)
        cv2.subtract(down, across, dst=difference)
        cv2.magnitude(difference, mixed, difference)
        cv2.add(down, across, dst=across)
        cv2.min(across, difference, dst=difference)
        cv2.max(difference, (0.0,), dst=difference)
        counted = grid[inside, inside]
        spread = cv2.norm(counted, np.full_like(counted, cv2.mean(counted)[0]), cv2.NORM_L1) / counted.size
        return float(sigma**2 * cv2.mean(difference[inside, inside])[0] / spread)

    return run


@numba.njit(cache=False, fastmath=True)
def _numba_vesselness(
    pixels: Pixels, side: int, weights: NDArray[np.float32], buffers: tuple[NDArray[np.float32], ...]
) -> float:
    grid, down, smooth = buffers
    cells, radius = grid.shape[0], weights.size - 1
    for y in range(cells):
        for x in range(cells):
            total = np.int64(0)
            for row in range(side):
                for column in range(side):
                    total += pixels[y * side + row, x * side + column]
            grid[y, x] = np.float32(total)
    margin = radius + 1
    mean = 0.0
    for y in range(margin, cells - margin):
        for x in range(margin, cells - margin):
            mean += grid[y, x]
    mean /= (cells - 2 * margin) ** 2
    for y in range(cells):
        for x in range(cells):
            grid[y, x] -= np.float32(mean)
    for y in range(radius, cells - radius):
        for x in range(cells):
            down[y, x] = grid[y, x] * weights[0]
        for k in range(1, radius + 1):
            for x in range(cells):
                down[y, x] += (grid[y - k, x] + grid[y + k, x]) * weights[k]
        for x in range(radius, cells - radius):
            smooth[y, x] = down[y, x] * weights[0]
        for k in range(1, radius + 1):
            for x in range(radius, cells - radius):
                smooth[y, x] += (down[y, x - k] + down[y, x + k]) * weights[k]
    response, distance = 0.0, 0.0
    for y in range(margin, cells - margin):
        for x in range(margin, cells - margin):
            vertical = smooth[y - 1, x] + smooth[y + 1, x] - 2 * smooth[y, x]
            across = smooth[y, x - 1] + smooth[y, x + 1] - 2 * smooth[y, x]
            mixed = (smooth[y - 1, x - 1] + smooth[y + 1, x + 1] - smooth[y - 1, x + 1] - smooth[y + 1, x - 1]) / 2
            difference = np.sqrt((vertical - across) ** 2 + mixed**2)
            response += max(min(vertical + across, difference), np.float32(0))
            distance += abs(grid[y, x])
    return response / distance


def numba_loops(case: Case) -> Variant:
    side, cells, radius, sigma = _plan(case.side)
    weights = reference.gaussian(sigma)[radius:].astype(np.float32)
    buffers = tuple(np.zeros((cells, cells), np.float32) for _ in range(3))
    return lambda pixels: float(sigma**2 * _numba_vesselness(pixels, side, weights, buffers))


def numpy_scipy(case: Case) -> Variant:
    side, cells, radius, sigma = _plan(case.side)
    inside = slice(radius + 1, cells - radius - 1)

    def run(pixels: Pixels) -> float:
        grid = pixels.reshape(cells, side, cells, side).mean(axis=(1, 3), dtype=np.float32)
        smooth = gaussian_filter(grid, sigma, radius=radius)[radius : cells - radius, radius : cells - radius]
        down, across = np.diff(smooth, 2, axis=0)[:, 1:-1], np.diff(smooth, 2, axis=1)[1:-1]
        mixed = (smooth[2:, 2:] + smooth[:-2, :-2] - smooth[2:, :-2] - smooth[:-2, 2:]) / 2
        response = np.maximum(np.minimum(down + across, np.hypot(down - across, mixed)), 0)
        counted = grid[inside, inside]
        return float(sigma**2 * response.mean() / np.abs(counted - counted.mean()).mean())

    return run


def variants(case: Case) -> dict[str, Variant]:
    ours = Vesselness((case.side, case.side), case.bits, None, False)
    return {"cathrt": ours, "opencv": opencv(case), "numba": numba_loops(case), "numpy_scipy": numpy_scipy(case)}


def check(case: Case, name: str, variant: Variant, pixels: Pixels) -> None:
    """Raises ValueError unless the variant's number is the reference's."""
    found, expected = variant(pixels), reference.vesselness(pixels, case.bits)
    if not abs(found - expected) <= AGREES * expected:
        raise ValueError(f"{case.name} {name}: {found:.6g}, expected {expected:.6g}")


def run_case(case: Case, rounds: int) -> dict[str, measure.Samples]:
    """Check, then time all variants and the limit in turn. The limit: read the frame once."""
    frames = frames_of(case)
    calls: dict[str, Callable[[int], object]] = {}
    for name, variant in variants(case).items():
        check(case, name, variant, frames[0])
        calls[name] = lambda number, variant=variant: variant(frames[number % FRAMES])
    return measure.interleave_with_limit(calls, rounds=rounds, read_bytes=frames[0].nbytes, write_bytes=0)


def run(rounds: int) -> Results:
    return {case.name: run_case(case, rounds) for case in CASES}


def figures(results: Results) -> dict[str, float]:
    """The median of ours, and ratios of medians: to OpenCV and to the limit."""
    found: dict[str, float] = {}
    for name, samples in results.items():
        found[f"vesselness_{name}_ms"] = samples["cathrt"].median_ms
        for other in ("opencv", "limit"):
            found[f"vesselness_{name}_vs_{other}"] = samples["cathrt"].median_ms / samples[other].median_ms
    return found
