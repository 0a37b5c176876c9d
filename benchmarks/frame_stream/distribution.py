"""Distributions of times: which of their quantiles there are enough samples for, and all of it as an HDR histogram.

A quantile is printed only where the sample could have contradicted it: with n samples, none of them worse, quantile q
is claimed with 99 % confidence once q**n <= 1 %, as MLPerf's early stopping has it: 459 samples for p99, 4,603 for
p99.9. Not for: what the times are of.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from hdrh.histogram import HdrHistogram

_CONFIDENCE = 0.99
_LONGEST_NS, _DIGITS = 600_000_000_000, 3  # of the histogram: ten minutes
QUANTILES = {"median_ms": 50.0, "p90_ms": 90.0, "p95_ms": 95.0, "p99_ms": 99.0, "p99_9_ms": 99.9}


def fewest_samples(percent: float) -> int:
    """How many samples a percentile needs."""
    return math.ceil(math.log(1.0 - _CONFIDENCE) / math.log(percent / 100.0))


class Distribution:
    """Times in ns. Quantiles are those of the samples themselves, as in all benchmarks here the higher neighbour."""

    def __init__(self, times_ns: Iterable[float] = ()) -> None:
        self._times_ns = np.sort(np.fromiter(times_ns, np.float64))

    @property
    def count(self) -> int:
        return len(self._times_ns)

    def percentile_ms(self, percent: float) -> float | None:
        """None: too few samples to say."""
        if self.count < fewest_samples(percent):
            return None
        return float(np.percentile(self._times_ns, percent, method="higher")) / 1e6

    def curve_ms(self) -> list[tuple[float, float]]:
        """(percent, ms) of percentiles from 1 up, closer and closer to 100, as far as there are enough samples."""
        percents = (100.0 * (1.0 - 0.99 * 0.5 ** (step / 8.0)) for step in range(8 * 14))
        return [(percent, ms) for percent in percents if (ms := self.percentile_ms(percent)) is not None]

    def fields(self) -> dict[str, Any]:
        """For a row: what a reader may quote, and the whole histogram, to be added to others of its kind.

        hdr: HdrHistogram V2, compressed, base64, of ns from 1 up to ten minutes; three digits.
        """
        if not self.count:
            return {"n": 0, "min_ms": None, **dict.fromkeys(QUANTILES), "max_ms": None, "hdr": None}
        quantiles = {key: self.percentile_ms(percent) for key, percent in QUANTILES.items()}
        return {
            "n": self.count,
            "min_ms": round(float(self._times_ns[0]) / 1e6, 4),
            **{key: None if ms is None else round(ms, 4) for key, ms in quantiles.items()},
            "max_ms": round(float(self._times_ns[-1]) / 1e6, 4),
            "hdr": self._encoded(),
        }

    def _encoded(self) -> str:
        histogram = HdrHistogram(1, _LONGEST_NS, _DIGITS)
        for time_ns in np.clip(np.round(self._times_ns), 1, _LONGEST_NS).astype(np.int64).tolist():
            histogram.record_value(time_ns)
        encoded: bytes = histogram.encode()
        return encoded.decode("ascii")
