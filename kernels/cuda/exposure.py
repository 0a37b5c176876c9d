"""The exposed part of a run's frames, on the device: what shutter and collimator leave of each row.

Not for: finding shutters and collimators (sources).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels.cuda.frames import MAX_SIDE
from cathrt.kernels.cuda.stream import Stream
from cathrt.kernels.cuda.tables import uploaded


class Exposure:
    """Columns [start, stop) of each row, uploaded once: (rows, 2) int32, which kernels trust without another check.

    exposed: None where nothing covers any of the frame.   pixels: how many are exposed.
    Raises ValueError unless 0 <= start <= stop <= columns in every row.
    """

    def __init__(self, stream: Stream, exposed: NDArray[np.int32] | None, shape: tuple[int, int]) -> None:
        spans = checked_spans(exposed, shape)
        self.shape = shape
        self.pixels = int((spans[:, 1].astype(np.int64) - spans[:, 0]).sum())
        self.spans = uploaded(stream, spans)


def checked_spans(exposed: NDArray[np.int32] | None, shape: tuple[int, int]) -> NDArray[np.int32]:
    """The spans, (rows, 2); of the whole frame for None. Raises ValueError as Exposure does."""
    rows, columns = shape
    for name, side in (("rows", rows), ("columns", columns)):
        if not 1 <= side <= MAX_SIDE:
            raise ValueError(f"{name} is {side}: expected 1 to {MAX_SIDE}")
    if exposed is None:
        return np.tile(np.array([0, columns], dtype=np.int32), (rows, 1))
    if exposed.dtype != np.int32 or exposed.shape != (rows, 2):
        raise ValueError(
            f"exposed is {exposed.dtype} {exposed.shape}: expected int32 ({rows}, 2), [start, stop) of each row"
        )
    wrong = ~((exposed[:, 0] >= 0) & (exposed[:, 0] <= exposed[:, 1]) & (exposed[:, 1] <= columns))
    if wrong.any():
        y = int(np.argmax(wrong))
        raise ValueError(
            f"exposed[{y}] is [{exposed[y, 0]}, {exposed[y, 1]}): expected 0 <= start <= stop <= columns = {columns}"
        )
    return exposed
