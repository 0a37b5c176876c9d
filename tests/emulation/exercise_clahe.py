"""Launches the equalisation kernels at awkward sizes and compares with reference and CPU twin.

Tolerance 1 stored value: kernels/reference/clahe.py rounds in float64, the twins in float32, which tips a value that
lies within a hundredth of the middle between two.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels._kernels import Clahe as ClaheOnCpu
from cathrt.kernels.cuda.clahe import Clahe
from cathrt.kernels.cuda.stream import Stream
from cathrt.kernels.reference.clahe import clahe


class Case(NamedTuple):
    """gap, out_gap: pixels between the end of a row and the next one."""

    shape: tuple[int, int]
    dtype: Any
    bits: int
    tiles: tuple[int, int]
    clip_limit: float
    gap: int = 0
    out_gap: int = 0


SMALL = (
    Case((16, 36), np.uint16, 10, (2, 2), 2.0),  # vector loads; cells that share a group of four
    Case((13, 22), np.uint16, 12, (2, 3), 40.0, gap=1, out_gap=2),  # several turns of the scan; mirrored; scalar
    Case((9, 20), np.uint8, 8, (2, 3), 3.0),  # fewer bins than threads, mirrored, vector loads
    Case((5, 7), np.uint8, 5, (1, 1), 0.0, gap=1),
    Case((1, 1), np.uint8, 8, (3, 2), 1.0),
    Case((1, 9), np.uint16, 16, (2, 4), 1.0),
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
    padded = np.pad(pixels, [(0, 0), (0, case.gap)]).ravel()[: pixels.size + (case.shape[0] - 1) * case.gap]
    out = np.zeros(pixels.size + (case.shape[0] - 1) * case.out_gap, case.dtype)
    memory, out_memory = stream.allocate(padded.nbytes), stream.allocate(out.nbytes)
    stream.upload(padded, memory)
    stream.upload(out, out_memory)
    pitch, out_pitch = ((case.shape[1] + gap) * pixels.itemsize for gap in (case.gap, case.out_gap))
    plan = Clahe(stream, case.shape, case.dtype, case.bits, case.tiles, case.clip_limit)
    plan(memory, pitch, out_memory, out_pitch)
    got = np.zeros_like(out)
    stream.download(out_memory, got)
    stream.synchronise()

    rows = np.pad(got, (0, case.out_gap)).reshape(case.shape[0], -1)
    assert not rows[:, case.shape[1] :].any(), f"{case}: wrote between the rows"
    equalised = rows[:, : case.shape[1]].astype(int)
    off = np.abs(equalised - clahe(pixels, case.bits, case.tiles, case.clip_limit))
    assert off.max() <= 1, f"{case}: off by {off.max()}"
    on_cpu = np.zeros_like(pixels)
    ClaheOnCpu(case.shape, case.bits, case.tiles, case.clip_limit)(pixels, on_cpu)
    assert np.abs(equalised - on_cpu).max() <= 1, f"{case}: CPU and CUDA differ"


def frame_of(case: Case, rng: np.random.Generator) -> NDArray[Any]:
    """Darker to the left, a few values far more often than others, dirty bits above bits_stored."""
    top = (1 << case.bits) - 1
    y, x = np.mgrid[: case.shape[0], : case.shape[1]]
    level = 0.2 + 0.5 * x / case.shape[1] + 0.1 * np.sin(y) + rng.normal(0, 0.1, case.shape)
    stored = np.where(rng.random(case.shape) < 0.3, 0.5, level).clip(0, 1) * top
    dirty = rng.integers(0, np.iinfo(case.dtype).max, case.shape, endpoint=True) & ~top
    return (stored.astype(int) | dirty).astype(case.dtype)
