"""The records: how each frame ended, alerts to the operator, summaries of runs, what is read and drafted of studies,
what people decide about it, engine changes.

Every frame ends as exactly one Verdict. Alerts are information signals, not IEC 60601-1-8 alarms.
Every record carries a notice: NOTICE, or what its bundles' manifests ask for. The annotations are the rules that
records.py checks.
Not for: deciding anything (policy.py does).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Generic, Literal, Self

import numpy as np
from annotated_types import Ge, Le, MaxLen, MinLen, Predicate
from typing_extensions import TypeVar

NOTICE = "Research use only. Decision support: not a clinical finding. 研究用・臨床使用不可"
# What stands there for a bundle that was signed all the same (cathrt export --sign-anyway).
NO_BETTER_NOTICE = (
    f"{NOTICE} THIS NETWORK DID NO BETTER THAN CHANCE when it was exported: its answers mean nothing. "
    "このネットワークの正答率は偶然と同程度です"
)
UNPROVEN_NOTICE = (
    f"{NOTICE} THIS NETWORK WAS NOT SHOWN TO DO BETTER THAN CHANCE: too few runs of known truth when it was exported. "
    "このネットワークの性能は未確認です"
)
NOTICES = (NOTICE, UNPROVEN_NOTICE, NO_BETTER_NOTICE)  # the gravest last
# Over every draft, in both languages, whatever it says.
WATERMARK = "PRELIMINARY DRAFT - research use only, not for clinical use, not confirmed by a physician"
WATERMARK_JA = "下書き（暫定） 研究用・臨床使用不可・医師による確認なし"

# live: each frame when it is captured. realtime: each frame of a recorded run when it is due. max: as fast as judged.
Rate = Literal["live", "realtime", "max"]
BY_THE_CLOCK = ("live", "realtime")  # at these a frame has a deadline
Score = Annotated[float, Ge(0.0), Le(1.0)]
Count = Annotated[int, Ge(0)]
Identifier = Annotated[str, MinLen(1), Predicate(str.isprintable)]
Notice = Annotated[str, Predicate(NOTICES.__contains__)]


def has_time_zone(text: str) -> bool:
    """Whether it is an ISO 8601 moment that names its time zone."""
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def is_sha256(text: str) -> bool:
    """Whether it has the form of a SHA-256: 64 hex digits, small letters."""
    return len(text) == 64 and set(text) <= set("0123456789abcdef")


class Outcome(StrEnum):
    """How a frame ended. MET and LATE were judged; the others were not, and say why."""

    MET = "MET"
    LATE = "LATE"
    DROPPED = "DROPPED"
    FAILED = "FAILED"
    DUPLICATE = "DUPLICATE"


JUDGED = (Outcome.MET, Outcome.LATE)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck:
    """A sentence that was taken out of a draft's text. reason: in one word. detail: what was wrong with it."""

    language: Literal["en", "ja"]
    reason: str
    detail: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What one model writes of a study. Each kind of model has a dataclass of its own, which narrows `kind`.

    text, text_ja: what is left of the text once it was checked, in English and in Japanese; None where withheld.
    struck: sentences that the check has taken out. omitted: what a text leaves out, though the facts have it, with the
    language in front.
    withheld: why nobody is shown a text; None where there is one.
    """

    kind: str
    bundle: str
    manifest_sha256: str
    engine: str
    text: str | None
    text_ja: str | None
    struck: tuple[Struck, ...]
    omitted: tuple[str, ...]
    withheld: str | None

    @property
    def in_words(self) -> tuple[str, ...]:
        """The facts that it rests on, as lines that a person reads."""
        return ()


# What a question of a study, or of one segment of its arteries, is answered with: the probability of one thing, an
# amount, or the likeliest of several categories.
AnswerForm = Literal["probability", "amount", "category"]
# Why a run counts in the reading of its study, or does not.
WhyRun = Literal["counts", "modality", "fluoroscopy", "still", "no_side", "beyond", "unreadable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFinding:
    """What a model says of one question. name: as its weights call it. title, asks: in words.

    artery, segment: which it is about, by the model's keys; None for the whole study. value: a probability, an amount,
    or the probability of the likeliest category. threshold: above which it is called; None where nothing is.
    positive: whether it is. margin: how far its raw output lies beyond the threshold, in logits or in `unit`s.
    label, label_ja: the call, or the category, in words; "" for an amount without a threshold.
    """

    name: Identifier
    title: str
    asks: str
    artery: str | None
    segment: str | None
    form: AnswerForm
    value: float
    unit: str
    threshold: float | None
    positive: bool | None
    margin: float | None
    label: str
    label_ja: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one model reads in all runs of a study together. Each kind of model has a dataclass that narrows `kind`.

    findings: in the model's order; () where withheld. withheld: why nobody is shown any; None where there are.
    text, text_ja: one line that a person reads, in English and in Japanese.
    """

    kind: str
    bundle: str
    manifest_sha256: str
    engine: str
    findings: tuple[StudyFinding, ...]
    withheld: str | None
    text: str
    text_ja: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRead:
    """One run of a study, and whether it counts in a reading. place: 1 for the first in time; None where it does not.

    why: in one word. counted: how much it counted in the answers; of all that count, 1. None where it does not.
    """

    run_id: Identifier
    pass_id: Identifier
    place: Annotated[int, Ge(1)] | None
    why: WhyRun
    counted: Score | None = None


