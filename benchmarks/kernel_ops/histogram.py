"""Counts per stored value of one frame: ours beside numba, OpenCV, NumPy and one read of the frame.

Not for: percentiles, which the ingest finds without counting everything (ingest.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import measure
from benchmarks.kernel_ops.ingest import FRAMES, Case, Pixels, Results, count_by_numba, frames_of
from cathrt.kernels._kernels import histogram

CASES = (Case("512_u8", 512, 8), Case("1024_u16", 1024, 12))


def variants_of(case: Case) -> dict[str, Callable[[Pixels], NDArray[Any]]]:
    """By name; each takes a frame and gives (1 << bits,) counts."""
    entries = 1 << case.bits
    return {
        "cathrt": lambda pixels: histogram(pixels, case.bits),
        "numba": lambda pixels: count_by_numba(pixels, entries),
        "opencv_calcHist": lambda pixels: cv2.calcHist([pixels], [0], None, [entries], [0, entries]).ravel(),
        "numpy_bincount": lambda pixels: np.bincount(pixels.ravel(), minlength=entries),
    }


def run_case(case: Case, rounds: int) -> dict[str, measure.Samples]:
    """Check all against a sort, then time them and the limit in turn. Raises ValueError where a count is wrong."""
    frames = frames_of(case)
    values, counts = np.unique(frames[0], return_counts=True)
    expected = np.zeros(1 << case.bits)
    expected[values] = counts
    calls: dict[str, Callable[[int], object]] = {}
    for name, variant in variants_of(case).items():
        if not np.array_equal(variant(frames[0]), expected):
            raise ValueError(f"{case.name} {name}: other counts than a sort of the pixels")
        calls[name] = lambda number, variant=variant: variant(frames[number % FRAMES])
    return measure.interleave_with_limit(calls, rounds=rounds, read_bytes=frames[0].nbytes, write_bytes=0)


def run(rounds: int) -> Results:
    return {case.name: run_case(case, rounds) for case in CASES}


def figures(results: Results) -> dict[str, float]:
    """Ratios of medians to the fastest of the others."""
    ratios = {}
    for name, samples in results.items():
        medians = {impl: s.median_ms for impl, s in samples.items()}
        best = min(median for impl, median in medians.items() if impl not in ("cathrt", "limit"))
        ratios[f"histogram_{name}_vs_best_peer"] = medians["cathrt"] / best
    return ratios
