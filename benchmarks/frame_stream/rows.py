"""Rows and headline of what was gathered: one row a stage for each case, load and implementation.

Not for: how it was gathered (plan.py), pictures of it (page.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks import measure
from benchmarks.frame_stream.consumer import LINE
from benchmarks.frame_stream.distribution import Distribution
from benchmarks.frame_stream.figures import (
    Picture,
    age_of_information,
    jitter_ns,
    longest_gap_ms,
    misses_of,
    stages_ns,
)
from benchmarks.frame_stream.loads import Load
from benchmarks.frame_stream.plan import Checked, Gathered, Key, Plan
from benchmarks.frame_stream.setting import Setting
from benchmarks.frame_stream.stalls import Stalls

BENCH = "frame_stream"
SETTLING_S = 1.0  # of each steady and each overloaded stream; accounted for, but no part of the figures
PACKAGES = ("numpy", "openvino", "onnxruntime", "hdrhistogram")
READER, OVERHEAD = "to reader", "overhead"
_FIRST = "first after pause"


def settled(key: Key, gathered: Gathered) -> list[list[Picture]]:
    """The pictures of each stream that the figures are of."""
    if key.case == "cold":
        return [stream.pictures[:1] for stream in gathered.streams]
    if key.case == "pauses":
        return [stream.pictures for stream in gathered.streams]
    return [stream.pictures[round(SETTLING_S * stream.rate_hz) :] for stream in gathered.streams]


def first_after_pause(gathered: Gathered) -> list[list[Picture]]:
    return [[picture for picture in stream.pictures if picture.first_after_pause] for stream in gathered.streams]


def rows(
    plan: Plan, setting: Setting, checked: Checked, gathered: Mapping[Key, Gathered], heartbeat: measure.Heartbeat
) -> Iterator[dict[str, Any]]:
    """Every row, and last the headline. The heartbeat has been finished."""
    stalls = Stalls.of(heartbeat.stalls)
    for name, why in checked.not_here.items():
        yield {"bench": BENCH, "case": "not here", "impl": name, "reason": why}
    for key, group in gathered.items():
        common = _common(plan, setting, key, group)
        streams = settled(key, group)
        yield from _stage_rows(common, streams)
        yield common | {"stage": READER} | _reader(plan, key, group, streams, stalls)
        if key.case == "pauses":
            firsts = first_after_pause(group)
            first = common | {"case": _FIRST, "stage": READER}
            yield first | _latency(firsts, READER, stalls) | _missed(plan, key, firsts, stalls)
    yield headline(plan, gathered, heartbeat)


def _common(plan: Plan, setting: Setting, key: Key, group: Gathered) -> dict[str, Any]:
    return {
        "bench": BENCH,
        "case": key.case,
        "impl": key.implementation,
        "load": key.load,
        "sources": setting.sources,
        "rate_hz": round(group.streams[0].rate_hz, 2),
        "budget_ms": round(plan.budget_of(key.case), 2),
    }


def _stage_rows(common: Mapping[str, Any], streams: Sequence[Sequence[Picture]]) -> Iterator[dict[str, Any]]:
    stages = [stages_ns(pictures) for pictures in streams]
    for stage in stages[0]:
        if stage != READER:
            times = [time for one in stages for time in one[stage]]
            yield {**common, "stage": stage, **Distribution(times).fields()}


def _reader(
    plan: Plan, key: Key, group: Gathered, streams: Sequence[Sequence[Picture]], stalls: Stalls
) -> dict[str, Any]:
    """From intended arrival to the reader, and everything else that there is to say of it."""
    jitter = Distribution(time for pictures in streams for time in jitter_ns(pictures))
    ages = [age for pictures in streams if (age := age_of_information(pictures)) is not None]
    peaks = Distribution(peak * 1e6 for age in ages for peak in age.peaks_ms)
    gaps = [gap for pictures in streams if (gap := longest_gap_ms(pictures)) is not None]
    sent = sum(len(stream.pictures) for stream in group.streams)
    found: dict[str, Any] = {
        **_latency(streams, READER, stalls),
        **_missed(plan, key, streams, stalls),
        "jitter_median_ms": _rounded(jitter.percentile_ms(50.0)),
        "jitter_p99_ms": _rounded(jitter.percentile_ms(99.0)),
        "age_mean_ms": _rounded(float(np.mean([age.mean_ms for age in ages])) if ages else None),
        "age_peak_p99_ms": _rounded(peaks.percentile_ms(99.0)),
        "age_peak_max_ms": _rounded(max((peak for age in ages for peak in age.peaks_ms), default=None)),
        "age_growth": _rounded(max((age.growth for age in ages), default=None)),
        "longest_gap_ms": _rounded(max(gaps, default=None)),
        "sent": sent,
        "accounted": sum(stream.accounted for stream in group.streams),
        "stolen_ms": round(group.stolen_ms, 1),
        "peak_rss_mb": group.peak_rss_mb,
    }
    return found | ({"opened_ms": group.opened_ms} if group.opened_ms else {})


def _latency(streams: Sequence[Sequence[Picture]], stage: str, stalls: Stalls) -> dict[str, Any]:
    times = [time for pictures in streams for time in stages_ns(pictures)[stage]]
    stalled = sum(
        picture.in_stall(stalls) for pictures in streams for picture in pictures if picture.end and picture.end.judged
    )
    return Distribution(times).fields() | {"stalled": stalled}


def _missed(plan: Plan, key: Key, streams: Sequence[Sequence[Picture]], stalls: Stalls) -> dict[str, Any]:
    misses = misses_of(streams, round(plan.budget_of(key.case) * 1e6), stalls)
    return {
        "pictures": misses.pictures,
        "held": misses.held,
        "missed": misses.missed,
        "miss_rate": _rounded(misses.rate),
        "missed_outside_stalls": misses.outside_stalls,
        "longest_missed": misses.longest_run,
        "unanswered": dict(misses.dropped),
    }


def headline(plan: Plan, gathered: Mapping[Key, Gathered], heartbeat: measure.Heartbeat) -> dict[str, Any]:
    """The figures to quote; null: not measured in this run, or too few samples to say."""
    steady, loaded = Key("steady", LINE), Key("steady", LINE, plan.load)
    overhead, quiet = _of(gathered, steady, OVERHEAD), _of(gathered, steady, READER)
    firsts = gathered.get(Key("pauses", LINE))
    first = Distribution(
        time for pictures in (first_after_pause(firsts) if firsts else []) for time in stages_ns(pictures)[READER]
    )
    figures = {
        "overhead_p50_ms": overhead.percentile_ms(50.0),
        "overhead_p99_ms": overhead.percentile_ms(99.0),
        _under_load(plan.load): _ratio(
            _of(gathered, loaded, READER).percentile_ms(99.0) if plan.load != "none" else None,
            quiet.percentile_ms(99.0),
        ),
        "live_p50_vs_best_loop": _ratio(
            _of(gathered, steady, "to verdict").percentile_ms(50.0),
            min(
                (
                    ms
                    for key in gathered
                    if key.case == "steady" and key.implementation != LINE
                    if (ms := _of(gathered, key, "to verdict").percentile_ms(50.0)) is not None
                ),
                default=None,
            ),
        ),
        "overload_miss_rate_vs_best_loop": _overload_ratio(plan, gathered, Stalls.of(heartbeat.stalls)),
        "frames_accounted": _accounted(gathered),
        "first_after_pause_vs_steady_p99": _ratio(first.percentile_ms(50.0), quiet.percentile_ms(99.0)),
    }
    measured = {key: value for key, value in figures.items() if value is not None}
    last = measure.headline(BENCH, measured, heartbeat, PACKAGES)
    return last | {"headline": {key: last["headline"].get(key) for key in figures}}


def _under_load(load: Load) -> str:
    """The key of the line's p99 under that load, of the one without."""
    if load == "report":
        return "live_p99_with_report_vs_without"
    return f"live_p99_{'study' if load == 'none' else load}_vs_quiet"


def _of(gathered: Mapping[Key, Gathered], key: Key, stage: str) -> Distribution:
    group = gathered.get(key)
    streams = settled(key, group) if group else []
    return Distribution(time for pictures in streams for time in stages_ns(pictures)[stage])


def _overload_ratio(plan: Plan, gathered: Mapping[Key, Gathered], stalls: Stalls) -> float | None:
    """Our miss rate of the lowest among the loops."""
    rates = {}
    for key, group in gathered.items():
        if key.case == "overload":
            budget_ns = round(plan.budget_of(key.case) * 1e6)
            rates[key.implementation] = misses_of(settled(key, group), budget_ns, stalls).rate
    ours = rates.pop(LINE, None)
    return _ratio(ours, min((rate for rate in rates.values() if rate is not None), default=None))


def _accounted(gathered: Mapping[Key, Gathered]) -> float | None:
    """Over all pictures that were sent to the line, in every case."""
    streams = [stream for key, group in gathered.items() if key.implementation == LINE for stream in group.streams]
    sent = sum(len(stream.pictures) for stream in streams)
    return sum(stream.accounted for stream in streams) / sent if sent else None


def _ratio(ours: float | None, theirs: float | None) -> float | None:
    return None if ours is None or not theirs else ours / theirs


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
