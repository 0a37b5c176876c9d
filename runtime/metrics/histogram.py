"""Exponential buckets: times counted so that a percentile can be read to 9 % at any scale.

Bounds are powers of 2 ** (1/8) seconds (schema 3 of Prometheus, scale 3 of OpenTelemetry), so those of all processes
and versions fit each other. Not for: where counts are kept (processes/times_file.py).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

SCHEMA = 3  # 2 ** SCHEMA buckets from one power of two to the next
_PER_OCTAVE: int = 2**SCHEMA
_LOWEST, _HIGHEST = -20, 8  # powers of two, seconds: from 1 microsecond to 4 minutes
BUCKETS = _PER_OCTAVE * (_HIGHEST - _LOWEST)
ZERO_THRESHOLD_S = 2.0**_LOWEST  # what is not longer than this counts as zero
FIRST_INDEX = _PER_OCTAVE * _LOWEST + 1  # what Prometheus calls the lowest bucket; OpenTelemetry: one less
_FRACTIONS = tuple(2.0 ** (part / _PER_OCTAVE) for part in range(_PER_OCTAVE))
# Bounds of the text format, which has no exponential buckets: powers of two, so that no bucket is split.
_CLASSIC = range(-13, 5)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Times counted so far. zeros: of those that are not longer than ZERO_THRESHOLD_S. buckets: of each bucket."""

    sum_s: float
    zeros: int
    buckets: Sequence[int]

    @property
    def count(self) -> int:
        """All of them."""
        return self.zeros + sum(self.buckets)

    def at_most(self) -> Iterator[tuple[float, int]]:
        """For the text format: bounds in seconds, each with how many times are not longer."""
        up_to = [self.zeros, *accumulate(self.buckets, initial=self.zeros)][1:]
        for power in _CLASSIC:
            yield 2.0**power, up_to[_PER_OCTAVE * (power - _LOWEST)]


def bucket_of(seconds: float) -> int | None:
    """Which bucket a time belongs to, the lowest is 0; None where it counts as zero. The highest takes all beyond."""
    if seconds <= ZERO_THRESHOLD_S:
        return None
    fraction, exponent = math.frexp(seconds)  # fraction in [0.5, 1)
    index = _PER_OCTAVE * (exponent - 1) + bisect_left(_FRACTIONS, 2.0 * fraction)
    return min(index - FIRST_INDEX, BUCKETS - 1)


def upper_bound_s(bucket: int) -> float:
    """The longest time of a bucket."""
    octave, part = divmod(bucket + FIRST_INDEX, _PER_OCTAVE)
    return math.ldexp(_FRACTIONS[part], octave)
