"""Results: what became of each frame, what the operator is told, what a run amounts to.

Every frame ends as exactly one Verdict. Alerts are information signals, not IEC 60601-1-8 alarms.
Every record carries the NOTICE when it is written or shown. The annotations are the rules that records.py checks.
Not for: deciding anything (policy.py does).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Generic, Literal, Self

import numpy as np
from annotated_types import Ge, Le, MinLen, Predicate
from typing_extensions import TypeVar

NOTICE = "Research use only. Decision support: not a clinical finding. 研究用・臨床使用不可"

Laterality = Literal["left", "right", "unknown"]  # of the coronary artery, never DICOM (0020,0060)
Rate = Literal["realtime", "max"]  # each frame when it is due, with a deadline; or as fast as judged, with none
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
class PassStart:
    """A pass begins: one judging of one run. Its verdicts, alerts and summary bear the same pass_id.

    source: what a person would call the run. rate, engine, manifest_sha256, attempt: of what the pass's identity rests
    on (pass_identity.py); engine is the one in force when the pass began. attempt: 1, or one more than the pass whose
    frames failed for a reason of ours and are judged again here.
    """

    type: Literal["pass"] = field(default="pass", kw_only=True)
    id: Identifier
    pass_id: Identifier
    run_id: Identifier
    source: str
    rate: Rate
    attempt: Annotated[int, Ge(1)]
    engine: str
    manifest_sha256: str


@dataclass(frozen=True, slots=True)
class Verdict(Generic[FindingT]):
    """The one verdict of one frame. finding is present exactly when outcome is MET or LATE.

    engine: the one that judged it, "openvino (fallback for tensorrt)" after a failover; None without a finding.
    retry: True where it FAILED for a reason of ours (engine, decoder process, memory) and the picture may be whole: a
        later replay judges the run again, in a new pass.
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
    retry: bool


@dataclass(frozen=True, slots=True)
class LiveUntil:
    """A moment by the monotonic clock that all processes of a machine share, ns. boot: which start of its kernel."""

    boot: Identifier
    monotonic_ns: int


@dataclass(frozen=True, slots=True)
class Alert:
    """An information signal to the operator: this frame looks like a key frame.

    verdict_id: the verdict it rests on. frame_index: 0-based. raised_at_frame: whose verdict let it be raised.
    late: whether it comes later than policy.stale_s after its frame was due, by the clock; then it is not a live alert.
        Stored: when it was raised. Shown: when it is shown (lateness.py). None at rate max, where no frame is due and
        no alert is live.
    live_until: when it becomes late; None where late is None, or where an earlier process judged the frame.
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
    late: bool | None
    live_until: LiveUntil | None
    engine: str


@dataclass(frozen=True, slots=True)
class Percentiles:
    """A distribution of times, ms."""

    p50: float
    p95: float
    p99: float
    max: float

    @classmethod
    def over(cls, values_ms: Sequence[float]) -> Self:
        """The distribution of at least one value; numpy interpolates between two neighbours."""
        p50, p95, p99 = np.percentile(values_ms, [50.0, 95.0, 99.0])
        return cls(p50=float(p50), p95=float(p95), p99=float(p99), max=max(values_ms))


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What one run amounts to once its last frame is judged. The books: sum(verdicts.values()) == frames.

    verdicts: by Outcome. key_frames: 0-based indices, best first, each with its score.
    laterality_mismatch: the C-arm angle and the vote disagree in a way that deserves a look (None where the object
    tells no angle); the angle never decides laterality. latency_ms: of each stage, over the frames that were judged.
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


Record = PassStart | Verdict | Alert | RunSummary | Refusal


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A durable record as a sink gets it. body: its canonical JSON (UTF-8, one line), byte for byte as stored.

    But for an alert's `late`: it was stored as live and is not live any more when it is shown.
    records.record_from_body makes the record of it. seq: number of its row, from 1.
    """

    seq: int
    id: str
    type: str
    body: bytes
