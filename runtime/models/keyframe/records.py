"""What the keyframe model puts into records: a finding a frame, key-frame news, a result a run.

Not for: how they come about (finding.py, policy.py, run.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cathrt.runtime.alert import Finding, News, RunResult, Score
from cathrt.runtime.model_kind import Judged, Side

Laterality = Literal["left", "right", "unknown"]  # of the coronary artery, never DICOM (0020,0060)


@dataclass(frozen=True, slots=True)
class KeyframeFinding(Finding):
    """What the keyframe model says of one frame.

    score: its readability; P(better), both sides together, where the bundle has no output for that.
    laterality: "unknown" is a legal answer. laterality_score: score of the likelier side, whatever is answered.
    class_scores: one per label, in the manifest's order. outside: the reason's name in the manifest where the frame is
    outside the domain, and so names no side and is no key frame; else None. vesselness: of the classical filter, at
    least 0, comparable within the run only; None without policy.vessel_filter, or for a frame that lies on a device.
    change: how much the picture moved since the frame judged before, mean absolute difference in stored values; None
    without policy.stillness, of a run's first frame, or where frames lie on a device.
    """

    kind: Literal["keyframe"] = field(default="keyframe", kw_only=True)
    laterality: Laterality
    laterality_score: Score
    class_scores: tuple[Score, ...]
    outside: str | None = None
    vesselness: float | None = None
    change: float | None = None


@dataclass(frozen=True, slots=True)
class KeyFrameNews(News):
    """This frame looks like a key frame. score: that of its finding."""

    kind: Literal["key_frame"] = field(default="key_frame", kw_only=True)
    laterality: Laterality


@dataclass(frozen=True, slots=True)
class KeyframeResult(RunResult):
    """The run's side by vote and its key frames, which are the marked frames, best first.

    laterality_mismatch: the C-arm angle and the vote disagree in a way that deserves a look (None where the object
    tells no angle, or the vote found no side). Unless the vote is overwhelming, laterality is then "unknown"; the
    angle never names the other side.
    outside: the reason's name where at least half of the judged frames are outside the domain; then there is no side
    and no key frame. best_readability: of the first key frame, where the bundle has an output for that.
    best_is_poor: the first key frame is the best available, and poor. filter_prefers: the frame that the classical
    filter would have chosen, where it strongly disagrees with the first key frame.
    """

    kind: Literal["keyframe"] = field(default="keyframe", kw_only=True)
    laterality: Laterality
    laterality_score: Score
    laterality_mismatch: bool | None
    outside: str | None = None
    best_readability: Score | None = None
    best_is_poor: bool = False
    filter_prefers: int | None = None


def side_of(result: RunResult) -> Side | None:
    """The coronary artery that the run shows; None where it is unknown."""
    assert isinstance(result, KeyframeResult)
    return None if result.laterality == "unknown" else result.laterality


def side_score_of(result: RunResult) -> float:
    """Score of the likelier side, whatever is answered."""
    assert isinstance(result, KeyframeResult)
    return result.laterality_score


def tells_readability(result: RunResult) -> bool:
    """Whether the scores of its marked frames are readability, and not P(better)."""
    assert isinstance(result, KeyframeResult)
    return result.best_readability is not None


def cautions_of(result: RunResult) -> tuple[str, ...]:
    """What a reader of the result is to know, each in a word."""
    assert isinstance(result, KeyframeResult)
    told = {
        "outside_the_domain": result.outside is not None,
        "best_key_frame_is_poor": result.best_is_poor,
        "angle_unusual_for_side": bool(result.laterality_mismatch),
        "filter_prefers_another_frame": result.filter_prefers is not None,
    }
    return tuple(name for name, holds in told.items() if holds)


def keyframe_of(judged: Judged) -> KeyframeFinding:
    """The keyframe model's own finding of a frame that it has judged."""
    assert isinstance(judged.finding, KeyframeFinding)
    return judged.finding
