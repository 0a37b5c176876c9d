"""A throw-away kind of model, as a folder of runtime/models would hold it: two inputs, a vector out, news of its own.

It shows what a new model costs: this folder and a row in MODELS. It means nothing clinically.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le
from numpy.typing import NDArray

from cathrt.runtime.alert import Finding, News, RunResult
from cathrt.runtime.bundle.manifest import Manifest, Section
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import Policy
from cathrt.runtime.frame import Frame, Run
from cathrt.runtime.model_kind import Judged, ModelKind, OnFrames, Raised

READER = "reader"


@dataclass(frozen=True, slots=True)
class VectorSection(Section):
    """output: name of the vector, (1, N)."""

    kind: Literal["vector"] = field(default="vector", kw_only=True)
    output: str


@dataclass(frozen=True, slots=True)
class VectorPolicy(Policy):
    """loud: from this score on a frame is news."""

    loud: Annotated[float, Ge(0.0), Le(1.0)] = 0.5


@dataclass(frozen=True, slots=True)
class VectorFinding(Finding):
    """score: the largest component, clamped to [0, 1]."""

    kind: Literal["vector"] = field(default="vector", kw_only=True)
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class LoudNews(News):
    """A frame at or above the policy's limit."""

    kind: Literal["loud"] = field(default="loud", kw_only=True)
    component: int


@dataclass(frozen=True, slots=True)
class VectorResult(RunResult):
    """mean: of each component over the run."""

    kind: Literal["vector"] = field(default="vector", kw_only=True)
    mean: tuple[float, ...]


class VectorOnFrames:
    """Fits models.kind.FrameModel."""

    def __init__(self, bundle: Bundle, policy: Policy | None) -> None:
        assert isinstance(bundle.manifest.model, VectorSection)
        self.bundle = bundle
        self.output = bundle.manifest.model.output
        self.policy = policy if isinstance(policy, VectorPolicy) else VectorPolicy()

    @property
    def identity(self) -> Mapping[str, str | int | float]:
        return {"loud": float(self.policy.loud)}

    @property
    def score_threshold(self) -> float | None:
        return self.policy.loud

    def begin(self, run: Run) -> VectorRun:  # noqa: ARG002 (it needs nothing of the run)
        return VectorRun(self)


class VectorRun:
    """Fits models.kind.ModelRun."""

    def __init__(self, model: VectorOnFrames) -> None:
        self._model = model
        self._judged: list[Judged] = []

    def finding(self, outputs: Mapping[str, NDArray[Any]], engine: str, frame: Frame) -> VectorFinding:  # noqa: ARG002
        values = tuple(float(value) for value in outputs[self._model.output].reshape(-1))
        return VectorFinding(values, engine=engine, score=min(max(*values, 0.0), 1.0))

    def remember(self, frame: Frame) -> None:
        """Nothing here is measured between frames."""

    def observe(self, judged: Judged) -> Sequence[Raised]:
        self._judged.append(judged)
        finding = judged.finding
        assert isinstance(finding, VectorFinding)
        if finding.score < self._model.policy.loud:
            return ()
        component = finding.values.index(max(finding.values))
        text = f"component {component} is loud"
        return (Raised(judged, LoudNews(component, score=finding.score, text=text, text_ja="大きい")),)

    def finish(self) -> Sequence[Raised]:
        return ()

    def result(self, engine: str) -> VectorResult:
        vectors = [judged.finding.values for judged in self._judged if isinstance(judged.finding, VectorFinding)]
        mean = tuple(sum(column) / len(vectors) for column in zip(*vectors, strict=True))
        return VectorResult(
            mean,
            bundle=self._model.bundle.manifest.name,
            manifest_sha256=self._model.bundle.manifest_sha256,
            engine=engine,
            marked_frames=(),
            marked_scores=(),
            text=f"mean of {len(vectors)} vectors",
            text_ja=f"{len(vectors)}個のベクトルの平均",
        )


def vector_faults(manifest: Manifest) -> list[str]:
    """Is there the vector that the section names?"""
    section = manifest.model
    assert isinstance(section, VectorSection)
    outputs = [tensor.name for tensor in manifest.network(READER).outputs]
    return [] if section.output in outputs else [f"model.output: found {section.output}, outputs are {outputs}"]


VECTOR = ModelKind(
    section=VectorSection,
    roles=frozenset({READER}),
    faults=vector_faults,
    policy=VectorPolicy,
    findings=(VectorFinding,),
    news=(LoudNews,),
    results=(VectorResult,),
    on_frames=OnFrames(READER, VectorOnFrames),
)
