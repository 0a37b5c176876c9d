"""Results: what became of each frame, what the operator is told, what a run amounts to.

Every frame ends as exactly one Verdict. Alerts are information signals, not IEC 60601-1-8 alarms.
Every record carries the NOTICE when it is written or shown. Not for: deciding anything (policy.py does).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

NOTICE = "Research use only. Decision support: not a clinical finding. 研究用・臨床使用不可"

Laterality = Literal["left", "right", "unknown"]  # of the coronary artery, never DICOM (0020,0060)


class Outcome(StrEnum):
    """How a frame ended. MET and LATE were judged; the others were not, and say why."""

    MET = "MET"
    LATE = "LATE"
    DROPPED = "DROPPED"
    FAILED = "FAILED"
    DUPLICATE = "DUPLICATE"


@dataclass(frozen=True, slots=True)
class KeyframeFinding:
    """What the keyframe model says of one frame. Scores are in [0, 1].

    laterality: "unknown" is a legal answer. laterality_score: score of the likelier side, whatever is answered.
    key_frame_score: P(better), both sides together. class_scores: one per label, in the manifest's order.
    """

    laterality: Laterality
    laterality_score: float
    key_frame_score: float
    class_scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Where a frame's time went, ms. end_to_end counts from acquired_ns, so it holds the waiting too."""

    source: float = 0.0
    preprocess: float = 0.0
    infer: float = 0.0
    postprocess: float = 0.0
    end_to_end: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The one verdict of one frame. finding is present exactly when outcome is MET or LATE.

    engine: the one that judged it, "openvino (fallback for tensorrt)" after a failover; None without a finding.
    """

    id: str
    pass_id: str
    run_id: str
    frame_index: int
    outcome: Outcome
    reason: str | None
    finding: KeyframeFinding | None
    latency_ms: StageTimes
    engine: str | None
    type: Literal["verdict"] = field(default="verdict", init=False)


@dataclass(frozen=True, slots=True)
class Alert:
    """An information signal to the operator: this frame looks like a key frame.

    verdict_id: the verdict it rests on. frame_index: 0-based. raised_at_frame: whose verdict let it be raised.
    late: True if frame_index is older than the policy's stale limit when raised; then it is not a live alert.
    engine: the one that judged that frame, as its verdict says.
    """

    id: str
    pass_id: str
    run_id: str
    kind: Literal["key_frame"]
    frame_index: int
    raised_at_frame: int
    laterality: Laterality
    score: float
    verdict_id: str
    late: bool
    engine: str
    type: Literal["alert"] = field(default="alert", init=False)


@dataclass(frozen=True, slots=True)
class Percentiles:
    """A latency distribution, ms, over the frames that were judged."""

    p50: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What one run amounts to once its last frame is judged. The books: sum(verdicts.values()) == frames.

    key_frames: 0-based indices, best first. laterality_mismatch: the C-arm angle and the vote disagree in a way that
    deserves a look (None where the object tells no angle); the angle never decides laterality.
    engine: whatever judged its frames, in turn: "tensorrt, openvino (fallback for tensorrt)".
    """

    id: str
    pass_id: str
    run_id: str
    source: str
    frames: int
    verdicts: dict[str, int]
    laterality: Laterality
    laterality_score: float
    key_frames: tuple[int, ...]
    key_frame_scores: tuple[float, ...]
    positioner_primary_angle_deg: float | None
    positioner_secondary_angle_deg: float | None
    laterality_mismatch: bool | None
    latency_ms: dict[str, Percentiles]
    frame_rate_hz: float
    frame_rate_origin: str
    flags: tuple[str, ...]
    bundle: str
    manifest_sha256: str
    engine: str
    type: Literal["run"] = field(default="run", init=False)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An input that could not be judged at all, and why. It stays where it is and is listed here: nothing is lost."""

    id: str
    source: str
    error: str
    message: str
    type: Literal["refusal"] = field(default="refusal", init=False)


Record = Verdict | Alert | RunSummary | Refusal
