"""Launches of the repeat test (kernels/src/repeats.cu): two frames on the device in, five integers on the device out.

Not for: the decision, which is the same for CPU and GPU (kernels/reference/repeats.py, repeat_of).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels.cuda.stream import DeviceMemory, Stream
from cathrt.kernels.reference.repeats import Comparison

_ROWS_A_BLOCK = 8  # a warp each


class CompareFrames:
    """Compares frames of one shape; allocates once, a call only launches.

    wide: uint16 stored values, else uint8.   limit: see reference.repeats.Comparison.
    result: five uint64 on the device after a call, the fields of Comparison in order; download them into `values()`.
    Raises ValueError where rows, columns, bits_stored or limit are out of range.
    """

    def __init__(self, stream: Stream, rows: int, columns: int, bits_stored: int, *, wide: bool, limit: int) -> None:
        if not (1 <= rows <= 65535 and 1 <= columns <= 65535):
            raise ValueError(f"frame is {rows} x {columns}: expected sides of 1 to 65535")
        if not 1 <= bits_stored <= (16 if wide else 8):
            raise ValueError(f"bits_stored is {bits_stored}: expected 1 to {16 if wide else 8}, as wide is {wide}")
        if not 0 <= limit <= 65535:
            raise ValueError(f"limit is {limit}: expected 0 to 65535 stored values")
        self._stream = stream
        self._kernel = "compare_frames_u16_kernel" if wide else "compare_frames_u8_kernel"
        self._row_bytes = columns * (2 if wide else 1)
        self._rows = rows
        self._grid = (-(-rows // _ROWS_A_BLOCK), 1, 1)
        self._tail = (np.int32(rows), np.int32(columns), np.uint32((1 << bits_stored) - 1), np.uint32(limit))
        self._wide = wide
        self.result = stream.allocate(5 * 8)

    def __call__(self, previous: DeviceMemory, previous_pitch: int, current: DeviceMemory, current_pitch: int) -> None:
        """Fill `result`. pitch: bytes from one row to the next. Of a run's first frame, compare it with itself.

        Raises ValueError where a frame does not fit its memory, or uint16 rows begin at odd addresses.
        """
        for name, memory, pitch in (("previous", previous, previous_pitch), ("current", current, current_pitch)):
            needed = pitch * (self._rows - 1) + self._row_bytes
            if pitch < self._row_bytes or needed > memory.nbytes:
                raise ValueError(
                    f"{name} has {memory.nbytes} bytes and a pitch of {pitch}: expected a pitch of at least "
                    f"{self._row_bytes} and {needed} bytes"
                )
            if self._wide and (memory.address % 2 or pitch % 2):
                raise ValueError(f"{name} is at {memory.address:#x} with a pitch of {pitch}: expected even numbers")
        self._stream.zero(self.result)
        self._stream.launch(
            self._kernel,
            self._grid,
            (32, _ROWS_A_BLOCK, 1),
            previous,
            np.int64(previous_pitch),
            current,
            np.int64(current_pitch),
            *self._tail,
            self.result,
        )


def values() -> NDArray[np.uint64]:
    """Where to download `result`."""
    return np.empty(5, dtype=np.uint64)


def comparison_from(downloaded: NDArray[np.uint64]) -> Comparison:
    """What the downloaded `result` says."""
    return Comparison(*(int(value) for value in downloaded))
