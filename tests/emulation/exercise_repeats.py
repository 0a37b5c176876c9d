"""The repeat test's CUDA kernels against reference and CPU twin: what the emulation and a GPU both run.

Not for: how they are run (tests/emulation/stream.py; `make gpu-check`).
"""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels import _kernels
from cathrt.kernels.cuda.repeats import CompareFrames, comparison_from, values
from cathrt.kernels.cuda.stream import DeviceMemory, Stream
from cathrt.kernels.reference import repeats as reference


def placed(stream: Stream, frame: NDArray[Any], pitch: int, offset: int) -> DeviceMemory:
    """`frame` on the device with rows `pitch` bytes apart, `offset` bytes into memory that ends with its last pixel.

    What lies between the rows is junk, so that reading it shows.
    """
    row = frame.shape[1] * frame.itemsize
    nbytes = offset + pitch * (len(frame) - 1) + row
    host = np.random.default_rng(pitch).integers(1, 255, nbytes, dtype=np.uint8)
    for y, pixels in enumerate(frame):
        start = offset + y * pitch
        host[start : start + row] = np.frombuffer(pixels.tobytes(), dtype=np.uint8)
    memory = stream.allocate(nbytes)
    stream.upload(host, memory)
    stream.synchronise()
    return memory.part(offset, nbytes - offset)


def exercise(
    stream: Stream, shape: tuple[int, int], bits: int, dtype: Any, *, limit: int, padding: int = 0, offset: int = 0
) -> None:
    """One pair of frames that differ here and there, every bit set at random. padding: bytes after each row."""
    rng = np.random.default_rng(shape[0] * 65536 + shape[1])
    previous = rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)
    current = np.where(rng.random(shape) < 0.3, previous ^ rng.integers(0, 8, shape, dtype=dtype), previous)
    pitch = shape[1] * previous.itemsize + padding
    compare = CompareFrames(stream, *shape, bits, wide=dtype == np.uint16, limit=limit)
    on_device = [placed(stream, frame, pitch, offset) for frame in (previous, current)]
    found = values()
    for _ in range(2):  # the second call starts from the first one's result
        compare(on_device[0], pitch, on_device[1], pitch)
    stream.download(compare.result, found)
    stream.synchronise()
    expected = reference.compare_frames(previous, current, bits, limit)
    assert comparison_from(found) == expected, f"{shape} {bits}: {comparison_from(found)}, expected {expected}"
    assert _kernels.compare_frames(previous, current, bits, limit) == astuple(expected)


def small(stream: Stream) -> None:
    """Rows beyond one block and rows short of it; rows that end within a vector, a word, and a warp's stretch."""
    exercise(stream, (1, 1), 8, np.uint8, limit=2)
    exercise(stream, (9, 13), 12, np.uint16, limit=2, padding=6)  # rows of 32 bytes: vectors and a tail
    exercise(stream, (3, 21), 8, np.uint8, limit=1, padding=3)  # rows of 24 bytes
    exercise(stream, (2, 19), 16, np.uint16, limit=900)  # odd rows: no vectors
    exercise(stream, (2, 16), 10, np.uint16, limit=0, offset=2)  # vectors but for where the frame begins
    exercise(stream, (2, 267), 16, np.uint16, limit=65535, padding=10)  # lanes come round


def full_frame(stream: Stream) -> None:
    exercise(stream, (512, 512), 8, np.uint8, limit=2)
    exercise(stream, (1024, 1024), 12, np.uint16, limit=2)
