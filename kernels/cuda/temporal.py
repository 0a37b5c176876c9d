"""Launches the motion-adaptive temporal filter (kernels/src/temporal.cu); meaning: kernels/reference/temporal.py.

Not for choosing settings or when to reset. Everything is allocated when the filter is made.
"""

from __future__ import annotations

import numpy as np

from cathrt.kernels._kernels import TemporalSettings
from cathrt.kernels.cuda.frames import DeviceFrame, check_frame, check_out, check_plan
from cathrt.kernels.cuda.stream import DeviceMemory, Stream

_TILE = (8, 128)  # rows and columns of one block; a thread filters four pixels of a row
_WARP = 32


class DeviceTemporalFilter:
    """The state of one run on one stream: frames in, frames with less noise out. Not thread-safe.

    Arguments as those of the CPU twin, cathrt.kernels._kernels.TemporalFilter. Raises ValueError, CudaError.
    """

    def __init__(self, stream: Stream, shape: tuple[int, int], bits_stored: int, settings: TemporalSettings) -> None:
        check_plan(shape, bits_stored)
        rows, columns = shape
        self._stream = stream
        self._shape = shape
        self._bits_stored = bits_stored
        self._settings = settings
        # Two, because blocks read their neighbours' old state while others write the new one. Any finite number will do
        # to begin with: the first frame takes nothing of it.
        self._state = stream.allocate(4 * rows * columns)
        self._next_state = stream.allocate(4 * rows * columns)
        stream.zero(self._state)
        self._begins = True

    def __call__(self, frame: DeviceFrame, out: DeviceFrame) -> None:
        """Launch what filters `frame` into `out`; the first frame comes out as it is. Returns before it is done.

        frame: kept by the caller until it is done; where it has a ready_after, the caller has had our stream wait.
        out: of the frame's type.   Raises ValueError where they are not what the plan was made for, or share bytes.
        """
        check_frame(frame, self._shape, self._bits_stored)
        check_out(out, frame, frame.dtype)
        rows, columns = self._shape
        settings = self._settings
        self._stream.launch(
            "temporal_u8_kernel" if frame.dtype == np.uint8 else "temporal_u16_kernel",
            (-(-columns // _TILE[1]), -(-rows // _TILE[0]), 1),
            (_WARP, _TILE[0], 1),
            frame.memory,
            np.int64(frame.pitch),
            self._state,
            self._next_state,
            out.memory,
            np.int64(out.pitch),
            np.int32(rows),
            np.int32(columns),
            np.uint32((1 << self._bits_stored) - 1),
            np.float32(settings.noise_offset),
            np.float32(settings.noise_gain),
            np.float32(1.0 if self._begins else settings.still),
            np.float32(settings.threshold),
            np.float32(settings.slope),
            np.float32(settings.ghosting_limit),
        )
        self._state, self._next_state = self._next_state, self._state
        self._begins = False

    def reset(self) -> None:
        """Forget the frames so far: the next one comes out as it is."""
        self._begins = True

    @property
    def state(self) -> DeviceMemory:
        """The filtered frame before rounding: float32 (rows, columns). Valid until the next call."""
        return self._state
