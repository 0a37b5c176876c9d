"""Results: what became of each frame, what the operator is told, what a run amounts to.

Every frame ends as exactly one Verdict. Alerts are information signals, not IEC 60601-1-8 alarms.
Every record carries the NOTICE when it is written or shown. The annotations are the rules that records.py checks.
Not for: deciding anything (policy.py does).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Generic, Literal

from annotated_types import Ge, Le, MinLen, Predicate
from typing_extensions import TypeVar

NOTICE = "Research use only. Decision support: not a clinical finding. 研究用・臨床使用不可"

Laterality = Literal["left", "right", "unknown"]  # of the coronary artery, never DICOM (0020,0060)
Score = Annotated[float, Ge(0.0), Le(1.0)]
Count = Annotated[int, Ge(0)]
Identifier = Annotated[str, MinLen(1), Predicate(str.isprintable)]


class Outcome(StrEnum):
    """How a frame ended. MET and LATE were judged; the others were not, and say why."""

    MET = "MET"
    LATE = "LATE"
    DROPPED = "DROPPED"
    FAILED = "FAILED"
    DUPLICATE = "DUPLICATE"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a model says of one frame. Each model has a dataclass of its own, which narrows `kind` to its own name."""

    kind: str


FindingT = TypeVar("FindingT", bound=Finding, default=Finding, covariant=True)


@dataclass(frozen=True, slots=True)
class KeyframeFinding(Finding):
    """What the keyframe model says of one frame.

    laterality: "unknown" is a legal answer. laterality_score: score of the likelier side, whatever is answered.
    key_frame_score: P(better), both sides together. class_scores: one per label, in the manifest's order.
    """

    kind: Literal["keyframe"] = field(default="keyframe", kw_only=True)
    laterality: Laterality
    laterality_score: Score
    key_frame_score: Score
    class_scores: tuple[Score, ...]


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Where a frame's time went, ms. end_to_end counts from acquired_ns, so it holds the waiting too."""

    source: float
    preprocess: float
    infer: float
    postprocess: float
    end_to_end: float


@dataclass(frozen=True, slots=True)
class Verdict(Generic[FindingT]):
    """The one verdict of one frame. finding is present exactly when outcome is MET or LATE.

    engine: the one that judged it, "openvino (fallback for tensorrt)" after a failover; None without a finding.
    """

    type: Literal["verdict"] = field(default="verdict", kw_only=True)
    id: Identifier
    pass_id: Identifier
    run_id: Identifier
    frame_index: Count
    outcome: Outcome
    reason: str | None
    finding: FindingT | None
    latency_ms: StageTimes
    engine: str | None


@dataclass(frozen=True, slots=True)
class Alert:
    """An information signal to the operator: this frame looks like a key frame.

    verdict_id: the verdict it rests on. frame_index: 0-based. raised_at_frame: whose verdict let it be raised.
    late: True if frame_index is older than the policy's stale limit when raised; then it is not a live alert.
    engine: the one that judged that frame, as its verdict says.
    """

    type: Literal["alert"] = field(default="alert", kw_only=True)
    id: Identifier
    pass_id: Identifier
    run_id: Identifier
    kind: Literal["key_frame"]
    frame_index: Count
    raised_at_frame: Count
    laterality: Laterality
    score: Score
    verdict_id: Identifier
    late: bool
    engine: str


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

    verdicts: by Outcome. key_frames: 0-based indices, best first, each with its score.
    laterality_mismatch: the C-arm angle and the vote disagree in a way that deserves a look (None where the object
    tells no angle); the angle never decides laterality.
    engine: whatever judged its frames, in turn: "tensorrt, openvino (fallback for tensorrt)".
    """

    type: Literal["run"] = field(default="run", kw_only=True)
    id: Identifier
    pass_id: Identifier
    run_id: Identifier
    source: str
    frames: Count
    verdicts: dict[str, Count]
    laterality: Laterality
    laterality_score: Score
    key_frames: tuple[Count, ...]
    key_frame_scores: tuple[Score, ...]
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


@dataclass(frozen=True, slots=True)
class Refusal:
    """An input that could not be judged at all, and why. It stays where it is and is listed here: nothing is lost."""

    type: Literal["refusal"] = field(default="refusal", kw_only=True)
    id: Identifier
    source: str
    error: str
    message: str


Record = Verdict | Alert | RunSummary | Refusal


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A durable record as a sink gets it. body: its canonical JSON (UTF-8, one line), byte for byte as stored.

    records.record_from_body makes the record of it. seq: number of its row, from 1.
    """

    seq: int
    id: str
    type: str
    body: bytes
