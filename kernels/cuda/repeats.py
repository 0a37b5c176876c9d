"""Launches of the repeat test (kernels/src/repeats.cu): two frames on the device in, five integers on the device out.

Not for: the decision, which is the same for CPU and GPU (kernels/reference/repeats.py, repeat_of).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels.cuda.frames import DeviceFrame, check_frame
from cathrt.kernels.cuda.stream import Stream
from cathrt.kernels.reference.repeats import Comparison

_ROWS_A_BLOCK = 8  # a warp each
_FIELDS = 5


class DeviceRepeats:
    """Compares frames of one shape (rows, columns); allocates once, a call only launches.

    limit: see reference.repeats.Comparison.   result: uint64 on the device, its fields in order, of the last call.
    Raises ValueError where bits_stored or limit are out of range.
    """

    def __init__(self, stream: Stream, shape: tuple[int, int], bits_stored: int, limit: int) -> None:
        if not 1 <= bits_stored <= 16:
            raise ValueError(f"bits_stored is {bits_stored}: expected 1 to 16")
        if not 0 <= limit <= 65535:
            raise ValueError(f"limit is {limit}: expected 0 to 65535 stored values")
        self._stream = stream
        self._shape = shape
        self._bits_stored = bits_stored
        self._limit = np.uint32(limit)
        self.result = stream.allocate(8 * _FIELDS)

    def __call__(self, previous: DeviceFrame, current: DeviceFrame) -> None:
        """Fill `result`. A run's first frame has no previous one: compare it with itself, for its content hash.

        Raises ValueError where a frame is not of the plan's shape, or the two differ in type.
        """
        for frame in (previous, current):
            check_frame(frame, self._shape, self._bits_stored)
        if previous.dtype != current.dtype:
            raise ValueError(f"previous is {previous.dtype}, current is {current.dtype}: expected one type")
        rows, columns = self._shape
        self._stream.zero(self.result)
        self._stream.launch(
            "compare_frames_u8_kernel" if current.dtype == np.uint8 else "compare_frames_u16_kernel",
            (-(-rows // _ROWS_A_BLOCK), 1, 1),
            (32, _ROWS_A_BLOCK, 1),
            previous.memory,
            np.int64(previous.pitch),
            current.memory,
            np.int64(current.pitch),
            np.int32(rows),
            np.int32(columns),
            np.uint32((1 << self._bits_stored) - 1),
            self._limit,
            self.result,
        )


def downloaded() -> NDArray[np.uint64]:
    """Where to download a result."""
    return np.empty(_FIELDS, dtype=np.uint64)


def comparison_from(result: NDArray[np.uint64]) -> Comparison:
    """What a downloaded result says."""
    return Comparison(*(int(value) for value in result))
