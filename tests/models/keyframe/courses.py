"""Made-up runs for the policy: score courses as functions of time, taken at any frame rate."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import pairwise

from cathrt.runtime.model_kind import Judged
from cathrt.runtime.models.keyframe.announce import KeyFrameAnnouncer
from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig
from cathrt.runtime.models.keyframe.records import KeyframeFinding, Laterality

RATES = (7.5, 15.0, 30.0)
CONFIG = KeyframePolicyConfig()
THRESHOLD = 0.5

Course = Callable[[float], float]


def judged(index: int, due_ms: float, score: float, outside: str | None = None) -> Judged:
    side: Laterality = "left" if outside is None else "unknown"
    finding = KeyframeFinding(side, 0.9, (0.9, 0.1), outside, engine="fake", score=score)
    return Judged(index, due_ms, f"v{index}", finding)


def frames(scores: Sequence[float], fps: float = 15.0) -> list[Judged]:
    return [judged(i, i * 1000.0 / fps, score) for i, score in enumerate(scores)]


def taken(course: Course, fps: float, duration_s: float = 6.0) -> list[Judged]:
    """The run that a detector of so many frames a second sees of the course."""
    return frames([course(index / fps) for index in range(round(duration_s * fps))], fps)


def announced(
    run: Sequence[Judged],
    threshold: float = THRESHOLD,
    config: KeyframePolicyConfig = CONFIG,
    eligible: Callable[[Judged], bool] = lambda frame: True,
    evidence: float | None = None,
) -> list[tuple[int, int]]:
    """(key frame, frame at which it was announced) of a run."""
    policy = KeyFrameAnnouncer(threshold, config, evidence)
    told = [
        (key.index, frame.index)
        for frame in run
        if (key := policy.observe(frame, eligible=eligible(frame))) is not None
    ]
    last = policy.finish()
    return told + ([(last.index, run[-1].index)] if last is not None else [])


def injection(best: float, low: float = 0.05, start_s: float = 1.0) -> Course:
    """Rises over 1 s from start_s on, stays filled for 1 s, washes out over 1.5 s."""
    corners = [(start_s, low), (start_s + 1.0, best), (start_s + 2.0, best), (start_s + 3.5, low)]

    def course(at_s: float) -> float:
        for (begin, before), (end, after) in pairwise(corners):
            if begin <= at_s < end:
                return before + (after - before) * (at_s - begin) / (end - begin)
        return low

    return course


def beating(course: Course, depth: float = 0.3, period_s: float = 0.8) -> Course:
    """The same, blurred for half of every beat: best at 0, period_s, 2 period_s ..."""

    def moved(at_s: float) -> float:
        phase = at_s / period_s % 1.0
        return course(at_s) * (1.0 - depth * min(phase, 1.0 - phase) * 2.0)

    return moved


def noisy(run: Sequence[Judged], spread: float, seed: int = 0) -> list[Judged]:
    generator = random.Random(seed)
    return [
        judged(frame.index, frame.due_ms, min(max(frame.finding.score + generator.gauss(0.0, spread), 0.0), 1.0))
        for frame in run
    ]


def times_s(run: Sequence[Judged], indices: Sequence[int]) -> list[float]:
    return [run[index].due_ms / 1000.0 for index in indices]
