"""Launches the row and column sums of a frame (kernels/src/collimator.cu) from which collimator edges are found.

Not for finding them, which is host code (kernels/reference/collimator.py, exposed_rectangle).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cathrt.kernels.cuda.frame_memory import require_frame, require_side, stored_dtype
from cathrt.kernels.cuda.stream import DeviceMemory, Stream

_BLOCK_COLUMNS, _BLOCK_ROWS, _WARPS = 128, 64, 8  # as kernels/src/collimator.cu has them


class ProfileSums:
    """Sums of each row and column of frames of one size. Not thread-safe.

    sums: uint32 (rows + columns,) on the device after a call, those of the rows first; download it, then split().
    """

    def __init__(self, stream: Stream, shape: tuple[int, int], dtype: DTypeLike, bits_stored: int) -> None:
        """shape: (rows, columns). dtype: of the pixels, uint8 or uint16. Raises ValueError, CudaError."""
        rows, columns = shape
        require_side("rows", rows)
        require_side("columns", columns)
        self._stream = stream
        self._shape = shape
        self._dtype: np.dtype[Any] = stored_dtype(dtype, bits_stored)
        self._mask = np.uint32((1 << bits_stored) - 1)
        self._grid = (-(-columns // _BLOCK_COLUMNS), -(-rows // _BLOCK_ROWS), 1)
        self.sums = stream.allocate(4 * (rows + columns))

    def __call__(self, pixels: DeviceMemory, pitch: int) -> None:
        """Fill sums. pitch: bytes from one row to the next. Raises ValueError where the frame does not fit."""
        require_frame("pixels", pixels, pitch, self._shape, self._dtype)
        rows, columns = self._shape
        four = 4 * self._dtype.itemsize
        self._stream.zero(self.sums)
        self._stream.launch(
            f"profile_sums_u{8 * self._dtype.itemsize}_kernel",
            self._grid,
            (32, _WARPS, 1),
            pixels,
            np.int64(pitch),
            np.int32(rows),
            np.int32(columns),
            self._mask,
            np.int32(pixels.address % four == 0 and pitch % four == 0),
            self.sums.part(0, 4 * rows),
            self.sums.part(4 * rows, 4 * columns),
        )

    def split(self, downloaded: NDArray[np.uint32]) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """The sums of the rows and of the columns, as exposed_rectangle takes them."""
        return downloaded[: self._shape[0]], downloaded[self._shape[0] :]
