"""When a key frame is announced while its run goes on. Plain state, no clock: time is the frames' own.

Announcing live must not wait for the run's end, so it takes the best frame so far once that is confirmed: the stretch
is over, or has not improved for a while. Not for: the key frames of a whole run (ranking.py), which sees everything
and may prefer other frames.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median_low

from cathrt.runtime.model_kind import Judged
from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig
from cathrt.runtime.models.keyframe.ranking import above_baseline
from cathrt.runtime.models.keyframe.records import keyframe_of

_SLACK_MS = 1e-3  # due times are multiples of a frame's time, with rounding errors


class Course:
    """A run's scores so far.

    level: median over smoothing_s up to the newest frame (of an even number the lower one), so that one frame alone
    never moves it, at any frame rate. baseline: the lowest mean over baseline_s so far, or None until the run has
    lasted that long; a dip that is shorter than baseline_s moves it little.
    """

    def __init__(self, config: KeyframePolicyConfig) -> None:
        self._smoothing_ms, self._baseline_ms = config.smoothing_s * 1000.0, config.baseline_s * 1000.0
        self._recent: deque[tuple[Judged, bool]] = deque()
        self._began_ms = 0.0
        self.level = 0.0
        self.baseline: float | None = None

    def add(self, frame: Judged, *, eligible: bool) -> None:
        """The next frame. eligible: an alert may be about it."""
        if not self._recent:
            self._began_ms = frame.due_ms
        self._recent.append((frame, eligible))
        longest_ms = max(self._smoothing_ms, self._baseline_ms)
        while len(self._recent) > 1 and self._age_ms(self._recent[0][0]) >= longest_ms - _SLACK_MS:
            self._recent.popleft()
        self.level = median_low(_scores(self._within(self._smoothing_ms)))
        if self._lasted(self._baseline_ms):
            mean = fmean(_scores(self._within(self._baseline_ms)))
            self.baseline = mean if self.baseline is None else min(self.baseline, mean)

    @property
    def settled(self) -> bool:
        """The run has lasted smoothing_s: its first frame alone is no level."""
        return self._lasted(self._smoothing_ms)

    def best(self, after_ms: float) -> Judged | None:
        """The eligible frame, due from `after_ms` on, with the best own score of those that the level rests on."""
        frames = [
            frame
            for frame, eligible in self._within(self._smoothing_ms)
            if eligible and frame.due_ms >= after_ms and frame.finding.score >= self.level
        ]
        return max(frames, key=lambda frame: (frame.finding.score, -frame.index), default=None)

    def _within(self, span_ms: float) -> Sequence[tuple[Judged, bool]]:
        frames = [entry for entry in self._recent if self._age_ms(entry[0]) < span_ms - _SLACK_MS]
        return frames or [self._recent[-1]]

    def _age_ms(self, frame: Judged) -> float:
        return self._recent[-1][0].due_ms - frame.due_ms

    def _lasted(self, span_ms: float) -> bool:
        return bool(self._recent) and self._recent[-1][0].due_ms - self._began_ms >= span_ms - _SLACK_MS


@dataclass(frozen=True, slots=True)
class _Candidate:
    """frame: to announce. level: the best so far, reached at at_ms."""

    frame: Judged
    level: float
    at_ms: float


class KeyFrameAnnouncer:
    """Announces key frames of one run while it goes on: hysteresis, refractory time, minimum gap, at most K a run.

    A candidate opens when the level reaches `threshold`, or a lower value (threshold * relative_floor) that lies
    min_rise above the run's baseline: of a pale run the filled part stands out, though no frame of it is good. Its
    frame is the one with the best own score at the best level. It is announced once the level has fallen under the
    release level, or has not been surpassed for confirm_s, or the run ends. Until the level has been released, only
    a better one may open the next candidate: a long plateau of full opacification is one piece of news, improved
    upon, not a stream of alerts.
    A candidate stands out from the run so far (above_baseline) by at least `evidence`, as a run that shows an artery
    does.
    A frame outside the domain only lets time pass. While they are half of the run or more, nothing is announced.
    """

    def __init__(self, threshold: float, config: KeyframePolicyConfig, evidence: float | None = None) -> None:
        """threshold, evidence: key_frame_threshold and run_evidence of the bundle."""
        self._threshold = threshold
        self._evidence = -1.0 if evidence is None else evidence
        self._config = config
        self._course = Course(config)
        self._best: _Candidate | None = None
        self._announced: list[Judged] = []
        self._quiet_until_ms = float("-inf")
        self._must_beat: float | None = None
        self._lowest: float | None = None  # level since the last announcement
        self._release = threshold * config.release_ratio
        self._judged = self._outside = 0

    def observe(self, frame: Judged, *, eligible: bool) -> Judged | None:
        """Take the next judged frame; returns a key frame to announce now, or None.

        eligible: the frame names a side or shows an artery, so that an alert may be about it.
        """
        self._judged += 1
        if keyframe_of(frame).outside is not None:
            self._outside += 1
            return self._confirmed(frame.due_ms)
        course = self._course
        course.add(frame, eligible=eligible)
        if self._best is None:
            if self._lowest is not None:
                self._lowest = min(self._lowest, course.level)
            if course.level < self._release:
                self._must_beat = None
            if course.settled:
                self._best = self._opened(frame.due_ms)
            return None
        if course.level > self._best.level and (better := self._candidate(frame.due_ms)) is not None:
            self._best = better
            return None
        if course.level < self._release_of(self._best):
            return self._announce(frame.due_ms, released=True)
        return self._confirmed(frame.due_ms)

    def finish(self) -> Judged | None:
        """The run is over: announce what is still a candidate. All of a run shorter than smoothing_s is one level."""
        if self._best is None and self._judged > self._outside and not self._course.settled:
            self._best = self._opened(now_ms=0.0)
        return self._announce(now_ms=0.0, released=True) if self._best is not None else None

    def _opened(self, now_ms: float) -> _Candidate | None:
        level, config = self._course.level, self._config
        if len(self._announced) >= config.max_per_run or now_ms < self._quiet_until_ms or self._muted:
            return None
        if self._must_beat is not None and level <= self._must_beat:
            return None
        least = self._threshold * (config.relative_floor if self._risen(level) else 1.0)
        return self._candidate(now_ms) if level >= least and self._evident(level) else None

    def _risen(self, level: float) -> bool:
        """Does the level stand out from the run? After an announcement it must have risen again, not still be high."""
        if self._course.baseline is None:
            return False
        lowest = self._course.baseline if self._lowest is None else max(self._course.baseline, self._lowest)
        return level >= lowest + self._config.min_rise

    def _evident(self, level: float) -> bool:
        return above_baseline(level, self._course.baseline) >= self._evidence

    def _candidate(self, now_ms: float) -> _Candidate | None:
        gap_ms = self._config.min_gap_s * 1000.0
        after_ms = self._announced[-1].due_ms + gap_ms if self._announced else float("-inf")
        frame = self._course.best(after_ms)
        return None if frame is None else _Candidate(frame, self._course.level, now_ms)

    def _confirmed(self, now_ms: float) -> Judged | None:
        best, confirm_ms = self._best, self._config.confirm_s * 1000.0
        if best is None or now_ms - best.at_ms < confirm_ms - _SLACK_MS:
            return None
        return self._announce(now_ms, released=False)

    def _announce(self, now_ms: float, *, released: bool) -> Judged | None:
        best, self._best = self._best, None
        assert best is not None
        if self._muted or not self._evident(best.level):  # the run may have got its baseline only now
            return None
        self._announced.append(best.frame)
        self._quiet_until_ms = now_ms + self._config.refractory_s * 1000.0
        self._release = self._release_of(best)
        self._must_beat = None if released else best.level
        self._lowest = self._course.level
        return best.frame

    def _release_of(self, candidate: _Candidate) -> float:
        """Below it the candidate's stretch is over. One that rose above a low baseline is measured by its own level."""
        return min(self._threshold, candidate.level) * self._config.release_ratio

    @property
    def _muted(self) -> bool:
        return self._outside > 0 and 2 * self._outside >= self._judged


def _scores(frames: Sequence[tuple[Judged, bool]]) -> list[float]:
    return [frame.finding.score for frame, _ in frames]
