"""Launches mask subtraction (kernels/src/subtraction.cu); meaning: kernels/reference/subtraction.py.

Not for choosing mask frames or finding the shift. Everything is allocated when the subtraction is made.
"""

from __future__ import annotations

from math import floor, isfinite

import numpy as np

from cathrt.kernels._kernels import SubtractionSettings
from cathrt.kernels.cuda.frames import DeviceFrame, check_frame, check_out, check_plan
from cathrt.kernels.cuda.stream import Stream

MAX_MASK_FRAMES = 256  # a float32 sum of so many 16-bit values is exact
_BLOCK = (32, 8, 1)
_PER_THREAD = 4  # pixels: of a row when a mask frame is added, of a column when it is subtracted


def _tap(shift: float, side: int) -> tuple[int, float, float]:
    """Where a pixel finds the shifted mask: pixels further on, the weight there and that of the next one."""
    first = floor(-shift)
    next_weight = -shift - first
    return min(max(first, -side), side - 1), 1.0 - next_weight, next_weight


class DeviceMaskSubtraction:
    """The mask of one run on one stream: live frames in, subtracted ones out. Not thread-safe.

    Arguments as those of the CPU twin, cathrt.kernels._kernels.MaskSubtraction. Raises ValueError, CudaError.
    """

    def __init__(self, stream: Stream, shape: tuple[int, int], bits_stored: int, settings: SubtractionSettings) -> None:
        check_plan(shape, bits_stored)
        self._stream = stream
        self._shape = shape
        self._bits_stored = bits_stored
        self._stored_mask = np.uint32((1 << bits_stored) - 1)
        self._linear = np.int32(settings.pixel_intensity_relationship == "LIN")
        self._settings = settings
        self._mask_sum = stream.allocate(4 * shape[0] * shape[1])
        self.reset()

    def add_mask_frame(self, frame: DeviceFrame) -> None:
        """Launch what takes one more frame into the mean. Raises ValueError for another size, or the 257th."""
        check_frame(frame, self._shape, self._bits_stored)
        if self._mask_frames == MAX_MASK_FRAMES:
            raise ValueError(
                f"the mask has {MAX_MASK_FRAMES} frames already: expected no more; call reset() for a new mask"
            )
        rows, columns = self._shape
        self._stream.launch(
            "add_mask_frame_u8_kernel" if frame.dtype == np.uint8 else "add_mask_frame_u16_kernel",
            (-(-columns // (_BLOCK[0] * _PER_THREAD)), -(-rows // _BLOCK[1]), 1),
            _BLOCK,
            frame.memory,
            np.int64(frame.pitch),
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

    def __call__(self, frame: DeviceFrame, out: DeviceFrame, shift: tuple[float, float] = (0.0, 0.0)) -> None:
        """Launch what subtracts the mask, moved by shift (rows down, columns right). Returns before it is done.

        frame: kept by the caller until it is done; where it has a ready_after, the caller has had our stream wait.
        out: uint16.   Raises ValueError without a mask, for a shift that is not finite, where frame or out are not what
        the plan was made for, and where they share bytes.
        """
        check_frame(frame, self._shape, self._bits_stored)
        check_out(out, frame, np.uint16)
        if self._mask_frames == 0:
            raise ValueError("the mask has no frame: call add_mask_frame() first")
        if not (isfinite(shift[0]) and isfinite(shift[1])):
            raise ValueError(f"shift is {shift}: expected finite pixels")
        rows, columns = self._shape
        row_first, row_weight, row_next_weight = _tap(shift[0], rows)
        column_first, column_weight, column_next_weight = _tap(shift[1], columns)
        self._stream.launch(
            "subtract_u8_kernel" if frame.dtype == np.uint8 else "subtract_u16_kernel",
            (-(-columns // _BLOCK[0]), -(-rows // (_BLOCK[1] * _PER_THREAD)), 1),
            _BLOCK,
            frame.memory,
            np.int64(frame.pitch),
            self._mask_sum,
            out.memory,
            np.int64(out.pitch),
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
