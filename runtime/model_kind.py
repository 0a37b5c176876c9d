"""What the runtime knows of a kind of model: a row of the MODELS table, and the part that such a model takes in a run.

Not for: any single model (its folder), or running networks (line/).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.alert import Draft, Finding, News, Reading, RunRead, RunResult, StudyFinding
from cathrt.runtime.bundle.manifest import Manifest, Section
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import EngineConfig, Policy
from cathrt.runtime.frame import Frame, RadiationSetting, Run, TakenAt


@dataclass(frozen=True, slots=True)
class Judged:
    """A frame that a model has answered, as its part in the run sees it. due_ms counts from the run's first frame.

    due_ns: the clock reading when it was due; None for a frame that an earlier process judged. No rule looks at it.
    """

    index: int
    due_ms: float
    verdict_id: str
    finding: Finding
    due_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Raised:
    """Something to tell the operator. about: the frame that it is about, which may lie before the newest."""

    about: Judged
    news: News


class ModelRun(Protocol):
    """One model's part in one run. Frames come in order; a stored finding is observed as a fresh one is."""

    def finding(self, outputs: Mapping[str, NDArray[Any]], engine: str, frame: Frame) -> Finding:
        """What the network's outputs say of one frame. Raises EngineError where they mean nothing (NaN).

        frame: as the source gave it, for what a model measures beside its network.
        """

    def remember(self, frame: Frame) -> None:
        """Take note of a frame that an earlier process judged, for what is measured from one frame to the next."""

    def observe(self, judged: Judged) -> Sequence[Raised]:
        """Take the next judged frame; returns the news to raise now."""

    def finish(self) -> Sequence[Raised]:
        """The run is over: returns the news that is left."""

    def result(self, engine: str) -> RunResult:
        """What the run amounts to. engine: those that computed findings, in turn, or the one in force."""


class FrameModel(Protocol):
    """A model that answers every frame, opened from its bundle: one for all runs, never changed by one.

    identity: everything of the configuration that its findings and news rest on, by name: part of a pass's identity.
    score_threshold: the score from which on a frame counts for it, as a page draws it; None where there is no such one.
    """

    @property
    def identity(self) -> Mapping[str, str | int | float]: ...
    @property
    def score_threshold(self) -> float | None: ...
    def begin(self, run: Run) -> ModelRun: ...


@dataclass(frozen=True, slots=True)
class OnFrames:
    """How a model of this kind takes part in the line. role: of the network that runs on each frame.

    open: the model of a bundle under the kind's policy.
    """

    role: str
    open: Callable[[Bundle, Policy | None], FrameModel]  # policy: of the kind; None for its defaults


Side = Literal["left", "right"]  # of the coronary arteries, never DICOM (0020,0060)


@dataclass(frozen=True, slots=True)
class FrameOfRun:
    """Which frame: of which run, by its identity, and its 0-based index."""

    run_id: str
    frame_index: int


@dataclass(frozen=True, slots=True)
class StudyRun:
    """What is confirmed of one run of a study. side: the coronary artery that it shows; None where that is unknown.

    key_frames, scores: its frames to look at, best first. Nothing of the run's name or of its patient.
    """

    run_id: str
    pass_id: str
    side: Side | None
    key_frames: tuple[int, ...]
    scores: tuple[float, ...]


class Writer(Protocol):
    """A model that writes drafts of studies. It has one thread that uses it; stop may be set from another one.

    Opening one loads no network: prepare() does, and so does what needs them. All of these raise EngineError; then
    close() gives everything back, and the next call loads the networks anew.
    """

    @property
    def bundle(self) -> Bundle: ...
    def prepare(self) -> None:
        """Load the networks, so that nobody waits for it later."""

    def lacks(self, runs: Sequence[StudyRun]) -> Sequence[FrameOfRun]:
        """The frames whose pictures a draft of these runs shows the model, and which it has not seen yet."""

    def see(self, which: FrameOfRun, run: Run, frame: Frame) -> None:
        """Look at the picture of a frame, and keep what comes of it for the draft. May take long."""

    def write(
        self,
        study: str,
        runs: Sequence[StudyRun],
        stop: threading.Event,
        told: Callable[[], None] = lambda: None,
        readings: Sequence[Sequence[StudyFinding]] = (),
    ) -> Draft | None:
        """A draft of these runs, of which those frames are shown that it has seen. told: comes with each token.
        readings: what each model that reads studies has found in this one; the draft takes its facts from there.

        None once stop is set, within a token. The same study, written again, goes on with what was not finished.
        """

    def withheld(self, reason: str) -> Draft:
        """No draft, and why. Needs no network."""

    def close(self) -> None:
        """Give the networks back, and what was kept. Idempotent."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What decides whether a run counts in its study, and where it stands. Nothing of its name or of its patient.

    arrival: a number that is higher for a run that came later. side: as StudyRun's. notice: of its summary.
    """

    run_id: str
    pass_id: str
    arrival: int
    side: Side | None
    modality: str | None
    radiation_setting: RadiationSetting | None
    frames: int
    taken_at: TakenAt
    positioner_primary_angle_deg: float | None
    positioner_secondary_angle_deg: float | None
    notice: str


