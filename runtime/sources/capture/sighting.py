"""What comes out of a tap's thread: a picture with its signature, or the silence of a source.

Not for: which pictures make up a run (line/live_runs.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.ports import Picture

SIGNATURE_SIDE = 32  # blocks along each side of a picture
_JUMP_MS = 1000.0  # that a source's clock runs ahead of ours from one picture to the next: no network delays so much


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """A picture as the tap's thread hands it on.

    signature: means over SIGNATURE_SIDE x SIGNATURE_SIDE blocks of its pixels, of stored values; fewer blocks along a
    side of fewer pixels. flags: "reopened" on the first picture of a connection that is not the first one;
    "time_went_back" and "time_jumped" where Picture.source_ms did so. Sorted.
    """

    picture: Picture
    signature: NDArray[np.float32]
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Silence:
    """No picture came for too long. Said again each time that so much time has passed once more.

    since_ns: the newest picture, or the start where none ever came. reason: "does not answer: ..." for a call that has
    not returned and was given up, "no signal: ..." for the rest.
    """

    since_ns: int
    reason: str


def signature_of(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.float32]:
    """Means of blocks; sums are exact, so equal pictures have equal signatures. 0.4 ms for 512 x 512."""
    rows, columns = pixels.shape
    row_edges, column_edges = _edges(rows), _edges(columns)
    sums = np.empty((len(row_edges) - 1, columns), np.uint32)
    for block, (start, stop) in enumerate(pairwise(row_edges)):
        np.add.reduce(pixels[start:stop], axis=0, dtype=np.uint32, out=sums[block])
    totals = np.add.reduceat(sums, column_edges[:-1], axis=1, dtype=np.uint64)
    return (totals / np.outer(np.diff(row_edges), np.diff(column_edges))).astype(np.float32)


def _edges(pixels: int) -> list[int]:
    blocks = min(SIGNATURE_SIDE, pixels)
    return [pixels * block // blocks for block in range(blocks + 1)]


class SourceTimes:
    """Looks at the time stamps of one connection."""

    def __init__(self) -> None:
        self._last: Picture | None = None

    def flags_of(self, picture: Picture) -> tuple[str, ...]:
        """What is odd about the time stamp of a picture that follows the one asked about before."""
        last, self._last = self._last, picture
        if last is None or last.source_ms is None or picture.source_ms is None:
            return ()
        step_ms = picture.source_ms - last.source_ms
        if step_ms < 0.0:
            return ("time_went_back",)
        ours_ms = (picture.captured_ns - last.captured_ns) / 1e6
        return ("time_jumped",) if step_ms > ours_ms + _JUMP_MS else ()
