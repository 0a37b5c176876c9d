"""95 % intervals: of a share, and of a statistic whose samples come in groups. Not for: what is counted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]

_RESAMPLES, _RESAMPLING_SEED = 2000, 0
_Z95 = 1.959963984540054  # 97.5 % quantile of the normal distribution


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` of `of`, which is at least 1. The interval is Wilson's and takes each for independent."""

    hits: int
    of: int

    @property
    def value(self) -> float:
        return self.hits / self.of

    @property
    def interval(self) -> Interval:
        return wilson(self.hits, self.of)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.hits} of {self.of} ({self.value:.5g}; 95 %: {low:.5g} to {high:.5g})"


def wilson(hits: int, of: int) -> Interval:
    """Of a share, no continuity correction (Wilson 1927). Raises ValueError for a share of nothing."""
    if of < 1:
        raise ValueError(f"a share of {of}: expected at least one trial")
    share, z2 = hits / of, _Z95**2
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = _Z95 / (1 + z2 / of) * math.sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    return max(0.0, middle - half), min(1.0, middle + half)


def bootstrap(groups: NDArray[np.int64], statistic: Callable[[NDArray[np.int64]], NDArray[np.float64]]) -> Interval:
    """Percentile interval of a statistic of summed counts, whole groups drawn anew with replacement.

    groups: (G, ...) counts. statistic: (samples, ...) to (samples,). The same groups give the same interval.
    """
    draw = np.random.Generator(np.random.PCG64(_RESAMPLING_SEED))
    times = draw.multinomial(len(groups), np.full(len(groups), 1.0 / len(groups)), size=_RESAMPLES)
    sums = (times @ groups.reshape(len(groups), -1)).reshape(_RESAMPLES, *groups.shape[1:])
    low, high = np.percentile(statistic(sums), [2.5, 97.5])
    return float(low), float(high)
