"""What the keyframe model puts into records: a finding a frame, key-frame news, a result a run.

Not for: how they come about (finding.py, policy.py, run.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cathrt.runtime.alert import Finding, News, RunResult, Score

Laterality = Literal["left", "right", "unknown"]  # of the coronary artery, never DICOM (0020,0060)


@dataclass(frozen=True, slots=True)
class KeyframeFinding(Finding):
    """What the keyframe model says of one frame. score: P(better), both sides together.

    laterality: "unknown" is a legal answer. laterality_score: score of the likelier side, whatever is answered.
    class_scores: one per label, in the manifest's order.
    """

    kind: Literal["keyframe"] = field(default="keyframe", kw_only=True)
    laterality: Laterality
    laterality_score: Score
    class_scores: tuple[Score, ...]


@dataclass(frozen=True, slots=True)
class KeyFrameNews(News):
    """This frame looks like a key frame. score: P(better)."""

    kind: Literal["key_frame"] = field(default="key_frame", kw_only=True)
    laterality: Laterality


@dataclass(frozen=True, slots=True)
class KeyframeResult(RunResult):
    """The run's side by vote and its key frames, which are the marked frames, best first.

    laterality_mismatch: the C-arm angle and the vote disagree in a way that deserves a look (None where the object
    tells no angle, or no side was found); the angle never decides laterality.
    """

    kind: Literal["keyframe"] = field(default="keyframe", kw_only=True)
    laterality: Laterality
    laterality_score: Score
    laterality_mismatch: bool | None
