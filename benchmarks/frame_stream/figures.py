"""What became of a stream: how late its answers were, which pictures missed, how old the newest answer was.

A picture's time runs from its intended arrival. Not for: how streams are run (trial.py), rows and ratios (rows.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from benchmarks.frame_stream.ends import HELD, End
from benchmarks.frame_stream.stalls import Stalls


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of a stream that was sent, and how it ended; None where nobody said."""

    number: int
    intended_ns: int
    sent_ns: int
    first_after_pause: bool
    end: End | None

    def missed(self, budget_ns: int) -> bool:
        """Whether no answer was shown in time. Every picture is of a run here, so one that was held is missed, too."""
        return self.end is None or not self.end.judged or self.end.shown_ns - self.intended_ns > budget_ns

    def in_stall(self, stalls: Stalls, budget_ns: int = 0) -> bool:
        """Whether the machine stood still between its arrival and its end, at least its budget's."""
        ended_ns = self.end.shown_ns if self.end is not None else 0
        return stalls.meet(self.intended_ns, max(ended_ns, self.intended_ns + budget_ns))


@dataclass(slots=True)
class Stream:
    """One source's pictures in one trial, in the order of their arrival."""

    rate_hz: float
    pictures: list[Picture]
    ended_twice: int = 0  # pictures that more than one end was said of, and ends of pictures that were never sent

    @property
    def accounted(self) -> int:
        """Pictures that ended exactly once."""
        return sum(picture.end is not None for picture in self.pictures) - self.ended_twice


def stream_of(
    rate_hz: float, sent: NDArray[np.int64], first_after_pause: NDArray[np.bool_], ends: Sequence[End]
) -> Stream:
    """Join what the generator sent, (pictures, [intended, sent]), with what the implementation said became of it."""
    said: dict[int, End] = {}
    twice = 0
    for end in ends:
        if end.number in said or not 0 <= end.number < len(sent):
            twice += 1
        said.setdefault(end.number, end)
    pictures = [
        Picture(number, int(intended), int(at), bool(first), said.get(number))
        for number, ((intended, at), first) in enumerate(zip(sent, first_after_pause, strict=True))
    ]
    return Stream(rate_hz, pictures, twice)


@dataclass(slots=True)
class Misses:
    """Over the pictures of some streams. dropped: by reason, where no answer came. outside_stalls: of the machine."""

    pictures: int = 0
    missed: int = 0
    outside_stalls: int = 0
    longest_run: int = 0
    held: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    @property
    def rate(self) -> float | None:
        return self.missed / self.pictures if self.pictures else None


def misses_of(streams: Sequence[Sequence[Picture]], budget_ns: int, stalls: Stalls) -> Misses:
    found = Misses()
    for pictures in streams:
        missed = [picture.missed(budget_ns) for picture in pictures]
        found.pictures += len(pictures)
        found.missed += sum(missed)
        found.longest_run = max([found.longest_run, *(sum(1 for _ in run) for miss, run in groupby(missed) if miss)])
        for picture, miss in zip(pictures, missed, strict=True):
            found.outside_stalls += miss and not picture.in_stall(stalls, budget_ns)
            found.held += picture.end is not None and picture.end.outcome == HELD
            if miss and (picture.end is None or not picture.end.judged):
                found.dropped[_why(picture.end)] += 1
    return found


def _why(end: End | None) -> str:
    if end is None:
        return "not said"
    return f"{end.outcome}: {end.reason}" if end.reason else end.outcome


@dataclass(frozen=True, slots=True)
class Age:
    """Age of information: how old the picture was that the newest answer is about, at each moment.

    mean_ms: over time. peaks_ms: just before each new answer. growth: the last third's median peak of the first one's.
    """

    mean_ms: float
    peaks_ms: tuple[float, ...]
    growth: float


def age_of_information(pictures: Sequence[Picture]) -> Age | None:
    """None where there are fewer than seven answers. A picture older than one that was answered adds nothing."""
    answers = sorted(
        (picture.end.shown_ns, picture.intended_ns) for picture in pictures if picture.end and picture.end.judged
    )
    newest, peaks, area, since = 0, [], 0.0, 0
    for shown_ns, intended_ns in answers:
        if newest and intended_ns > newest:
            before, peak = since - newest, shown_ns - newest
            peaks.append(peak / 1e6)
            area += (before + peak) / 2 * (shown_ns - since)
        if intended_ns > newest:
            newest, since = intended_ns, shown_ns
    if len(peaks) < 6:
        return None
    first = next(shown for shown, _ in answers)
    third = len(peaks) // 3
    growth = float(np.median(peaks[-third:]) / np.median(peaks[:third]))
    return Age(area / (since - first) / 1e6, tuple(peaks), growth)


def jitter_ns(pictures: Sequence[Picture]) -> list[float]:
    """By how much the time between two answers differs from that between their pictures' intended arrivals."""
    answers = [
        (picture.end.shown_ns, picture.intended_ns) for picture in pictures if picture.end and picture.end.judged
    ]
    return [
        abs((shown - shown_before) - (intended - intended_before))
        for (shown_before, intended_before), (shown, intended) in pairwise(answers)
    ]


def longest_gap_ms(pictures: Sequence[Picture]) -> float | None:
    """Longest time between two answers. A pause of the stream is one, too."""
    shown = sorted(picture.end.shown_ns for picture in pictures if picture.end and picture.end.judged)
    return float(np.diff(shown).max()) / 1e6 if len(shown) > 1 else None


STAGES = (
    "generator",
    "capture",
    "waiting",
    "preprocess",
    "infer",
    "postprocess",
    "recording",
    "showing",
    "overhead",
    "to verdict",
    "to reader",
)


def stages_ns(pictures: Sequence[Picture]) -> Mapping[str, list[float]]:
    """Of the judged pictures, what each part of the way took.

    generator to showing follow each other. overhead: from capture to verdict, without preprocessing and inference. to
    verdict, to reader: from intended arrival.
    """
    stages: dict[str, list[float]] = {name: [] for name in STAGES}
    for picture in pictures:
        end = picture.end
        if end is None or not end.judged:
            continue
        computed = (end.preprocess_ms + end.infer_ms) * 1e6
        took = (
            picture.sent_ns - picture.intended_ns,
            end.captured_ns - picture.sent_ns,
            end.taken_ns - end.captured_ns,
            end.preprocess_ms * 1e6,
            end.infer_ms * 1e6,
            end.postprocess_ms * 1e6,
            end.verdict_ns - end.taken_ns - computed - end.postprocess_ms * 1e6,
            end.shown_ns - end.verdict_ns,
            end.verdict_ns - end.captured_ns - computed,
            end.verdict_ns - picture.intended_ns,
            end.shown_ns - picture.intended_ns,
        )
        for name, time_ns in zip(STAGES, took, strict=True):
            stages[name].append(time_ns)
    return stages
