"""Row and column sums of one frame, from which collimator edges are found: ours beside OpenCV, NumPy, numba, the limit.

Each is compared with kernels/reference/collimator.py before it is timed. cathrt_edges also finds the edges, which is
the same host code for all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from benchmarks import measure
from benchmarks.kernel_ops.ingest import FRAMES, Case, Pixels, Results, angiogram_like
from cathrt.kernels._kernels import profile_sums
from cathrt.kernels.reference import collimator as reference

CASES = (
    Case("512_u8", 512, 8, None),
    Case("1024_u8", 1024, 8, None),
    Case("1024_u16", 1024, 12, None),
)

Sums = tuple[NDArray[Any], NDArray[Any]]  # rows, columns
Variant = Callable[[Pixels], Sums]


@numba.njit(cache=False)
def _numba_sums(pixels: Pixels, row_sums: NDArray[np.uint32], column_sums: NDArray[np.uint32]) -> None:
    column_sums[:] = 0
    for y in range(pixels.shape[0]):
        total = np.uint32(0)
        for x in range(pixels.shape[1]):
            value = np.uint32(pixels[y, x])
            total += value
            column_sums[x] += value
        row_sums[y] = total


def variants(case: Case) -> dict[str, Variant]:
    row_sums, column_sums = (np.empty(case.side, dtype=np.uint32) for _ in range(2))

    def ours(pixels: Pixels) -> Sums:
        profile_sums(pixels, case.bits, row_sums, column_sums)
        return row_sums, column_sums

    def ours_with_edges(pixels: Pixels) -> Sums:
        sums = ours(pixels)
        reference.exposed_rectangle(*sums, case.bits)
        return sums

    def opencv(pixels: Pixels) -> Sums:
        # Of uint16 it sums into floating point alone; float32 is exact for these sizes.
        kind = cv2.CV_32S if case.bits == 8 else cv2.CV_32F
        rows, columns = (cv2.reduce(pixels, axis, cv2.REDUCE_SUM, dtype=kind) for axis in (1, 0))
        return rows.ravel(), columns.ravel()

    def numpy_sums(pixels: Pixels) -> Sums:
        return pixels.sum(axis=1, dtype=np.uint32), pixels.sum(axis=0, dtype=np.uint32)

    def by_numba(pixels: Pixels) -> Sums:
        _numba_sums(pixels, row_sums, column_sums)
        return row_sums, column_sums

    return {
        "cathrt": ours,
        "cathrt_edges": ours_with_edges,
        "opencv": opencv,
        "numpy": numpy_sums,
        "numba": by_numba,
    }


def check(case: Case, name: str, variant: Variant, pixels: Pixels) -> None:
    """Raises ValueError unless the sums are exactly the reference's."""
    for found, expected in zip(variant(pixels), reference.profile_sums(pixels, case.bits), strict=True):
        if not np.array_equal(found, expected):
            raise ValueError(f"{case.name} {name}: off by {np.abs(found - expected.astype(float)).max()}, expected 0")


def run_case(case: Case, rounds: int) -> dict[str, measure.Samples]:
    """Check, then time all variants and the limit in turn. The limit: read the frame once."""
    rng = np.random.default_rng(7)
    frames = [angiogram_like(rng, case) for _ in range(FRAMES)]
    calls: dict[str, Callable[[int], Any]] = {}
    for name, variant in variants(case).items():
        check(case, name, variant, frames[0])
        calls[name] = lambda number, variant=variant: variant(frames[number % FRAMES])
    return measure.interleave_with_limit(calls, rounds=rounds, read_bytes=frames[0].nbytes, write_bytes=0)


def run(rounds: int) -> Results:
    return {case.name: run_case(case, rounds) for case in CASES}


def figures(results: Results) -> dict[str, float]:
    """Ratios of medians, sums alone: to OpenCV and to the limit. collimator_1024: of uint16."""
    ratios: dict[str, float] = {}
    for name, samples in results.items():
        for other in ("opencv", "limit"):
            key = f"collimator_{name.removesuffix('_u16')}_vs_{other}"
            ratios[key] = samples["cathrt"].median_ms / samples[other].median_ms
    return ratios
