"""Contrast-limited adaptive histogram equalisation: ours beside OpenCV, scikit-image, numba and the memory limit.

8 x 8 tiles, clip limit 2. Each is compared with kernels/reference/clahe.py before it is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numba
import numpy as np
from numpy.typing import NDArray
from skimage.exposure import equalize_adapthist

from benchmarks import measure
from benchmarks.kernel_ops.ingest import FRAMES, Pixels, Results, angiogram_like
from benchmarks.kernel_ops.ingest import Case as Frames
from cathrt.kernels._kernels import Clahe
from cathrt.kernels.reference.clahe import clahe

TILES = 8
CLIP_LIMIT = 2.0


@dataclass(frozen=True, slots=True)
class Case:
    """slow_peers: also time those that take a hundred times as long."""

    name: str
    side: int
    bits: int
    slow_peers: bool = False

    @property
    def frames(self) -> Frames:
        return Frames(self.name, self.side, self.bits, None)


CASES = (
    Case("512_u8", 512, 8),
    Case("1024_u8", 1024, 8),
    Case("512_u16", 512, 12),
    Case("1024_u16", 1024, 12, slow_peers=True),
    Case("1024_16bit", 1024, 16),
)

Variant = Callable[[Pixels, Pixels], object]


@numba.njit(cache=False, error_model="numpy")
def _numba_clahe(pixels: Pixels, out: Pixels, bins: int, tables: NDArray[np.uint16]) -> None:
    """The same in plain loops, for frames that divide into the tiles."""
    tile = pixels.shape[0] // TILES
    most = max(1, int(CLIP_LIMIT * tile * tile / bins))
    scale = np.float32((bins - 1) / (tile * tile))
    counts = np.empty(bins, np.int32)
    for down in range(TILES):
        for across in range(TILES):
            counts[:] = 0
            for y in range(down * tile, (down + 1) * tile):
                for x in range(across * tile, (across + 1) * tile):
                    counts[pixels[y, x]] += 1
            cut = 0
            for i in range(bins):
                cut += max(0, counts[i] - most)
                counts[i] = min(counts[i], most)
            each, rest = cut // bins, cut % bins
            for i in range(rest):
                counts[i * (bins // rest)] += 1
            total = 0
            for i in range(bins):
                total += counts[i] + each
                tables[down, across, i] = np.uint16(np.rint(total * scale))
    for y in range(pixels.shape[0]):
        fy = np.float32(y) / np.float32(tile) - np.float32(0.5)
        y0 = int(np.floor(fy))
        wy = fy - np.float32(y0)
        y0, y1 = max(y0, 0), min(y0 + 1, TILES - 1)
        for x in range(pixels.shape[1]):
            fx = np.float32(x) / np.float32(tile) - np.float32(0.5)
            x0 = int(np.floor(fx))
            wx = fx - np.float32(x0)
            x0, x1 = max(x0, 0), min(x0 + 1, TILES - 1)
            value = pixels[y, x]
            upper = tables[y0, x0, value] * (1 - wx) + tables[y0, x1, value] * wx
            lower = tables[y1, x0, value] * (1 - wx) + tables[y1, x1, value] * wx
            out[y, x] = np.rint(upper * (1 - wy) + lower * wy)


def variants(case: Case) -> dict[str, Variant]:
    opencv = cv2.createCLAHE(CLIP_LIMIT, (TILES, TILES))
    made: dict[str, Variant] = {
        "cathrt": Clahe((case.side, case.side), case.bits, (TILES, TILES), CLIP_LIMIT),
        "opencv": opencv.apply,
    }
    if case.bits <= 12:
        tables = np.empty((TILES, TILES, 1 << case.bits), np.uint16)
        made["numba"] = lambda pixels, out: _numba_clahe(pixels, out, 1 << case.bits, tables)
    if case.slow_peers:
        top = (1 << case.bits) - 1

        def scikit_image(pixels: Pixels, out: Pixels) -> None:
            # Its clip limit is a share of the tile's pixels, its tiles are given by their sides.
            limit = CLIP_LIMIT / (1 << case.bits)
            even = equalize_adapthist(pixels / np.float32(top), case.side // TILES, limit, nbins=1 << case.bits)
            np.rint(even * top, out=out, casting="unsafe")

        made["scikit_image"] = scikit_image
    return made


def check(case: Case, name: str, variant: Variant, pixels: Pixels) -> None:
    """Raises ValueError unless the variant computes what the reference does, within one stored value.

    OpenCV gives every value of a uint16 a bin, so its truth there is the reference with 65536 bins (and its results are
    spread over all of them). scikit-image stretches the range first and hands out the rest in another way: it must
    agree within a tenth of the range on average.
    """
    out = np.zeros_like(pixels)
    variant(pixels, out)
    of_opencv = name == "opencv" and case.bits > 8
    bits, bins = (16, 65536) if of_opencv else (case.bits, None)
    off = np.abs(out.astype(np.int64) - clahe(pixels, bits, (TILES, TILES), CLIP_LIMIT, bins))
    if name == "scikit_image":
        if not off.mean() <= 0.1 * (1 << case.bits):
            raise ValueError(f"{case.name} {name}: off by {off.mean():.4g} on average")
    elif not off.max() <= 1:
        raise ValueError(f"{case.name} {name}: off by {off.max()}, expected at most 1")


def run_case(case: Case, rounds: int) -> dict[str, measure.Samples]:
    """Check, then time all variants and the limit in turn. The limit: read the frame once, write it once."""
    rng = np.random.default_rng(7)
    frames = [angiogram_like(rng, case.frames) for _ in range(FRAMES)]
    out = np.empty_like(frames[0])
    calls: dict[str, Callable[[int], Any]] = {}
    for name, variant in variants(case).items():
        check(case, name, variant, frames[0])
        calls[name] = lambda number, variant=variant: variant(frames[number % FRAMES], out)
    return measure.interleave_with_limit(calls, rounds=rounds, read_bytes=out.nbytes, write_bytes=out.nbytes)


def run(rounds: int) -> Results:
    return {case.name: run_case(case, rounds) for case in CASES}


def figures(results: Results) -> dict[str, float]:
    """Ratios of medians: to OpenCV and to the limit."""
    ratios: dict[str, float] = {}
    for name, samples in results.items():
        for other in ("opencv", "limit"):
            ratios[f"clahe_{name}_vs_{other}"] = samples["cathrt"].median_ms / samples[other].median_ms
    return ratios
