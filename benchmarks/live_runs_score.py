"""What was found in streams with known pedal times, compared with what was played. For benchmarks/live_runs.py."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from benchmarks.live_runs_streams import Stream, TrueRun


@dataclass(frozen=True, slots=True)
class FoundRun:
    """pictures: first and last that belong to the run. judged: those that were not called repeats."""

    first: int
    last: int
    judged: frozenset[int]
    rate_hz: float | None = None
    replay: bool = False

    def shows(self, true: TrueRun) -> bool:
        """Whether a picture of the true run was judged."""
        return any(true.first <= place <= true.last for place in self.judged)


@dataclass(slots=True)
class Score:
    """Sums over streams. whole: found as one run, which shows no other. *_ms: found minus true, of those found."""

    runs: int = 0
    whole: int = 0
    missed: int = 0
    split: int = 0
    merged: int = 0
    invented: int = 0
    start_ms: list[float] = field(default_factory=list)
    end_ms: list[float] = field(default_factory=list)
    known_ms: list[float] = field(default_factory=list)  # from the last pulse until the run is known to be over
    rate_error: list[float] = field(default_factory=list)
    pulses: int = 0
    pulses_not_judged: int = 0
    repeats: int = 0
    repeats_judged: int = 0
    replays: int = 0
    replays_flagged: int = 0
    others_flagged: int = 0


def score(found_in: Callable[[Stream], Sequence[FoundRun]], of: Sequence[Stream]) -> Score:
    """Compare what is found with what was played."""
    total = Score()
    for stream in of:
        _add(total, stream, found_in(stream))
    return total


def _add(total: Score, stream: Stream, found: Sequence[FoundRun]) -> None:
    hits = [[k for k, one in enumerate(found) if one.shows(true)] for true in stream.runs]
    times = Counter(k for own in hits for k in own)
    total.runs += len(stream.runs)
    total.whole += sum(len(own) == 1 and times[own[0]] == 1 for own in hits)
    total.missed += sum(not own for own in hits)
    total.split += sum(len(own) - 1 for own in hits if own)
    total.merged += sum(count - 1 for count in times.values())
    total.invented += len(found) - len(times)
    ends = [following.first - 1 for following in stream.runs[1:]] + [len(stream.signatures) - 1]
    begun: set[int] = set()  # found runs that began with an earlier true one
    for true, end, own in zip(stream.runs, ends, hits, strict=True):
        if own:
            _add_run(total, stream, true, end, [found[k] for k in own], begins=own[0] not in begun)
            begun.update(own)


def _add_run(total: Score, stream: Stream, true: TrueRun, end: int, own: list[FoundRun], *, begins: bool) -> None:
    """own: what was found of one true run. end: the last picture before the next true one."""
    picture_ms = 1000.0 / stream.display_hz
    judged = frozenset(place for one in own for place in one.judged if true.first <= place <= end)
    if begins:
        total.start_ms.append((own[0].first - true.first) * picture_ms)
    total.end_ms.append((max(judged) - true.last) * picture_ms)
    total.known_ms.append((min(own[-1].last, end) - true.last) * picture_ms)
    if own[-1].rate_hz is not None:
        total.rate_error.append(abs(own[-1].rate_hz / stream.rate_hz - 1.0))
    _add_pulses(total, stream, true.first, true.last, judged)
    total.replays += true.replay
    total.replays_flagged += true.replay and own[0].replay
    total.others_flagged += not true.replay and own[0].replay


def _add_pulses(total: Score, stream: Stream, first: int, last: int, judged: frozenset[int]) -> None:
    for _, places in groupby(range(first, last + 1), key=lambda place: stream.pulses[place]):
        shown = list(places)
        hits = sum(place in judged for place in shown)
        total.pulses += 1
        total.pulses_not_judged += hits == 0
        total.repeats += len(shown) - 1
        total.repeats_judged += max(hits - 1, 0)


def row_of(one: Score) -> dict[str, Any]:
    """What a table shows of a score."""

    def spread(name: str, errors: list[float]) -> dict[str, float | None]:
        if not errors:
            return {f"{name}_p50_ms": None, f"{name}_max_ms": None}
        sizes = np.abs(errors)
        return {f"{name}_p50_ms": round(float(np.median(sizes)), 1), f"{name}_max_ms": round(float(sizes.max()), 1)}

    return {
        "found_whole": round(one.whole / one.runs, 4),
        **{key: getattr(one, key) for key in ("missed", "split", "merged", "invented")},
        **spread("start", one.start_ms),
        **spread("end", one.end_ms),
        **spread("known", one.known_ms),
        "pulses_not_judged": round(one.pulses_not_judged / max(one.pulses, 1), 4),
        "repeats_judged": round(one.repeats_judged / max(one.repeats, 1), 4),
        "rate_error_p50": round(float(np.median(one.rate_error)), 4) if one.rate_error else None,
        "replays_flagged": f"{one.replays_flagged} of {one.replays}, {one.others_flagged} others",
    }
