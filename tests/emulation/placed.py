"""A frame in device memory of exactly the bytes it needs, at any pitch and offset: every read beyond it is a fault.

Not for: what is computed from it (exercise_<op>.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels.cuda.frames import DeviceFrame
from cathrt.kernels.cuda.stream import Stream
from cathrt.kernels.cuda.tables import uploaded


def placed(
    stream: Stream, pixels: NDArray[Any], *, gap: int = 0, offset: int = 0, bottom_up: bool = False
) -> DeviceFrame:
    """Upload `pixels` (rows, columns).

    gap: bytes between rows.   offset: bytes before the first.   bottom_up: row 0 is the last in memory.
    """
    rows, columns = pixels.shape
    row = columns * pixels.itemsize
    pitch = row + gap
    # What lies between rows is not zero, so that a read of it shows.
    image = np.full(offset + (rows - 1) * pitch + row, 0xA5, dtype=np.uint8)
    for y, line in enumerate(pixels[::-1] if bottom_up else pixels):
        start = offset + y * pitch
        image[start : start + row] = np.ascontiguousarray(line).view(np.uint8)
    memory = uploaded(stream, image)
    first = memory.address + offset + ((rows - 1) * pitch if bottom_up else 0)
    return DeviceFrame(first, rows, columns, -pitch if bottom_up else pitch, pixels.dtype, memory)
