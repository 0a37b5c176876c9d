"""Launches the motion-adaptive temporal filter (kernels/src/temporal.cu); meaning: kernels/reference/temporal.py.

Not for choosing settings or when to reset. Everything is allocated when the filter is made.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from cathrt.kernels._kernels import TemporalSettings
from cathrt.kernels.cuda.frame_memory import require_apart, require_frame, require_side, stored_dtype
from cathrt.kernels.cuda.stream import DeviceMemory, Stream

TILE_COLUMNS, TILE_ROWS = 128, 8  # of one block; a thread filters four pixels of a row


class TemporalFilter:
    """The state of one run on the device: frames in, frames with less noise out. Not thread-safe."""

    def __init__(
        self,
        stream: Stream,
        shape: tuple[int, int],
        dtype: DTypeLike,
        bits_stored: int,
        settings: TemporalSettings,
    ) -> None:
        """shape: (rows, columns). dtype: of pixels and output, uint8 or uint16. Raises ValueError, CudaError."""
        rows, columns = shape
        require_side("rows", rows)
        require_side("columns", columns)
        self._stream = stream
        self._shape = shape
        self._dtype = stored_dtype(dtype, bits_stored)
        self._kernel = f"temporal_u{8 * self._dtype.itemsize}_kernel"
        self._grid = (-(-columns // TILE_COLUMNS), -(-rows // TILE_ROWS), 1)
        self._mask = np.uint32((1 << bits_stored) - 1)
        self._settings = settings
        # Two, because blocks read their neighbours' old state while others write the new one. Any finite number will do
        # to begin with: the first frame takes nothing of it.
        self._state = stream.allocate(4 * rows * columns)
        self._next_state = stream.allocate(4 * rows * columns)
        stream.zero(self._state)
        self._begins = True

    def __call__(self, pixels: DeviceMemory, pitch: int, out: DeviceMemory, out_pitch: int) -> None:
        """Filter pixels into out; the first frame comes out as it is. Pitches: bytes from one row to the next.

        Raises ValueError where a frame does not fit its memory, or the two share bytes.
        """
        require_frame("pixels", pixels, pitch, self._shape, self._dtype)
        require_frame("out", out, out_pitch, self._shape, self._dtype)
        require_apart(pixels, out)
        rows, columns = self._shape
        settings = self._settings
        self._stream.launch(
            self._kernel,
            self._grid,
            (32, TILE_ROWS, 1),
            pixels,
            np.int64(pitch),
            self._state,
            self._next_state,
            out,
            np.int64(out_pitch),
            np.int32(rows),
            np.int32(columns),
            self._mask,
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
