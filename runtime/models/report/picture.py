"""A key frame's displayed grey values as the vision network's input. Bilinear; where it shrinks, over all it covers.

The same numbers as Pillow's BILINEAR and torch's antialiased interpolation give. Not for: windowing (preprocess.py).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.models.report.section import ReportPicture


def pixels(grey: NDArray[np.float32], picture: ReportPicture) -> NDArray[np.float32]:
    """(1, 3, side, side) float32. grey: (rows, columns) float32 in [0, 1]."""
    square = resized(grey, picture.side)
    mean, std = (np.asarray(values, np.float32)[:, None, None] for values in (picture.mean, picture.std))
    return ((square - mean) / std)[None]


def resized(grey: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """(side, side) float32, without regard to aspect. Raises ValueError for an empty picture, or of another rank."""
    if grey.ndim != 2 or 0 in grey.shape:
        raise ValueError(f"found a picture of shape {grey.shape}, expected (rows, columns)")
    rows, columns = grey.shape
    square: NDArray[np.float32] = _weights(rows, side) @ grey.astype(np.float32) @ _weights(columns, side).T
    return square


@lru_cache(maxsize=8)
def _weights(size: int, side: int) -> NDArray[np.float32]:
    """(side, size): how much each old pixel counts in each new one. A triangle as wide as a new pixel, at least an old
    one, to both sides of the new pixel's middle; each row sums to 1."""
    step = size / side
    reach = max(1.0, step)
    middles = (np.arange(side) + 0.5) * step
    distance = np.abs(np.arange(size)[None] + 0.5 - middles[:, None]) / reach
    weights = np.maximum(0.0, 1.0 - distance)
    weights /= weights.sum(axis=1, keepdims=True)
    weights = weights.astype(np.float32)
    weights.flags.writeable = False
    return weights
