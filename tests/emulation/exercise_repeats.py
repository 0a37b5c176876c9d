"""The repeat test's CUDA kernels against reference and CPU twin: what the emulation and a GPU both run.

Not for: how they are run (tests/emulation/stream.py; `make gpu-check`).
"""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import numpy as np

from cathrt.kernels import _kernels
from cathrt.kernels.cuda.repeats import DeviceRepeats, comparison_from, downloaded
from cathrt.kernels.cuda.stream import Stream
from cathrt.kernels.reference import repeats as reference
from tests.emulation.placed import placed


def exercise(
    stream: Stream,
    shape: tuple[int, int],
    bits: int,
    dtype: Any,
    *,
    limit: int,
    gap: int = 0,
    offsets: tuple[int, int] = (0, 0),
) -> None:
    """One pair of frames that differ here and there, every bit set at random.

    gap: bytes between rows.   offsets: bytes that the previous frame and the current one are off alignment.
    """
    rng = np.random.default_rng(shape[0] * 65536 + shape[1])
    previous = rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)
    current = np.where(rng.random(shape) < 0.3, previous ^ rng.integers(0, 8, shape, dtype=dtype), previous)
    compare = DeviceRepeats(stream, shape, bits, limit)
    before = placed(stream, previous, gap=gap, offset=offsets[0])
    now = placed(stream, current, gap=gap, offset=offsets[1], bottom_up=gap == 6)
    for _ in range(2):  # the second call starts from the first one's result
        compare(before, now)
    found = downloaded()
    stream.download(compare.result, found)
    stream.synchronise()
    expected = reference.compare_frames(previous, current, bits, limit)
    assert comparison_from(found) == expected, f"{shape} {bits}: {comparison_from(found)}, expected {expected}"
    assert _kernels.compare_frames(previous, current, bits, limit) == astuple(expected)


def small(stream: Stream) -> None:
    """Rows beyond one block and rows short of it; rows that end within a vector, a word, and a warp's stretch."""
    exercise(stream, (1, 1), 8, np.uint8, limit=2)
    exercise(stream, (9, 13), 12, np.uint16, limit=2, gap=6)  # rows of 32 bytes: vectors and a tail
    exercise(stream, (3, 21), 8, np.uint8, limit=1, gap=3)  # rows of 24 bytes
    exercise(stream, (2, 19), 16, np.uint16, limit=900)  # odd rows: no vectors
    for offsets in ((2, 2), (2, 0), (0, 2)):  # vectors but for where a frame begins
        exercise(stream, (2, 16), 10, np.uint16, limit=0, offsets=offsets)
    exercise(stream, (2, 267), 16, np.uint16, limit=65535, gap=10)  # lanes come round
    exercise(stream, (5, 52500), 8, np.uint8, limit=2)  # more words than 16 bits can number


def full_frame(stream: Stream) -> None:
    exercise(stream, (512, 512), 8, np.uint8, limit=2)
    exercise(stream, (1024, 1024), 12, np.uint16, limit=2)