FindingT = TypeVar("FindingT", bound=Finding, default=Finding, covariant=True)
NewsT = TypeVar("NewsT", bound=News, default=News, covariant=True)
ResultT = TypeVar("ResultT", bound=RunResult, default=RunResult, covariant=True)
DraftT = TypeVar("DraftT", bound=Draft, default=Draft, covariant=True)
ReadingT = TypeVar("ReadingT", bound=Reading, default=Reading, covariant=True)


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
    notice: Notice = field(default=NOTICE, kw_only=True)


@dataclass(frozen=True, slots=True)
class Verdict(Generic[FindingT]):
    """The one verdict of one frame.

    findings: one of each model when outcome is MET or LATE; what the others found where one model FAILED; else none.
    retry: True where it FAILED for a reason of ours (engine, decoder process, memory) and the picture may be whole: a
        later replay judges the run again, in a new pass.
    acquired_ns: reading of the monotonic clock from which end_to_end counts; None in journals of earlier builds.
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
    acquired_ns: int | None = field(default=None, kw_only=True)
    notice: Notice = field(default=NOTICE, kw_only=True)


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
    notice: Notice = field(default=NOTICE, kw_only=True)


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
    notice: Notice = field(default=NOTICE, kw_only=True)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An input that could not be judged at all, and why. It stays where it is and is listed here: nothing is lost."""

    type: Literal["refusal"] = field(default="refusal", kw_only=True)
    id: Identifier
    source: str
    error: str
    message: str
    notice: Notice = field(default=NOTICE, kw_only=True)


@dataclass(frozen=True, slots=True)
class StudyDraft(Generic[DraftT]):
    """A draft of a study's report, once for each study and revision. Always preliminary, never final.

    study: a name of ours for the study, which says nothing of the patient. revision: 1; one more for each addendum.
    run_ids: the runs that it rests on, in order. unjudged: further ones, which could not be judged. after_study_s: from
    the end of the study to this record, by the wall clock; None for recorded runs, which nobody has ended.
    """

    type: Literal["draft"] = field(default="draft", kw_only=True)
    id: Identifier
    study: Identifier
    revision: Annotated[int, Ge(1)]
    run_ids: tuple[Identifier, ...]
    unjudged: Count
    after_study_s: float | None
    draft: DraftT
    preliminary: Literal[True] = field(default=True, kw_only=True)
    watermark: Annotated[str, Predicate(WATERMARK.__eq__)] = field(default=WATERMARK, kw_only=True)
    watermark_ja: Annotated[str, Predicate(WATERMARK_JA.__eq__)] = field(default=WATERMARK_JA, kw_only=True)
    notice: Notice = field(default=NOTICE, kw_only=True)


