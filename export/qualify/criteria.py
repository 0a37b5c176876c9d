"""What one kind of model brings to a qualification: how its answers are compared, what may differ, how that is shown.

Every kind of model has one Criteria for each network that answers frames (models/<kind>/criteria.py). Not for: running
networks (measure.py) and what all kinds share: layers, latency, memory.
N frames of a run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from cathrt.export.qualify.gate import Failure, Gate
from cathrt.export.qualify.worth import Worth
from cathrt.runtime.bundle.manifest import Manifest, Precision
from cathrt.runtime.config import Config

Layers = Sequence[tuple[str, float]]  # (layer, error), worst first
Outputs = Mapping[str, NDArray[np.floating[Any]]]  # by name, as the network gives them for one frame
Pictures = Mapping[tuple[int, int], NDArray[np.uint8]]  # (run number, frame) to grey (rows, columns)
Row = tuple[str, str, str]  # of the page's table: what, found, required


@dataclass(frozen=True, slots=True)
class FrameName:
    """A frame of the qualification set. number: of the run, from 0, since two files may have one name."""

    number: int
    run: str
    frame: int

    def __str__(self) -> str:
        return f"{self.run} frame {self.frame}"


@dataclass(frozen=True, slots=True, eq=False)
class RunAnswers:
    """One run as both networks answered it.

    frames: (N,) 0-based index in the run, rising. due_ms: (N,) from the run's first frame. truths: N, None where not
    known. reference, engine: by output, (N, ...) float64; empty where N is 0. generated: by the phantom. wanted: the
    frames that the model is to find; None where there is none, or that is not known.
    """

    name: str
    frames: NDArray[np.int64]
    due_ms: NDArray[np.float64]
    truths: tuple[str | None, ...]
    reference: Mapping[str, NDArray[np.float64]]
    engine: Mapping[str, NDArray[np.float64]]
    generated: bool = False
    wanted: frozenset[int] | None = None


class Comparison(Protocol):
    """What a kind finds by comparing: a dataclass of its own that pydantic can write and read.

    runs: with at least one frame. frames: compared.
    """

    @property
    def runs(self) -> int: ...
    @property
    def frames(self) -> int: ...


ComparisonT = TypeVar("ComparisonT", bound=Comparison)
GateT = TypeVar("GateT", bound=Gate)


@dataclass(frozen=True, slots=True, eq=False)
class Shown(Generic[ComparisonT, GateT]):
    """How a comparison is written down.

    picture: of the reference's and the engine's outputs: how much a frame's picture tells of the difference; None:
    nothing. The largest are kept.
    figures: for the manifest's evidence: JSON, rounded, finite. of_set: what the evidence says of the set, likewise.
    details: more JSON for the report that is not signed. rows: of the page's table. sections: HTML of the page.
    """

    picture: Callable[[Manifest, Outputs, Outputs], float | None]
    figures: Callable[[ComparisonT], Mapping[str, Any]]
    of_set: Callable[[ComparisonT], Mapping[str, Any]]
    details: Callable[[ComparisonT], Mapping[str, Any]]
    rows: Callable[[ComparisonT, GateT], Sequence[Row]]
    sections: Callable[[ComparisonT, Pictures], Sequence[str]]


@dataclass(frozen=True, slots=True, eq=False)
class Criteria(Generic[ComparisonT, GateT]):
    """How the answers of one network are held against its reference's.

    comparison: type of what `compare` returns. settings: JSON, what `compare` takes from the configuration.
    compare: raises EngineError where the reference gives no answer (NaN). gates: by precision.
    failures: every way in which a gate is missed; none means that the engine may be signed.
    int8_holds: whether int8 answers keep the gate already on the calibration frames.
    shares: names of the limits in the gate that are least shares and that this network has; each is proven run by run.
    shares_of: of these, what one run of at least one frame gives: 0 to 1, by name; none where it says nothing of it.
    worth: of the reference's answers; None for a kind that cannot say. It gives None where no truth is known.
    """

    comparison: type[ComparisonT]
    settings: Callable[[Config], Mapping[str, Any]]
    compare: Callable[[Sequence[RunAnswers], Manifest, Config], ComparisonT]
    gates: Mapping[Precision, GateT]
    failures: Callable[[ComparisonT, GateT, Layers], tuple[Failure, ...]]
    int8_holds: Callable[[Manifest, Sequence[Outputs], Sequence[Outputs], GateT], bool]
    shown: Shown[ComparisonT, GateT]
    shares: Callable[[Manifest], frozenset[str]] = lambda manifest: frozenset()
    shares_of: Callable[[RunAnswers, Manifest, Config], Mapping[str, float]] = lambda run, manifest, config: {}
    worth: Callable[[Sequence[RunAnswers], Manifest, Config], Worth | None] | None = None
