"""The records: how each frame ended, alerts to the operator, the summary of a run.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one model says of one frame. Each kind of model has a dataclass of its own, which narrows `kind`.

    engine: the one that computed it, "openvino (fallback for tensorrt)" after a failover.
    score: the one number that a reader may draw over the run; what it means is for the kind to say.
    """

    kind: str
    engine: str
    score: Score


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What one model has to tell the operator about one frame. Each piece of news has a dataclass that narrows `kind`.

    text, text_ja: one line that a person reads, in English and in Japanese.
    """

    kind: str
    score: Score
    text: str
    text_ja: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What one run amounts to for one model. Each kind of model has a dataclass of its own, which narrows `kind`.

    engine: whatever computed its findings, in turn: "tensorrt, openvino (fallback for tensorrt)".
    marked_frames: 0-based indices of the frames to look at, best first, each with its score.
    text, text_ja: one line that a person reads, in English and in Japanese.
    """

    kind: str
    bundle: str
    manifest_sha256: str
    engine: str
    marked_frames: tuple[Count, ...]
    marked_scores: tuple[Score, ...]
    text: str
    text_ja: str


FindingT = TypeVar("FindingT", bound=Finding, default=Finding, covariant=True)
NewsT = TypeVar("NewsT", bound=News, default=News, covariant=True)
ResultT = TypeVar("ResultT", bound=RunResult, default=RunResult, covariant=True)


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Where a frame's time went, ms. end_to_end counts from acquired_ns, so it holds the waiting too."""

    source: float
    preprocess: float
    infer: float
    postprocess: float
    end_to_end: float


@dataclass(frozen=True, slots=True)
class PassModel:
    """A model that a pass judges with. engine: the one in force when the pass began."""

    kind: str
    manifest_sha256: str
    engine: str


@dataclass(frozen=True, slots=True)
class PassStart:
    """A pass begins: one judging of one run. Its verdicts, alerts and summary bear the same pass_id.

    source: what a person would call the run. rate, models, attempt: of what the pass's identity rests on
    (pass_identity.py). attempt: 1, or one more than the pass whose frames failed for a reason of ours and are judged
    again here.
    """

    type: Literal["pass"] = field(default="pass", kw_only=True)
    id: Identifier
    pass_id: Identifier
    run_id: Identifier
    source: str
    rate: Rate
    attempt: Annotated[int, Ge(1)]
    models: tuple[PassModel, ...]


@dataclass(frozen=True, slots=True)
class Verdict(Generic[FindingT]):
    """The one verdict of one frame.

    findings: one of each model when outcome is MET or LATE; what the others found where one model FAILED; else none.
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
    findings: tuple[FindingT, ...]
    latency_ms: StageTimes
    retry: bool


@dataclass(frozen=True, slots=True)
class LiveUntil:
    """A moment by the monotonic clock that all processes of a machine share, ns. boot: which start of its kernel."""

    boot: Identifier
    monotonic_ns: int


@dataclass(frozen=True, slots=True)
class Alert(Generic[NewsT]):
    """An information signal to the operator about one frame.

    verdict_id: the verdict it rests on. frame_index: 0-based. raised_at_frame: whose verdict let it be raised.
    late: whether it comes later than line.stale_s after its frame was due, by the clock; then it is not a live alert.
        Stored: when it was raised. Shown: when it is shown (lateness.py). None at rate max, where no frame is due and
        no alert is live.
    live_until: when it becomes late; None where late is None, or where an earlier process judged the frame.
    engine: the one that computed the finding it rests on. news: what the operator is shown.
    """

    type: Literal["alert"] = field(default="alert", kw_only=True)
    id: Identifier
    pass_id: Identifier
    run_id: Identifier
    frame_index: Count
    raised_at_frame: Count
    verdict_id: Identifier
    late: bool | None
    live_until: LiveUntil | None
    engine: str
    news: NewsT


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
class RunSummary(Generic[ResultT]):
    """What one run amounts to once its last frame is judged. The books: sum(verdicts.values()) == frames.

    verdicts: by Outcome. latency_ms: of each stage, over the frames that were judged. results: one of each model.
    """

    type: Literal["run"] = field(default="run", kw_only=True)
    id: Identifier
    pass_id: Identifier
    run_id: Identifier
    source: str
    frames: Count
    verdicts: dict[str, Count]
    positioner_primary_angle_deg: float | None
    positioner_secondary_angle_deg: float | None
    latency_ms: dict[str, Percentiles]
    frame_rate_hz: float
    frame_rate_origin: str
    flags: tuple[str, ...]
    results: tuple[ResultT, ...]


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
