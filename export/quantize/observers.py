"""Where to clip an activation before it is rounded to int8, from a histogram of its absolute values.

Four observers, for a symmetric int8 of 127 steps each side: minmax clips nothing, percentile clips a fixed share, mse
minimises the squared error of clipping and rounding, entropy the Kullback-Leibler divergence (Migacz, GTC 2017).
Not for: running networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Observer = Literal["minmax", "percentile", "mse", "entropy"]
OBSERVERS: tuple[Observer, ...] = get_args(Observer)
LEVELS = 127  # int8 is used from -127 to 127, so that zero stays exact and no engine meets -128
BINS = 4096
_FLOAT16_SMALLEST = 2.0**-24
_CANDIDATES = 256  # clips that mse and entropy try, evenly spread


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Absolute values of one tensor over all frames: counts of equal bins from 0 to largest.

    counts: (BINS,) int64.   largest: above 0, the largest value seen.
    """

    counts: NDArray[np.int64]
    largest: float

    @property
    def centres(self) -> NDArray[np.float64]:
        centres: NDArray[np.float64] = (np.arange(BINS, dtype=np.float64) + 0.5) * (self.largest / BINS)
        return centres

    def clipped(self, clip: float) -> float:
        """Share of values beyond the clip."""
        return float(self.counts[self.centres > clip].sum() / self.counts.sum())


def counts_of(values: NDArray[np.float32], largest: float) -> NDArray[np.int64]:
    """(BINS,) int64: how many absolute values fall into each bin of [0, largest]; the last holds what is beyond."""
    bins = np.minimum(np.abs(values).ravel() * np.float32(BINS / largest), BINS - 1).astype(np.int64)
    return np.bincount(bins, minlength=BINS)


def clip_of(histogram: Histogram, observer: Observer, percentile: float) -> float:
    """The absolute value to clip at, above 0 and at most the largest seen.

    percentile: in (0, 100], of values that "percentile" leaves unclipped; the other observers do not read it.
    """
    if observer == "minmax":
        return histogram.largest
    if observer == "percentile":
        reached = np.cumsum(histogram.counts) >= percentile / 100.0 * histogram.counts.sum()
        return histogram.largest * (int(np.argmax(reached)) + 1) / BINS
    cost = _COSTS[observer]
    # A clip under 127 bins would round values to steps finer than the histogram knows.
    candidates = np.unique(np.linspace(LEVELS + 1, BINS, _CANDIDATES).astype(np.int64))
    costs = [cost(histogram, int(bins)) for bins in candidates]
    return histogram.largest * int(candidates[int(np.argmin(costs))]) / BINS


def _squared_error(histogram: Histogram, bins: int) -> float:
    values = histogram.centres
    step = histogram.largest * bins / BINS / LEVELS
    rounded = np.minimum(np.rint(values / step), LEVELS) * step
    return float((histogram.counts * (values - rounded) ** 2).sum())


def _divergence(histogram: Histogram, bins: int) -> float:
    """KL of the clipped distribution from the same one at 128 levels, spread over the bins that were not empty."""
    kept = histogram.counts[:bins].astype(np.float64)
    if not kept.any():
        return np.inf
    clipped = kept.copy()
    clipped[-1] += histogram.counts[bins:].sum()
    starts = np.arange(LEVELS + 1) * bins // (LEVELS + 1)
    filled = np.add.reduceat((kept > 0).astype(np.float64), starts)
    mean = np.add.reduceat(kept, starts) / np.maximum(filled, 1.0)
    widths = np.diff(np.append(starts, bins))
    coarse = np.where(kept > 0, np.repeat(mean, widths), 0.0)
    p, q = clipped / clipped.sum(), coarse / coarse.sum()
    # Where only clipping put values into an empty bin, q is 0 and the divergence infinite: a floor keeps the order.
    here = p > 0
    return float((p[here] * np.log(p[here] / np.maximum(q[here], 1e-12))).sum())


_COSTS = {"mse": _squared_error, "entropy": _divergence}


def scales_of(largest: NDArray[np.floating[Any]], levels: int = LEVELS) -> NDArray[np.float32]:
    """The step of which 127, or `levels`, reach each of these values, all above 0, or a little beyond.

    Rounded up to what float16 and bfloat16 hold exactly, 8 significant bits or the grid of float16's smallest numbers:
    a graph that is typed later (precision.py) then keeps the scales it was rounded with, and costs at most 1 % of a
    step. Channels behind a small layer scale need that, their scales lie where float16 has few digits left.
    """
    _, exponent = np.frexp(np.asarray(largest, np.float64) / levels)
    grid = np.maximum(np.exp2(exponent - 8.0), _FLOAT16_SMALLEST)
    scales: NDArray[np.float32] = (np.ceil(np.asarray(largest, np.float64) / levels / grid) * grid).astype(np.float32)
    return scales


@dataclass(frozen=True, slots=True)
class Clip:
    """Where one activation is clipped, and the share of its values beyond."""

    at: float
    clipped: float


def clips_of(histograms: Mapping[str, Histogram], observer: Observer, percentile: float) -> dict[str, Clip]:
    clips = {name: clip_of(histogram, observer, percentile) for name, histogram in histograms.items()}
    return {name: Clip(at, histograms[name].clipped(at)) for name, at in clips.items()}
