"""Live latency over time: percentiles of windows, and how the last quarter compares with the first.

Not for: the latency of a machine at rest (benchmarks/frame_stream).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

_FEWEST = 100  # latencies of a quarter: with fewer its p99 is its maximum
_QUARTERS = 4


@dataclass(frozen=True, slots=True)
class Window:
    """from_s: since the soak began. judged: frames."""

    from_s: float
    judged: int
    p50_ms: float
    p99_ms: float


def windows(came_s: Sequence[float], latencies_ms: Sequence[float], seconds: float) -> Iterator[Window]:
    """One for each stretch of so many seconds in which a frame was judged."""
    if not len(came_s):
        return
    came, latencies = np.asarray(came_s, float), np.asarray(latencies_ms, float)
    numbers = (came // seconds).astype(int)
    for number in np.unique(numbers):
        part = latencies[numbers == number]
        p50, p99 = np.percentile(part, (50.0, 99.0))
        yield Window(float(number * seconds), len(part), round(float(p50), 2), round(float(p99), 2))


def quarters_p99_ms(
    came_s: Sequence[float], latencies_ms: Sequence[float], begin_s: float, end_s: float
) -> list[float] | None:
    """p99 of each quarter of the time between; None where one has too few frames to say."""
    came, latencies = np.asarray(came_s, float), np.asarray(latencies_ms, float)
    edges = np.linspace(begin_s, end_s, _QUARTERS + 1)
    parts = [latencies[(came >= low) & (came < high)] for low, high in pairwise(edges)]
    if min(map(len, parts)) < _FEWEST:
        return None
    return [float(np.percentile(part, 99.0)) for part in parts]
