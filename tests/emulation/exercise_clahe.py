"""Launches the equalisation kernels at awkward sizes and compares with reference and CPU twin.

Tolerance 1 stored value: kernels/reference/clahe.py rounds in float64, the twins in float32, which tips a value that
lies within a hundredth of the middle between two. None where the sides of a tile are powers of two and the depth is at
most 8 bits: then float32 holds everything exactly, and ties go to the even value.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels._kernels import Clahe as ClaheOnCpu
from cathrt.kernels.cuda.clahe import DeviceClahe
from cathrt.kernels.cuda.stream import Stream
from cathrt.kernels.reference.clahe import clahe
from tests.emulation.placed import fetched, placed


class Case(NamedTuple):
    """gap, out_gap: pixels between the end of a row and the next one. bottom_up: row 0 is the last in memory.

    exact: not the slightest difference is allowed.
    """

    shape: tuple[int, int]
    dtype: Any
    bits: int
    tiles: tuple[int, int]
    clip_limit: float
    gap: int = 0
    out_gap: int = 0
    bottom_up: bool = False
    exact: bool = False


SMALL = (
    Case((16, 36), np.uint16, 10, (2, 2), 2.0),  # vector loads; cells that share a group of four
    Case((13, 22), np.uint16, 12, (2, 3), 40.0, gap=1, out_gap=2),  # several turns of the scan; mirrored; scalar
    Case((9, 20), np.uint8, 8, (2, 3), 3.0),  # fewer bins than threads, mirrored, vector loads
    Case((5, 7), np.uint8, 5, (1, 1), 0.0, gap=1),
    Case((6, 16), np.uint16, 12, (2, 2), 2.0, bottom_up=True),
    Case((1, 1), np.uint8, 8, (3, 2), 1.0),
    Case((1, 9), np.uint16, 16, (2, 4), 1.0),
    # Where counts are cut at 1, what is mirrored is cut off again: it shows where they are not.
    Case((13, 22), np.uint16, 12, (2, 3), 0.0),
    Case((9, 20), np.uint8, 5, (2, 3), 2.0),
    Case((2, 5), np.uint8, 8, (8, 4), 0.0),  # mirrored several times over
    Case((2, 3), np.uint16, 14, (1, 2), 0.0),
    Case((16, 32), np.uint8, 8, (2, 4), 0.0, exact=True),
    Case((32, 16), np.uint16, 4, (4, 2), 1.5, exact=True),
    Case((32, 32), np.uint8, 2, (8, 8), 1.0, exact=True),  # all but one bin get one more
    Case((32, 32), np.uint8, 1, (8, 8), 0.0, exact=True),  # half of a tile is 0.5, and so 0
    Case((9, 19), np.uint8, 8, (2, 1), 3.0, gap=1, out_gap=1),  # aligned, but no multiple of four
)
FULL = (Case((512, 512), np.uint8, 8, (8, 8), 2.0), Case((1024, 1024), np.uint16, 12, (8, 8), 2.0))


def small(stream: Stream) -> None:
    """Raises AssertionError where a result is wrong."""
    for seed, case in enumerate(SMALL):
        check(stream, case, seed)


def full_frame(stream: Stream) -> None:
    """Raises AssertionError where a result is wrong."""
    for seed, case in enumerate(FULL):
        check(stream, case, seed)


def check(stream: Stream, case: Case, seed: int) -> None:
    pixels = frame_of(case, np.random.default_rng(seed))
    frame = placed(stream, pixels, gap=case.gap * pixels.itemsize, bottom_up=case.bottom_up)
    out = placed(stream, np.zeros_like(pixels), gap=case.out_gap * pixels.itemsize)
    DeviceClahe(stream, case.shape, case.bits, case.tiles, case.clip_limit)(frame, out)
    equalised = fetched(stream, out).astype(int)
    allowed = 0 if case.exact else 1
    off = np.abs(equalised - clahe(pixels, case.bits, case.tiles, case.clip_limit))
    assert off.max() <= allowed, f"{case}: off by {off.max()}"
    on_cpu = np.zeros_like(pixels)
    ClaheOnCpu(case.shape, case.bits, case.tiles, case.clip_limit)(pixels, on_cpu)
    assert np.abs(equalised - on_cpu).max() <= allowed, f"{case}: CPU and CUDA differ"


def frame_of(case: Case, rng: np.random.Generator) -> NDArray[Any]:
    """Darker to the left, a few values far more often than others, dirty bits above bits_stored."""
    top = (1 << case.bits) - 1
    y, x = np.mgrid[: case.shape[0], : case.shape[1]]
    level = 0.2 + 0.5 * x / case.shape[1] + 0.1 * np.sin(y) + rng.normal(0, 0.1, case.shape)
    stored = np.where(rng.random(case.shape) < 0.3, 0.5, level).clip(0, 1) * top
    dirty = rng.integers(0, np.iinfo(case.dtype).max, case.shape, endpoint=True) & ~top
    return (np.rint(stored).astype(int) | dirty).astype(case.dtype)