@dataclass(frozen=True, slots=True)
class StudyFindings(Generic[ReadingT]):
    """What a model reads in a study, once for each revision. Two models give two records; neither changes the other.

    study: as StudyDraft's. revision: 1; one more for each time that this model has read the study. provisional: read
    before the study's end, from the runs so far. ended: which revision of the study's end this is of; None for a
    provisional one and for recorded runs, which nobody has ended. unjudged, after_study_s: as StudyDraft's.
    runs: all of the study, those that count first, in their order. rests_on: a hash of all that the answers rest on.
    """

    type: Literal["study"] = field(default="study", kw_only=True)
    id: Identifier
    study: Identifier
    revision: Annotated[int, Ge(1)]
    provisional: bool
    ended: Annotated[int, Ge(1)] | None
    runs: tuple[RunRead, ...]
    unjudged: Count
    after_study_s: float | None
    rests_on: Identifier
    reading: ReadingT
    notice: Notice = field(default=NOTICE, kw_only=True)


@dataclass(frozen=True, slots=True)
class StudyEnded:
    """A study has ended and each of its runs is judged: what it amounts to may leave the house. Once for each revision.

    study, revision, run_ids, unjudged, after_study_s: as of a draft.
    """

    type: Literal["ended"] = field(default="ended", kw_only=True)
    id: Identifier
    study: Identifier
    revision: Annotated[int, Ge(1)]
    run_ids: tuple[Identifier, ...]
    unjudged: Count
    after_study_s: Annotated[float, Ge(0.0)]
    notice: Notice = field(default=NOTICE, kw_only=True)


# What a person may decide about: one frame as a key frame of its run, the coronary artery that a run shows, one finding
# of a model that reads studies, all results of a study's revision together.
About = Literal["key_frame", "side", "finding", "results"]
DecidedWhat = Literal["accepted", "corrected", "rejected"]
# ISO 8601 with a time zone, by the wall clock of the box.
WallTime = Annotated[str, Predicate(has_time_zone)]
# A person's own words; several lines are allowed.
Words = Annotated[str, MaxLen(2000)]
Sha256 = Annotated[str, Predicate(is_sha256)]


@dataclass(frozen=True, slots=True)
class Thing:
    """What a decision is about. Of two decisions about the same thing the later one stands.

    run_id: of a key frame or a side. frame_index: 0-based, of a key frame. bundle, finding: which model's, and which of
    its findings by name. The results of a study have none of these.
    """

    kind: About
    run_id: Identifier | None = None
    frame_index: Count | None = None
    bundle: Identifier | None = None
    finding: Identifier | None = None


@dataclass(frozen=True, slots=True)
class Correction:
    """What a person says instead. One of these: the rest is None.

    frame_index: of a key frame, the frame to take in its place. added: this frame, which no model has marked, is a key
    frame. side: of a run. value, positive, label: of a finding, by its form: an amount, a probability, a category.
    """

    frame_index: Count | None = None
    added: Literal[True] | None = None
    side: Literal["left", "right", "unknown"] | None = None
    value: float | None = None
    positive: bool | None = None
    label: Annotated[str, MinLen(1), MaxLen(64), Predicate(str.isprintable)] | None = None


@dataclass(frozen=True, slots=True)
class ModelSaid:
    """What the model had said of the thing when a person decided.

    marked: of a frame, whether it was among the model's key frames. score: of that frame, or of the likelier side.
    side: of a run. score_instead: of a key frame, what the model gave the frame that is taken in its place. value,
    positive, label: of a finding.
    """

    bundle: Identifier
    manifest_sha256: Sha256
    engine: str
    marked: bool | None = None
    score: Score | None = None
    score_instead: Score | None = None
    side: Literal["left", "right", "unknown"] | None = None
    value: float | None = None
    positive: bool | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class PersonDecided:
    """A person has accepted, corrected or rejected one thing of a study. It changes no record of a model.

    study: as StudyDraft's. revision: of the study's end that was on the screen; 0 before it has ended. said: None for
    the results of a study. shown: ids of the records that were on the screen. follows: the decision about the same
    thing that stood until now, and was on the screen; None for the first. by, by_name: the user and what they are
    called. text: in their words.
    """

    type: Literal["decision"] = field(default="decision", kw_only=True)
    id: Identifier
    study: Identifier
    revision: Count
    thing: Thing
    what: DecidedWhat
    correction: Correction | None
    said: ModelSaid | None
    shown: tuple[Identifier, ...]
    follows: Identifier | None
    by: Identifier
    by_name: Identifier
    at: WallTime
    text: Words
    notice: Notice = field(default=NOTICE, kw_only=True)


