"""The figures of a soak from its samples and its books.

Not for: taking samples (sampling.py), keeping books (books.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.soak.books import Books
from benchmarks.soak.latency import quarters_p99_ms
from benchmarks.soak.sampling import MIB, ProcessSample, Sample
from benchmarks.soak.trend import Trend, trend

WHOLE = "whole"
_SLOPES: dict[str, Callable[[ProcessSample], float]] = {
    "rss_slope_mb_per_h": lambda one: one.rss_mb,
    "anonymous_slope_mb_per_h": lambda one: one.anonymous_mb,
    "fd_slope_per_h": lambda one: float(one.descriptors),
    "thread_slope_per_h": lambda one: float(one.threads),
}
_GROWING = ("live journal", "study journal", "store", "log", "shared memory")


def whole_of(sample: Sample) -> ProcessSample:
    """All processes together."""
    total = ProcessSample()
    for one in sample.processes.values():
        total += one
    return total


def slopes(samples: Sequence[Sample]) -> dict[str, dict[str, Trend | None]]:
    """Of each figure: of the whole and of each process. The samples are those after the warm-up."""
    names = sorted({name for sample in samples for name in sample.processes})
    found: dict[str, dict[str, Trend | None]] = {}
    for figure, value in _SLOPES.items():
        found[figure] = {WHOLE: trend([one.at_s for one in samples], [value(whole_of(one)) for one in samples])}
        for name in names:
            there = [one for one in samples if name in one.processes]
            found[figure][name] = trend([one.at_s for one in there], [value(one.processes[name]) for one in there])
    return found


def sizes(samples: Sequence[Sample]) -> dict[str, dict[str, float]]:
    """Of what is written: the slope, and the greatest in each half. Of something bounded the halves are alike."""
    found = {}
    half = len(samples) // 2
    for name in _GROWING:
        values = [one.bytes_.get(name, 0) / MIB for one in samples]
        slope = trend([one.at_s for one in samples], values)
        found[name] = {
            "slope_mb_per_h": round(slope.per_hour, 3) if slope else None,
            "first_half_mb": round(max(values[:half], default=0.0), 3),
            "second_half_mb": round(max(values[half:], default=0.0), 3),
        }
    return found


def restarts_of(samples: Sequence[Sample]) -> int:
    """How often a process had another number than in the sample before."""
    seen: dict[str, int] = {}
    count = 0
    for sample in samples:
        for name, pid in sample.pids.items():
            count += seen.get(name, pid) != pid
            seen[name] = pid
    return count


def headline_figures(samples: Sequence[Sample], books: Books, warm_up_s: float, end_s: float) -> dict[str, float]:
    """The figures to quote; what there is too little of to say is left out."""
    steady = [sample for sample in samples if sample.at_s >= warm_up_s]
    figures: dict[str, float] = {}
    for figure, by_process in slopes(steady).items():
        if (slope := by_process[WHOLE]) is not None:
            figures[figure] = slope.per_hour
    quarters = quarters_p99_ms(books.came_s, books.latencies_ms, warm_up_s, end_s)
    if quarters is not None:
        figures["p99_drift"] = quarters[-1] / quarters[0]
        figures["p99_last_quarter_ms"] = quarters[-1]
    if (accounted := books.frames_accounted) is not None:
        figures["frames_accounted"] = accounted
    figures["delivered_equals_journal"] = float(not books.faults_of_delivery)
    figures["stores_confirmed"] = books.stores_confirmed
    figures["restarts"] = float(restarts_of(samples))
    return figures


def intervals(samples: Sequence[Sample], warm_up_s: float) -> dict[str, list[float]]:
    """Between which the slopes of the whole lie with 95 % confidence."""
    found = slopes([sample for sample in samples if sample.at_s >= warm_up_s])
    of_whole = {figure: by_process[WHOLE] for figure, by_process in found.items()}
    return {name: [round(one.low, 4), round(one.high, 4)] for name, one in of_whole.items() if one is not None}


def slope_rows(samples: Sequence[Sample], warm_up_s: float, common: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row a process with its slopes and their bounds, and its middle values."""
    steady = [sample for sample in samples if sample.at_s >= warm_up_s]
    found = slopes(steady)
    rows = []
    for name in next(iter(found.values())):
        row: dict[str, Any] = {**common, "case": "growth", "impl": name}
        for figure, by_process in found.items():
            slope = by_process[name]
            row[figure] = None if slope is None else slope.rounded()
        last = [whole_of(one) if name == WHOLE else one.processes.get(name) for one in steady[-1:]]
        for one in filter(None, last):
            row |= {
                "rss_mb": round(one.rss_mb, 1),
                "pss_mb": round(one.pss_mb, 1),
                "descriptors": one.descriptors,
                "threads": one.threads,
                "cpu_s": round(one.cpu_s, 1),
            }
        rows.append(row)
    return rows
