"""Whether two pictures are as alike as neighbours in a run: the correlation of their thumbnails.

It tells a run from stills of different scenes, and nothing finer. LEAST was set by generated runs and held against
real stills: docs/sources.md has the figures. Not for: equal pictures, which the judge finds (DUPLICATE).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE = 32
LEAST = 0.9


def thumbnail(pixels: NDArray[Any]) -> NDArray[np.float64]:
    """(rows, columns) to at most SIDE x SIDE mean values."""
    small: NDArray[Any] = pixels
    for axis, size in enumerate(pixels.shape):
        begins = np.arange(min(SIDE, size)) * size // min(SIDE, size)
        counts = np.diff(np.append(begins, size)).reshape((-1, 1) if axis == 0 else (1, -1))
        small = np.add.reduceat(small, begins, axis=axis, dtype=np.float64) / counts
    return small


def correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    """Pearson's, of two thumbnails of one size; None where one is the same everywhere, and so is like anything."""
    one, other = one - one.mean(), other - other.mean()
    size = float(np.sqrt((one * one).sum() * (other * other).sum()))
    return float((one * other).sum()) / size if size > 0.0 else None
