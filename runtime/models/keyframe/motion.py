"""How much a picture moved since the one before: what blurs arteries, and least where the heart rests.

A number a frame, comparable within its run only. ranking.py prefers still frames by it. Not for: what moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels.reference.ingest import exposed_mask
from cathrt.runtime.frame import Run

_CELLS = 128  # of a frame's longer side: an artery is one or two wide, so that it cannot move unseen


class Motion:
    """Of the frames of one run, one after another. Not thread-safe."""

    def __init__(self, run: Run) -> None:
        self._side = max(1, max(run.rows, run.columns) // _CELLS)
        made: dict[bytes | None, NDArray[np.bool_]] = {}
        for grayscale in run.grayscales:
            if grayscale.exposed_key not in made:
                exposed = exposed_mask(grayscale.exposed, (run.rows, run.columns))
                made[grayscale.exposed_key] = self._cells(exposed) > 0.999
        self._fields = [made[grayscale.exposed_key] for grayscale in run.grayscales]
        self._before: tuple[NDArray[np.float32], NDArray[np.bool_]] | None = None

    def __call__(self, pixels: Any, grayscale: int = 0) -> float | None:
        """Mean absolute difference of the field's cells from the frame before, stored values; 0 where all is covered.

        pixels: (rows, columns) stored values. grayscale: which of run.grayscales they are meant by; the field is what
        is exposed in both frames. None of the first frame, and where this frame or the one before lies on a device,
        where the host does not look.
        """
        before, now, field = self._before, None, self._fields[grayscale]
        if isinstance(pixels, np.ndarray):
            now = self._cells(pixels), field
        self._before = now
        if before is None or now is None:
            return None
        differences = np.abs(now[0] - before[0])[field & before[1]]
        return float(differences.mean()) if differences.size else 0.0

    def _cells(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Means over the width of a cell, of one row of each."""
        side = self._side
        rows = values[::side, : values.shape[1] // side * side]
        means = rows[:, ::side].astype(np.float32)
        for column in range(1, side):  # a sixth of the time of a mean over so short an axis; sums are exact
            means += rows[:, column::side]
        means /= np.float32(side)
        return means


def motion_at(changes: Sequence[float | None]) -> NDArray[np.float64] | None:
    """(N,) how much the picture moves at each frame: the mean of the change to it and of the change from it.

    changes: of each frame since the one before, in order of time. Where one is not known the other stands alone, and
    where neither is, the run's mean. None where no change is known.
    """
    since = np.array([np.nan if change is None else change for change in changes], dtype=np.float64)
    if np.isnan(since).all():
        return None
    both = np.stack([since, np.append(since[1:], np.nan)])
    known = ~np.isnan(both)
    means = np.where(known, both, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.asarray(np.where(known.any(axis=0), means, np.nanmean(since)))