Features = NDArray[np.float32]  # of one run: what its clip was encoded to


@dataclass(frozen=True, slots=True)
class StudyRead:
    """A reading, and how much each run counted in it, in the order in which they were given, summing to 1."""

    reading: Reading
    counted: tuple[float, ...]


class Reader(Protocol):
    """A model that reads studies: each run is encoded once, and what was encoded is then read together, often.

    It has one thread that uses it; stop may be set from another one. Opening one loads no network, as of a Writer.
    encoder: a hash of all that features rest on beside a run's pixels. prepare(), encode() and read() raise EngineError
    and ManifestError; then close() gives everything back, and the next call loads the networks anew.
    """

    @property
    def bundle(self) -> Bundle: ...
    @property
    def encoder(self) -> str: ...
    def prepare(self) -> None:
        """Load the networks, so that nobody waits for it later."""

    def chosen(self, runs: Sequence[RunFacts]) -> tuple[RunRead, ...]:
        """Each of a study's runs, and whether it counts: those that do first, in their order. Needs no network."""

    def wanted(self, run: Run) -> tuple[int, ...]:
        """The frames that the run's clip is made of, rising, perhaps repeated. Raises SourceError: there is no clip."""

    def encode(self, run: Run, frames: Sequence[NDArray[Any]], stop: threading.Event) -> Features | None:
        """The clip of a run from the stored values of the wanted frames. None once stop is set: nothing is kept."""

    def read(self, runs: Sequence[RunFacts], features: Sequence[Features]) -> StudyRead:
        """Of the runs that count, in their order, at least one."""

    def withheld(self, reason: str) -> Reading:
        """No findings, and why. Needs no network."""

    def close(self) -> None:
        """Give the networks back. Idempotent."""


@dataclass(frozen=True, slots=True)
class OnStudies:
    """How a model of this kind takes part in studies, under the kind's policy: it writes drafts of them, or reads them.

    One of the two is there.
    """

    writer: Callable[[Bundle, EngineConfig, Policy | None], Writer] | None = None
    reader: Callable[[Bundle, EngineConfig, Policy | None], Reader] | None = None


@dataclass(frozen=True, slots=True)
class DraftFact:
    """One fact that a draft rests on, in words, and where it is: artery and segment as the model names them."""

    text: str
    text_ja: str
    side: Side | None
    artery: str | None = None
    segment: str | None = None


@dataclass(frozen=True, slots=True)
class DraftSentence:
    """One sentence of a draft's text, text[start:end] of its language. facts: which facts it states, by their place."""

    language: Literal["en", "ja"]
    text: str
    start: int
    end: int
    facts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DraftFrame:
    """A key frame that the model was shown for the draft."""

    run_id: str
    frame_index: int
    side: Side | None
    score: float


@dataclass(frozen=True, slots=True)
class DraftLinks:
    """What the sentences of a draft rest on. A draft does not say from which frame a fact came: only which frames the
    model was shown."""

    sentences: tuple[DraftSentence, ...]
    facts: tuple[DraftFact, ...]
    frames: tuple[DraftFrame, ...]


@dataclass(frozen=True, slots=True)
class ModelKind:
    """One row of MODELS. Every dataclass has the field `kind`, narrowed to a Literal.

    section: of the manifest. roles: the networks of its bundles; optional_roles: those of them that a bundle may lack.
    faults: what does not fit in a manifest of this kind.
    policy: its table [policy.<kind>] of the configuration. findings, news, results: its parts of the records.
    on_frames: None for a kind that does not judge single frames. on_studies: None for one that neither writes drafts of
    studies nor reads them. drafts, readings: as findings. side: which coronary artery a run shows by such a result;
    None where the kind cannot tell.
    """

    section: type[Section]
    roles: frozenset[str]
    faults: Callable[[Manifest[Any]], list[str]]
    policy: type[Policy]
    findings: tuple[type[Finding], ...]
    news: tuple[type[News], ...]
    results: tuple[type[RunResult], ...]
    on_frames: OnFrames | None
    on_studies: OnStudies | None = None
    drafts: tuple[type[Draft], ...] = ()
    readings: tuple[type[Reading], ...] = ()
    side: Callable[[RunResult], Side | None] | None = None
    side_score: Callable[[RunResult], float] | None = None  # of the side it names, or of the likelier one
    tells_readability: Callable[[RunResult], bool] | None = None  # whether the scores of marked frames are readability
    cautions: Callable[[RunResult], tuple[str, ...]] | None = None  # what to warn of, each in a word
    links: Callable[[Draft], DraftLinks] | None = None  # what the sentences of its drafts rest on
    optional_roles: frozenset[str] = frozenset()
