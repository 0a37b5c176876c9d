"""Smooth curves through a few control points: the centrelines of arteries, catheters, wires and ribs.

Not for: how wide what runs along them is (tubes.py).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def catmull_rom(controls: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """The uniform Catmull-Rom curve through (K, D) control points, resampled so that columns 0..2 advance by `step`."""
    padded = np.concatenate([2 * controls[:1] - controls[1:2], controls, 2 * controls[-1:] - controls[-2:-1]])
    before, start, end, after = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = np.linspace(0.0, 1.0, 17)[:-1, None, None]
    curve = 0.5 * (
        2 * start
        + (end - before) * t
        + (2 * before - 5 * start + 4 * end - after) * t**2
        + (3 * start - before - 3 * end + after) * t**3
    )
    dense = np.concatenate([curve.transpose(1, 0, 2).reshape(-1, controls.shape[1]), controls[-1:]])
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(dense[:, :3], axis=0), axis=1))])
    at = np.linspace(0.0, arc[-1], max(3, round(arc[-1] / step) + 1))
    return np.stack([np.interp(at, arc, dense[:, column]) for column in range(dense.shape[1])], axis=1)


def arc_length(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) distance along (N, 3) points."""
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
