"""Launches the row and column sums of a frame (kernels/src/collimator.cu) from which collimator edges are found.

Not for finding them, which is host code (kernels/reference/collimator.py, exposed_rectangle).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels.cuda.frames import DeviceFrame, check_frame, check_plan
from cathrt.kernels.cuda.stream import Stream

_BLOCK_COLUMNS, _BLOCK_ROWS, _WARPS = 128, 64, 8  # as kernels/src/collimator.cu has them


class DeviceProfileSums:
    """Sums of each row and column of frames of one size. Not thread-safe.

    sums: uint32 (rows + columns,) on the device after a call, those of the rows first; download it, then split().
    """

    def __init__(self, stream: Stream, shape: tuple[int, int], bits_stored: int) -> None:
        """shape: (rows, columns). Raises ValueError, CudaError."""
        check_plan(shape, bits_stored)
        rows, columns = shape
        self._stream = stream
        self._shape = shape
        self._bits_stored = bits_stored
        self._mask = np.uint32((1 << bits_stored) - 1)
        self._grid = (-(-columns // _BLOCK_COLUMNS), -(-rows // _BLOCK_ROWS), 1)
        self.sums = stream.allocate(4 * (rows + columns))

    def __call__(self, frame: DeviceFrame) -> None:
        """Launch what fills sums. Raises ValueError where the frame is not one of the plan's.

        frame: kept by the caller until it is done; where it has a ready_after, the caller has had our stream wait.
        """
        check_frame(frame, self._shape, self._bits_stored)
        rows, columns = self._shape
        four = 4 * frame.dtype.itemsize
        self._stream.zero(self.sums)
        self._stream.launch(
            f"profile_sums_u{8 * frame.dtype.itemsize}_kernel",
            self._grid,
            (32, _WARPS, 1),
            frame.memory,
            np.int64(frame.pitch),
            np.int32(rows),
            np.int32(columns),
            self._mask,
            np.int32(frame.address % four == 0 and frame.pitch % four == 0),
            self.sums.part(0, 4 * rows),
            self.sums.part(4 * rows, 4 * columns),
        )

    def split(self, downloaded: NDArray[np.uint32]) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """The sums of the rows and of the columns, as exposed_rectangle takes them."""
        return downloaded[: self._shape[0]], downloaded[self._shape[0] :]
