"""Launches of the vesselness of a frame (kernels/src/vesselness.cu): a frame on the device in, one float out.

Meaning: kernels/reference/vesselness.py. Everything is allocated when the plan is made.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels.cuda.exposure import checked_spans
from cathrt.kernels.cuda.frames import DeviceFrame, check_frame, check_plan
from cathrt.kernels.cuda.stream import Stream
from cathrt.kernels.cuda.tables import uploaded
from cathrt.kernels.reference.vesselness import cell_side, field_spans, gaussian, grid_shape, sigma_of

_BLOCK = (32, 8, 1)
_TILE = (16, 32)  # rows and columns of cells that a block measures
_RADIUS = 9  # of the Gaussian, at most


class DeviceVesselness:
    """The plan of one run on one stream. Not thread-safe.

    Arguments as those of the CPU twin, cathrt.kernels._kernels.Vesselness.   result: float32 on the device, of the last
    frame.   Raises ValueError, CudaError.
    """

    def __init__(
        self,
        stream: Stream,
        shape: tuple[int, int],
        bits_stored: int,
        exposed: NDArray[np.int32] | None,
        inverted: bool,
    ) -> None:
        check_plan(shape, bits_stored)
        spans = field_spans(checked_spans(exposed, shape), shape)
        grid = grid_shape(shape)
        sigma = sigma_of(grid)
        weights = gaussian(sigma)
        half = np.zeros(_RADIUS + 1, dtype=np.float32)
        half[: len(weights) // 2 + 1] = weights[len(weights) // 2 :]
        self._stream = stream
        self._shape = shape
        self._bits_stored = bits_stored
        self._grid = np.int32(grid[0]), np.int32(grid[1])
        self._side = np.int32(cell_side(shape))
        self._count = int((spans[:, 1] - spans[:, 0]).sum())
        self._sign = np.float32(-1.0 if inverted else 1.0)
        self._scale = np.float64(sigma * sigma)
        self._sum_blocks = (-(-grid[1] // _BLOCK[0]), -(-grid[0] // _BLOCK[1]), 1)
        self._tiles = (-(-grid[1] // _TILE[1]), -(-grid[0] // _TILE[0]), 1)
        self.result = stream.allocate(4)
        if self._count == 0:
            stream.zero(self.result)
            return
        self._field = uploaded(stream, spans)
        self._gaussian = uploaded(stream, half)
        self._cells = stream.allocate(4 * grid[0] * grid[1])
        self._total = stream.allocate(8)
        self._partial = stream.allocate(16 * self._tiles[0] * self._tiles[1])

    def __call__(self, frame: DeviceFrame) -> None:
        """Launch what fills `result`; nothing where no cell counts, it is 0 then. Returns before it is done.

        frame: kept by the caller until it is done; where it has a ready_after, the caller has had our stream wait.
        Raises ValueError where it is not what the plan was made for.
        """
        check_frame(frame, self._shape, self._bits_stored)
        if self._count == 0:
            return
        self._stream.zero(self._total)
        self._stream.launch(
            "sum_cells_u8_kernel" if frame.dtype == np.uint8 else "sum_cells_u16_kernel",
            self._sum_blocks,
            _BLOCK,
            frame.memory,
            np.int64(frame.pitch),
            np.uint32((1 << self._bits_stored) - 1),
            self._side,
            *self._grid,
            self._field,
            self._cells,
            self._total,
        )
        self._stream.launch(
            "measure_lines_kernel",
            self._tiles,
            _BLOCK,
            self._cells,
            *self._grid,
            self._field,
            self._total,
            np.int32(self._count),
            self._gaussian,
            self._sign,
            self._partial,
        )
        self._stream.launch(
            "finish_vesselness_kernel",
            (1, 1, 1),
            (_BLOCK[0], 1, 1),
            self._partial,
            np.int32(self._tiles[0] * self._tiles[1]),
            self._scale,
            self.result,
        )
