"""What the runtime knows of a kind of model: a row of the MODELS table, and the part that such a model takes in a run.

Not for: any single model (its folder), or running networks (line/).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from cathrt.runtime.alert import Finding, News, RunResult
from cathrt.runtime.bundle.manifest import Manifest, Section
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import Policy
from cathrt.runtime.frame import Run


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

    def finding(self, outputs: Mapping[str, NDArray[Any]], engine: str, pixels: Any) -> Finding:
        """What the network's outputs say of one frame. Raises EngineError where they mean nothing (NaN).

        pixels: the frame's own, as the source gave them (Frame.pixels), for what a model measures beside its network.
        """

    def remember(self, pixels: Any) -> None:
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
    """

    @property
    def identity(self) -> Mapping[str, str | int | float]: ...
    def begin(self, run: Run) -> ModelRun: ...


@dataclass(frozen=True, slots=True)
class OnFrames:
    """How a model of this kind takes part in the line. role: of the network that runs on each frame.

    open: the model of a bundle under the kind's policy.
    """

    role: str
    open: Callable[[Bundle, Policy | None], FrameModel]  # policy: of the kind; None for its defaults


@dataclass(frozen=True, slots=True)
class ModelKind:
    """One row of MODELS. Every dataclass has the field `kind`, narrowed to a Literal.

    section: of the manifest. roles: the networks of its bundles. faults: what does not fit in a manifest of this kind.
    policy: its table [policy.<kind>] of the configuration. findings, news, results: its parts of the records.
    on_frames: None for a kind that does not judge single frames.
    """

    section: type[Section]
    roles: frozenset[str]
    faults: Callable[[Manifest[Any]], list[str]]
    policy: type[Policy]
    findings: tuple[type[Finding], ...]
    news: tuple[type[News], ...]
    results: tuple[type[RunResult], ...]
    on_frames: OnFrames | None
