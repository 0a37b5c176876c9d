"""How fast a value grows: the Theil-Sen slope, which a few odd samples do not move, with bounds of 95 %.

Samples that follow each other are alike, so bounds from all of them would be too narrow: they are first made into
blocks, each the median of what was sampled in its share of the time. Not for: what is sampled (sampling.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCKS = 60
_SAMPLES_A_BLOCK = 3
_FEWEST = 4  # blocks: fewer have no bounds
_Z = 1.959964  # of the normal distribution, 95 % two-sided


@dataclass(frozen=True, slots=True)
class Trend:
    """per_hour: the slope. low, high: between these it lies with 95 % confidence. blocks: that it rests on."""

    per_hour: float
    low: float
    high: float
    blocks: int

    def rounded(self, digits: int = 3) -> dict[str, float]:
        """For a row."""
        return {
            "per_hour": round(self.per_hour, digits),
            "low": round(self.low, digits),
            "high": round(self.high, digits),
        }


def trend(times_s: Sequence[float], values: Sequence[float]) -> Trend | None:
    """The slope of values over times, which rise; None where there are too few to say.

    Source: P. K. Sen, Estimates of the regression coefficient based on Kendall's tau, JASA 63 (1968) 1379-1389.
    """
    blocks = min(BLOCKS, len(times_s) // _SAMPLES_A_BLOCK)
    if blocks < _FEWEST:
        return None
    times, medians = _blocks(np.asarray(times_s, float), np.asarray(values, float), blocks)
    first, second = np.triu_indices(len(times), 1)
    slopes = np.sort((medians[second] - medians[first]) / (times[second] - times[first])) * 3600.0
    half = _Z * math.sqrt(_variance_of_tau(medians)) / 2.0
    middle = len(slopes) / 2.0
    low = slopes[max(0, math.floor(middle - half))]
    high = slopes[min(len(slopes) - 1, math.ceil(middle + half))]
    return Trend(float(np.median(slopes)), float(low), float(high), len(times))


def _blocks(
    times: NDArray[np.float64], values: NDArray[np.float64], blocks: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Middle and median of each block."""
    parts = np.array_split(np.arange(len(times)), blocks)
    return np.array([times[part].mean() for part in parts]), np.array([np.median(values[part]) for part in parts])


def _variance_of_tau(values: NDArray[np.float64]) -> float:
    """Of Kendall's score where nothing rises or falls, corrected for values that are equal."""
    n = len(values)
    _, ties = np.unique(values, return_counts=True)
    total = n * (n - 1) * (2 * n + 5) - int(np.sum(ties * (ties - 1) * (2 * ties + 5)))
    return total / 18.0
