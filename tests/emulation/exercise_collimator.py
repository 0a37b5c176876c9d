"""Launches the row and column sums at awkward sizes; they must be exactly those of the reference and the CPU twin."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from cathrt.kernels._kernels import profile_sums as profile_sums_on_cpu
from cathrt.kernels.cuda.collimator import ProfileSums
from cathrt.kernels.cuda.stream import Stream
from cathrt.kernels.reference.collimator import profile_sums


class Case(NamedTuple):
    """gap: pixels between the end of a row and the next one, full of something else."""

    shape: tuple[int, int]
    dtype: Any
    bits: int
    gap: int = 0


SMALL = (
    Case((67, 134), np.uint16, 12, gap=2),  # vector loads but for the last two columns; several blocks either way
    Case((66, 131), np.uint8, 8, gap=1),
    Case((131, 41), np.uint16, 16),  # rows too odd for vector loads; blocks that follow each other share columns
    Case((1, 1), np.uint8, 5),
)
FULL = (Case((512, 512), np.uint8, 8), Case((1024, 1024), np.uint16, 12))


def small(stream: Stream) -> None:
    """Raises AssertionError where a result is wrong."""
    for seed, case in enumerate(SMALL):
        check(stream, case, seed)


def full_frame(stream: Stream) -> None:
    """Raises AssertionError where a result is wrong."""
    for seed, case in enumerate(FULL):
        check(stream, case, seed)


def check(stream: Stream, case: Case, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = case.shape
    whole = rng.integers(0, np.iinfo(case.dtype).max, (rows, columns + case.gap), dtype=case.dtype, endpoint=True)
    pixels = whole[:, :columns]
    stored = whole.ravel()[: whole.size - case.gap]
    memory = stream.allocate(stored.nbytes)
    stream.upload(stored, memory)
    plan = ProfileSums(stream, case.shape, case.dtype, case.bits)
    downloaded = np.zeros(rows + columns, dtype=np.uint32)
    for _ in range(2):  # the second must not build on the first
        plan(memory, whole.strides[0])
    stream.download(plan.sums, downloaded)
    stream.synchronise()

    row_sums, column_sums = plan.split(downloaded)
    expected_rows, expected_columns = profile_sums(pixels, case.bits)
    np.testing.assert_array_equal(row_sums, expected_rows, f"{case}")
    np.testing.assert_array_equal(column_sums, expected_columns, f"{case}")
    cpu_rows, cpu_columns = np.zeros(rows, dtype=np.uint32), np.zeros(columns, dtype=np.uint32)
    profile_sums_on_cpu(pixels, case.bits, cpu_rows, cpu_columns)
    np.testing.assert_array_equal(downloaded, np.concatenate([cpu_rows, cpu_columns]), f"{case}: CPU and CUDA differ")
