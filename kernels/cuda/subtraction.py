"""Launches mask subtraction (kernels/src/subtraction.cu); meaning: kernels/reference/subtraction.py.

Not for choosing mask frames or finding the shift. Everything is allocated when the subtraction is made.
"""

from __future__ import annotations

from math import floor, isfinite

import numpy as np
from numpy.typing import DTypeLike

from cathrt.kernels._kernels import SubtractionSettings
from cathrt.kernels.cuda.frame_memory import require_apart, require_frame, require_side, stored_dtype
from cathrt.kernels.cuda.stream import DeviceMemory, Stream

MAX_MASK_FRAMES = 256  # a float32 sum of so many 16-bit values is exact
BLOCK = (32, 8, 1)
PIXELS_PER_THREAD = 4  # of a row when a mask frame is added, of a column when it is subtracted
_OUT = np.dtype(np.uint16)


def _tap(shift: float, side: int) -> tuple[int, float, float]:
    """Where a pixel finds the shifted mask: pixels further on, the weight there and that of the next one."""
    first = floor(-shift)
    next_weight = -shift - first
    return min(max(first, -side), side - 1), 1.0 - next_weight, next_weight


class MaskSubtraction:
    """The mask of one run on the device: live frames in, subtracted ones out. Not thread-safe."""

    def __init__(
        self,
        stream: Stream,
        shape: tuple[int, int],
        dtype: DTypeLike,
        bits_stored: int,
        settings: SubtractionSettings,
    ) -> None:
        """shape: (rows, columns). dtype: of the pixels, uint8 or uint16. Raises ValueError, CudaError."""
        rows, columns = shape
        require_side("rows", rows)
        require_side("columns", columns)
        self._stream = stream
        self._shape = shape
        self._dtype = stored_dtype(dtype, bits_stored)
        self._stored_mask = np.uint32((1 << bits_stored) - 1)
        self._linear = np.int32(settings.pixel_intensity_relationship == "LIN")
        self._settings = settings
        self._mask_sum = stream.allocate(4 * rows * columns)
        self._mask_frames = 0
        self.reset()

    def add_mask_frame(self, pixels: DeviceMemory, pitch: int) -> None:
        """Take one more frame into the mean. pitch: bytes from one row to the next. Raises ValueError."""
        require_frame("pixels", pixels, pitch, self._shape, self._dtype)
        if self._mask_frames == MAX_MASK_FRAMES:
            raise ValueError(f"the mask has {MAX_MASK_FRAMES} frames already: expected no more; reset() begins anew")
        rows, columns = self._shape
        self._stream.launch(
            f"add_mask_frame_u{8 * self._dtype.itemsize}_kernel",
            (-(-columns // (BLOCK[0] * PIXELS_PER_THREAD)), -(-rows // BLOCK[1]), 1),
            BLOCK,
            pixels,
            np.int64(pitch),
            self._mask_sum,
            np.int32(rows),
            np.int32(columns),
            self._stored_mask,
            self._linear,
        )
        self._mask_frames += 1

    def reset(self) -> None:
        """Forget the mask."""
        self._stream.zero(self._mask_sum)
        self._mask_frames = 0

    def __call__(
        self,
        pixels: DeviceMemory,
        pitch: int,
        out: DeviceMemory,
        out_pitch: int,
        shift: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """Subtract the mask, moved by shift (rows down, columns right), into out, which is uint16.

        Raises ValueError without a mask, for a shift that is not finite, where a frame does not fit its memory, or
        where the two share bytes.
        """
        require_frame("pixels", pixels, pitch, self._shape, self._dtype)
        require_frame("out", out, out_pitch, self._shape, _OUT)
        require_apart(pixels, out)
        if self._mask_frames == 0:
            raise ValueError("the mask has no frame: call add_mask_frame() first")
        if not (isfinite(shift[0]) and isfinite(shift[1])):
            raise ValueError(f"shift is {shift}: expected finite pixels")
        rows, columns = self._shape
        row_first, row_weight, row_next_weight = _tap(shift[0], rows)
        column_first, column_weight, column_next_weight = _tap(shift[1], columns)
        self._stream.launch(
            f"subtract_u{8 * self._dtype.itemsize}_kernel",
            (-(-columns // BLOCK[0]), -(-rows // (BLOCK[1] * PIXELS_PER_THREAD)), 1),
            BLOCK,
            pixels,
            np.int64(pitch),
            self._mask_sum,
            out,
            np.int64(out_pitch),
            np.int32(rows),
            np.int32(columns),
            self._stored_mask,
            self._linear,
            np.int32(row_first),
            np.float32(row_weight / self._mask_frames),
            np.float32(row_next_weight / self._mask_frames),
            np.int32(column_first),
            np.float32(column_weight),
            np.float32(column_next_weight),
            np.float32(self._settings.gain),
            np.float32(self._settings.offset),
            np.float32((1 << self._settings.bits_out) - 1),
        )