@dataclass(frozen=True, slots=True)
class DraftSigned:
    """A person has read a draft and puts their name to that. The draft stays preliminary.

    draft_id: of its record. text_sha256, text_ja_sha256: of the texts that were on the screen, as UTF-8. The rest as
    PersonDecided's.
    """

    type: Literal["signoff"] = field(default="signoff", kw_only=True)
    id: Identifier
    study: Identifier
    revision: Annotated[int, Ge(1)]
    draft_id: Identifier
    text_sha256: Sha256
    text_ja_sha256: Sha256
    by: Identifier
    by_name: Identifier
    at: WallTime
    text: Words
    notice: Notice = field(default=NOTICE, kw_only=True)


@dataclass(frozen=True, slots=True)
class ReviewFinished:
    """A person has finished the review of a study: what was decided makes a new edition of its objects.

    what: of the results as a whole. run_ids: of the study's end. decisions, signoffs: ids of those that stand and count
    in this edition. shown: ids of the records that it rests on. follows: the review of the same revision before; None
    for the first. The rest as PersonDecided's.
    """

    type: Literal["review"] = field(default="review", kw_only=True)
    id: Identifier
    study: Identifier
    revision: Annotated[int, Ge(1)]
    what: DecidedWhat
    run_ids: tuple[Identifier, ...]
    decisions: tuple[Identifier, ...]
    signoffs: tuple[Identifier, ...]
    shown: tuple[Identifier, ...]
    follows: Identifier | None
    by: Identifier
    by_name: Identifier
    at: WallTime
    text: Words
    notice: Notice = field(default=NOTICE, kw_only=True)


EngineWhat = Literal[
    "started", "down", "up", "off", "loaded", "compared", "swapped", "kept", "rolled_back", "refused"
]  # fmt: skip
EngineReason = Literal[
    "start", "lost", "hung", "errors", "overload", "heat", "healthy", "asked", "agreed", "disagreed", "bundle", "slow",
    "no_frames", "restart",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class EngineChange:
    """What judges a live source has changed, or a bundle that was to be swapped in has come one step further.

    source: name of the live source. kind: of the model. what: "started" on the best rung of the ladder; "down" to a
    lower one, "up" to a better one, "off": no live AI; of a swap: "loaded", "compared", "swapped" in, "kept" for good,
    "rolled_back", "refused".
    from_*, to_*: engine and bundle before and after; None where there is none. rung: 0 for the best, None for no live
    AI; of `rungs`. live_ai: whether frames are judged from now on. took_ms: from the first sign until this record.
    detail: one line for a person.
    """

    type: Literal["engine"] = field(default="engine", kw_only=True)
    id: Identifier
    source: Identifier
    kind: Identifier
    what: EngineWhat
    reason: EngineReason
    from_engine: str | None
    from_manifest_sha256: str | None
    to_engine: str | None
    to_manifest_sha256: str | None
    rung: Count | None
    rungs: Count
    live_ai: bool
    took_ms: Annotated[float, Ge(0.0)]
    detail: str
    notice: Notice = field(default=NOTICE, kw_only=True)


@dataclass(frozen=True, slots=True)
class ProcessStart:
    """A process of `cathrt run` begins to write its journal. From here on, its rows are of this start of the machine.

    boot, monotonic_ns, utc: one moment by the clock that processes of a machine share, and by the wall clock (ISO
    8601).
    """

    type: Literal["start"] = field(default="start", kw_only=True)
    id: Identifier
    process: Identifier
    version: Identifier
    boot: Identifier
    monotonic_ns: int
    utc: Identifier
    notice: Notice = field(default=NOTICE, kw_only=True)


Record = (
    PassStart
    | Verdict
    | Alert
    | RunSummary
    | Refusal
    | StudyDraft
    | StudyEnded
    | StudyFindings
    | PersonDecided
    | DraftSigned
    | ReviewFinished
    | EngineChange
    | ProcessStart
)


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
