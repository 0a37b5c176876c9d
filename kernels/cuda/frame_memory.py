"""What every op that takes or fills whole frames checks of the device memory it is handed: size, pitch, alignment.

Not for launching, and not for what is in the frames.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from cathrt.kernels.cuda.stream import DeviceMemory


def require_side(name: str, side: int) -> None:
    """Raises ValueError unless side is what DICOM's Rows and Columns can hold."""
    if not 1 <= side <= 65535:
        raise ValueError(f"{name} is {side}: expected 1 to 65535")


def stored_dtype(dtype: DTypeLike, bits_stored: int) -> np.dtype[Any]:
    """The type of a frame's pixels. Raises ValueError unless it is uint8 or uint16 and holds bits_stored."""
    stored = np.dtype(dtype)
    if stored not in (np.uint8, np.uint16):
        raise ValueError(f"pixels are {stored}: expected uint8 or uint16")
    if not 1 <= bits_stored <= 8 * stored.itemsize:
        raise ValueError(f"bits_stored is {bits_stored}: expected 1 to {8 * stored.itemsize} for {stored} pixels")
    return stored


def require_frame(name: str, memory: DeviceMemory, pitch: int, shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
    """Raises ValueError unless a frame of this shape, its rows `pitch` bytes apart, lies within memory, aligned."""
    rows, columns = shape
    size = dtype.itemsize
    if pitch < columns * size or pitch % size or memory.address % size:
        raise ValueError(
            f"{name} starts at {memory.address:#x}, rows {pitch} bytes apart: expected multiples of {size} and "
            f"at least {columns * size}"
        )
    needed = (rows - 1) * pitch + columns * size
    if memory.nbytes < needed:
        raise ValueError(f"{name} has {memory.nbytes} bytes: expected {needed} for {rows} rows {pitch} bytes apart")


def require_apart(pixels: DeviceMemory, out: DeviceMemory) -> None:
    """Raises ValueError where the two share bytes: pixels are read again after others of out were written."""
    if pixels.address < out.address + out.nbytes and out.address < pixels.address + pixels.nbytes:
        raise ValueError("out shares memory with pixels: hand over memory of its own")
