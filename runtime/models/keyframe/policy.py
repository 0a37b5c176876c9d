"""When a key frame is announced, and what a whole run amounts to. Plain state, no clock: time is the frames' own.

Announcing live must not wait for the run's end, so it takes the best frame of a stretch once that stretch is over or
has not improved for a while. Ranking at the run's end sees everything and may prefer other frames.
Not for: reading logits (finding.py) or showing anything (sinks/).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Le

from cathrt.runtime.config import Policy
from cathrt.runtime.model_kind import Judged
from cathrt.runtime.models.keyframe.records import Laterality

# Views a C-arm angle makes unlikely for a side (degrees; LAO > 0, CRA > 0). Caudal tilts are chosen to unfold the left
# main and its branches; a plain LAO without tilt is the standard right coronary view (Heart, table of projections).
CAUDAL_TILT_DEG = -15.0
PLAIN_LAO_DEG = (30.0, 70.0)  # beyond it the view is a lateral one, which serves both
PLAIN_TILT_DEG = 10.0


@dataclass(frozen=True, slots=True)
class KeyframePolicyConfig(Policy):
    """When a key frame is announced. Basis: CAG-VLM's five-frame spacing at 15 fps (0.33 s).

    release_ratio: a candidate is over once P(better) falls below threshold * release_ratio (hysteresis).
    confirm_frames: frames without a better one after which a candidate is announced. min_gap_s: between key frames.
    max_per_run: K. min_visible_frames: frames that name a side which the run's laterality needs; with fewer it is
    "unknown".
    """

    release_ratio: Annotated[float, Gt(0.0), Le(1.0)] = 0.7
    confirm_frames: Annotated[int, Ge(1)] = 5
    min_gap_s: Annotated[float, Ge(0.33)] = 0.33
    refractory_s: Annotated[float, Ge(0.0)] = 1.0
    max_per_run: Annotated[int, Ge(1)] = 3
    min_visible_frames: Annotated[int, Ge(1)] = 3
    run_laterality_threshold: Annotated[float, Ge(0.5), Le(1.0)] = 0.6


class KeyFramePolicy:
    """Announces key frames of one run while it goes on: hysteresis, refractory time, minimum gap, at most K a run.

    A candidate opens when P(better) reaches `threshold`. Its best frame is announced once the score has fallen under
    threshold * release_ratio, or no better frame has come for confirm_frames, or the run ends. Until the score has been
    released, only a frame better than the last announced one may open the next candidate: a long plateau of full
    opacification is one piece of news, improved upon, not a stream of alerts.
    """

    def __init__(self, threshold: float, config: KeyframePolicyConfig) -> None:
        self._threshold = threshold
        self._release = threshold * config.release_ratio
        self._config = config
        self._best: Judged | None = None
        self._since_best = 0
        self._announced: list[Judged] = []
        self._quiet_until_ms = float("-inf")
        self._must_beat: float | None = None

    def observe(self, frame: Judged) -> Judged | None:
        """Take the next judged frame; returns a key frame to announce now, or None."""
        if self._best is None:
            if frame.finding.score < self._release:
                self._must_beat = None
            if self._may_open(frame):
                self._best, self._since_best = frame, 0
            return None
        if frame.finding.score > self._best.finding.score:
            self._best, self._since_best = frame, 0
            return None
        self._since_best += 1
        released = frame.finding.score < self._release
        if released or self._since_best >= self._config.confirm_frames:
            return self._announce(frame, released=released)
        return None

    def finish(self) -> Judged | None:
        """The run is over: announce what is still a candidate."""
        return self._announce(self._best, released=True) if self._best is not None else None

    def _may_open(self, frame: Judged) -> bool:
        if len(self._announced) >= self._config.max_per_run or frame.due_ms < self._quiet_until_ms:
            return False
        if self._announced and frame.due_ms - self._announced[-1].due_ms < self._config.min_gap_s * 1000.0:
            return False
        improves = self._must_beat is None or frame.finding.score > self._must_beat
        return frame.finding.score >= self._threshold and improves

    def _announce(self, now: Judged, *, released: bool) -> Judged:
        best = self._best
        assert best is not None
        self._best = None
        self._announced.append(best)
        self._quiet_until_ms = now.due_ms + self._config.refractory_s * 1000.0
        self._must_beat = None if released else best.finding.score
        return best


def rank_key_frames(frames: Sequence[Judged], threshold: float, config: KeyframePolicyConfig) -> list[Judged]:
    """The run's key frames, best first: at most K at or above the threshold, each min_gap_s from the better ones."""
    chosen: list[Judged] = []
    for frame in sorted(frames, key=lambda f: (-f.finding.score, f.index)):
        if frame.finding.score < threshold or len(chosen) == config.max_per_run:
            break
        if all(abs(frame.due_ms - other.due_ms) >= config.min_gap_s * 1000.0 for other in chosen):
            chosen.append(frame)
    return chosen


def vote_laterality(votes: list[tuple[float, float]], config: KeyframePolicyConfig) -> tuple[Laterality, float]:
    """The run's side and its score from (left score, visibility) of every frame that named a side.

    Each frame weighs what it shows: the score is the visibility-weighted mean of the sides. Fewer than
    min_visible_frames votes, or a score under run_laterality_threshold, is "unknown". No vote at all scores 0.
    """
    weight = sum(visibility for _, visibility in votes)
    if weight <= 0.0:
        return "unknown", 0.0
    left = sum(left_score * visibility for left_score, visibility in votes) / weight
    score = min(max(left, 1.0 - left), 1.0)
    if len(votes) < config.min_visible_frames or score < config.run_laterality_threshold:
        return "unknown", score
    return ("left" if left >= 0.5 else "right"), score


def laterality_mismatch(
    laterality: Laterality, primary_angle_deg: float | None, secondary_angle_deg: float | None
) -> bool | None:
    """Whether the C-arm angle makes the voted side unlikely; None without angles or without a side.

    Worth a look, never a correction: angles do not decide the side, and files exist whose angle has the wrong sign.
    """
    if primary_angle_deg is None or secondary_angle_deg is None or laterality == "unknown":
        return None
    if laterality == "right":
        return secondary_angle_deg <= CAUDAL_TILT_DEG
    least, most = PLAIN_LAO_DEG
    return least <= primary_angle_deg <= most and abs(secondary_angle_deg) < PLAIN_TILT_DEG
