"""Frames on a device, rows a pitch apart, in memory of exactly the size they need.

A kernel that steps past the last pixel leaves that memory, and one that writes between rows is seen. Not for
launching.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels.cuda.stream import DeviceMemory, Stream

FILLER = 0xA5  # of bytes no kernel should write


def _rows(memory: NDArray[np.uint8], shape: tuple[int, int], dtype: Any, pitch: int) -> NDArray[Any]:
    size = np.dtype(dtype).itemsize
    return np.ndarray(shape, dtype, memory, strides=(pitch, size))


def _nbytes(shape: tuple[int, int], dtype: Any, pitch: int) -> int:
    return (shape[0] - 1) * pitch + shape[1] * int(np.dtype(dtype).itemsize)


def upload_frame(stream: Stream, frame: NDArray[Any], pitch: int, skew: int = 0) -> DeviceMemory:
    """A copy of the frame (H, W) on the device, `skew` bytes off the alignment that memory has there."""
    data = np.full(_nbytes(frame.shape, frame.dtype, pitch), FILLER, np.uint8)
    _rows(data, frame.shape, frame.dtype, pitch)[...] = frame
    memory = stream.allocate(data.nbytes + skew).part(skew, data.nbytes)
    stream.upload(data, memory)
    stream.synchronise()
    return memory


def empty_frame(stream: Stream, shape: tuple[int, int], dtype: Any, pitch: int) -> DeviceMemory:
    """Memory for a frame, filled with FILLER."""
    return upload_frame(stream, np.full(shape, FILLER * 0x0101, np.uint16).astype(dtype), pitch)


def download_frame(stream: Stream, memory: DeviceMemory, shape: tuple[int, int], dtype: Any, pitch: int) -> Any:
    """The frame (H, W). Raises AssertionError where a byte between its rows is no longer FILLER."""
    data = np.empty(memory.nbytes, np.uint8)
    stream.download(memory, data)
    stream.synchronise()
    frame = _rows(data, shape, dtype, pitch).copy()
    _rows(data, shape, dtype, pitch)[...] = np.full(shape, FILLER * 0x0101, np.uint16).astype(dtype)
    assert (data == FILLER).all(), "written between the rows"
    return frame
