"""The repeat test of two frames: ours beside NumPy, OpenCV and the memory limit, on frames that are equal.

Equal frames are the peers' and our exact test's slowest case: nothing can stop early. Not for: live frames, at whose
first pixels same_pixels already returns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import astuple
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import measure
from cathrt.kernels._kernels import compare_frames, same_pixels
from cathrt.kernels.reference import repeats as reference

FRAMES = 8  # pairs in turn, so that no variant finds its input in the second-level cache
BITS = 12

Pixels = NDArray[Any]
Results = Mapping[str, Mapping[str, measure.Samples]]  # by case, then by implementation


def compare(previous: Pixels, current: Pixels) -> tuple[int, ...]:
    """Content hash, differences and texture in one pass."""
    return compare_frames(previous, current, BITS, reference.HOLD_LIMIT)


def numpy_equal(previous: Pixels, current: Pixels) -> bool:
    return bool(np.array_equal(previous, current))


def opencv_norms(previous: Pixels, current: Pixels) -> bool:
    """Sum and maximum of the differences, without hash, count or texture."""
    return cv2.norm(previous, current, cv2.NORM_L1) == 0 and cv2.norm(previous, current, cv2.NORM_INF) == 0


def opencv_difference(previous: Pixels, current: Pixels) -> bool:
    return cv2.countNonZero(cv2.absdiff(previous, current)) == 0


EQUALITY: dict[str, Callable[[Pixels, Pixels], bool]] = {
    "cathrt_same_pixels": lambda previous, current: same_pixels(previous, current, BITS),
    "numpy_array_equal": numpy_equal,
    "opencv_norm": opencv_norms,
    "opencv_absdiff": opencv_difference,
}


def check(previous: Pixels) -> None:
    """Raise ValueError unless every variant tells equal frames from frames with one pixel changed."""
    same, other = previous.copy(), previous.copy()
    other[-1, -1] ^= 1
    for name, equal in EQUALITY.items():
        if not equal(previous, same) or equal(previous, other):
            raise ValueError(f"{name} does not tell equal frames from others")
    for current in (same, other):
        expected = astuple(reference.compare_frames(previous, current, BITS, reference.HOLD_LIMIT))
        if compare(previous, current) != expected:
            raise ValueError(f"cathrt: {compare(previous, current)}, expected {expected}")


def run(rounds: int) -> Results:
    """Check, then time all variants and the limit, one read of both frames, in turn."""
    rng = np.random.default_rng(11)
    frames = [rng.integers(0, 1 << BITS, (1024, 1024), dtype=np.uint16) for _ in range(FRAMES)]
    copies = [frame.copy() for frame in frames]
    check(frames[0])
    variants: dict[str, Callable[[Pixels, Pixels], object]] = {"cathrt": compare, **EQUALITY}
    calls: dict[str, Callable[[int], object]] = {
        name: lambda number, variant=variant: variant(frames[number % FRAMES], copies[number % FRAMES])
        for name, variant in variants.items()
    }
    return {
        "1024_u16_equal": measure.interleave_with_limit(
            calls, rounds=rounds, read_bytes=2 * frames[0].nbytes, write_bytes=0
        )
    }


def figures(results: Results) -> dict[str, float]:
    """Ratios of medians. vs_numpy: the exact test alone, which is all that np.array_equal does; vs_limit: all of it."""
    medians = {impl: samples.median_ms for impl, samples in results["1024_u16_equal"].items()}
    return {
        "repeats_1024_vs_numpy": medians["cathrt_same_pixels"] / medians["numpy_array_equal"],
        "repeats_1024_vs_opencv": medians["cathrt"] / medians["opencv_norm"],
        "repeats_1024_vs_limit": medians["cathrt"] / medians["limit"],
        "repeats_1024_same_pixels_vs_limit": medians["cathrt_same_pixels"] / medians["limit"],
    }
