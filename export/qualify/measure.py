"""Compares an engine with its reference on a qualification set: what differs, time, memory.

Runs both networks, one frame at a time, and keeps answers and a few pictures, never runs of pixels. Not for: what
counts as a difference and whether it passes (Criteria, evidence.py), or where frames come from (runs.py).
docs/export.md defines every figure.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.export.qualify.alone import Alone, Latency, timed
from cathrt.export.qualify.criteria import Comparison, Criteria, Outputs, RunAnswers
from cathrt.export.qualify.reference import Network
from cathrt.export.qualify.runs import LeftOut, OpenedRun, PreparedFrame, identity_of
from cathrt.runtime.bundle.manifest import Manifest, Precision, Preprocessing
from cathrt.runtime.config import Config
from cathrt.runtime.errors import EngineError, SourceError
from cathrt.runtime.ports import Engine

PICTURES = 24  # frames whose picture is kept
P99_NEEDS = 459  # calls for a p99 of 99 % confidence (MLPerf's early stopping, no miss)
_WARM_UP = 3


@dataclass(frozen=True, slots=True, eq=False)
class Contest:
    """Who is compared. role: the network, every input of which is made of a frame. engine_name: key of its artifact.
    reference_name: what the reference is, for the report. layer_errors: (layer, error), worst first, as
    layer_errors.py measures them."""

    manifest: Manifest
    role: str
    engine: Engine
    engine_name: str
    reference: Network
    reference_name: str
    layer_errors: Sequence[tuple[str, float]] = ()
    config: Config = field(default_factory=Config)


@dataclass(frozen=True, slots=True, eq=False)
class Qualification:
    """All that was measured of one network in one engine.

    left_out: frames that were not compared, by reason. comparison: the kind's own. latency, reference_latency: in turns
    in one process. alone: None where not measured. pictures: by (run number, frame), what the first input was made
    from, (rows, columns) uint8.
    """

    model: str
    role: str
    engine: str
    precision: Precision
    artifact_sha256: str
    reference: str
    set_sha256: str
    left_out: Mapping[str, int]
    comparison: Comparison
    latency: Latency
    reference_latency: Latency
    layer_errors: tuple[tuple[str, float], ...]
    pictures: Mapping[tuple[int, int], NDArray[np.uint8]]
    alone: Alone | None = None


def qualify(
    runs: Iterable[OpenedRun], contest: Contest, criteria: Criteria[Any, Any], alone: Alone | None = None
) -> Qualification:
    """Both networks over every frame of the set.

    Raises SourceError for a set without a frame to compare or with a run that cannot be read, EngineError where a
    network fails, the reference gives no answer, or the bundle has nothing for this engine.
    """
    manifest = contest.manifest
    network = manifest.network(contest.role)
    artifact = network.artifacts.get(contest.engine_name)
    if artifact is None:
        raise EngineError(
            f"bundle {manifest.name} has no artifact for {contest.engine_name}, only for {sorted(network.artifacts)}: "
            "qualify one of these"
        )
    pair, gallery = _Pair(contest), _Gallery(manifest, network.preprocessing[0], criteria)
    compared: list[RunAnswers] = []
    digests: list[list[bytes]] = []
    left_out: Counter[str] = Counter()
    for number, run in enumerate(runs):
        answered: list[_Answered] = []
        for item in run.frames:
            if isinstance(item, LeftOut):
                left_out[item.reason] += 1
                continue
            reference, engine = pair(item.tensors)
            gallery.look(number, item, reference, engine)
            answered.append(_Answered(item.index, item.due_ms, item.truth, item.digest, reference, engine))
        compared.append(_run_answers(run.name, answered))
        digests.append([entry.digest for entry in answered])
    if not any(digests):
        reasons = ", ".join(f"{number} {reason}" for reason, number in left_out.items())
        raise SourceError(
            f"qualification set: no frame to compare ({reasons or 'it is empty'}): add phantom runs or a folder"
        )
    return Qualification(
        model=manifest.name,
        role=contest.role,
        engine=contest.engine_name,
        precision=artifact.precision,
        artifact_sha256=manifest.files.get(artifact.file, ""),
        reference=contest.reference_name,
        set_sha256=identity_of(digests),
        left_out=dict(left_out),
        comparison=criteria.compare(compared, manifest, contest.config),
        latency=Latency(tuple(pair.engine_ms)),
        reference_latency=Latency(tuple(pair.reference_ms)),
        layer_errors=tuple((name, float(error)) for name, error in contest.layer_errors),
        pictures=gallery.pictures(),
        alone=alone,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Answered:
    """A frame without its tensors, and what both networks gave for it."""

    index: int
    due_ms: float
    truth: str | None
    digest: bytes
    reference: Outputs
    engine: Outputs


class _Pair:
    """Both networks on one frame, timed; which goes first changes from call to call."""

    def __init__(self, contest: Contest) -> None:
        self._engine, self._reference = contest.engine, contest.reference
        self._calls = 0
        self.engine_ms: list[float] = []
        self.reference_ms: list[float] = []

    def __call__(self, tensors: Mapping[str, NDArray[np.float32]]) -> tuple[Outputs, Outputs]:
        for name, tensor in tensors.items():  # the line preprocesses into the buffers, so the copies are not timed
            np.copyto(self._engine.input_buffers[name], tensor)
        if self._calls == 0:
            for _ in range(_WARM_UP):
                self._infer()
                self._reference(tensors)
        engine = timed(self._infer, self.engine_ms) if self._calls % 2 else None
        reference = timed(lambda: self._reference(tensors), self.reference_ms)
        if engine is None:
            engine = timed(self._infer, self.engine_ms)
        self._calls += 1
        return reference, engine

    def _infer(self) -> Mapping[str, NDArray[Any]]:
        return self._engine.infer(self._engine.input_buffers)


class _Gallery:
    """The pictures that tell most so far, at most PICTURES."""

    def __init__(self, manifest: Manifest, preprocessing: Preprocessing, criteria: Criteria[Any, Any]) -> None:
        self._manifest, self._preprocessing, self._picture = manifest, preprocessing, criteria.shown.picture
        self._kept: list[tuple[float, int, int, NDArray[np.uint8]]] = []

    def look(self, number: int, frame: PreparedFrame, reference: Outputs, engine: Outputs) -> None:
        tells = self._picture(self._manifest, reference, engine)
        if tells is None:
            return
        if len(self._kept) < PICTURES:
            heapq.heappush(self._kept, (tells, -number, -frame.index, self._grey(frame)))
        elif tells > self._kept[0][0]:
            heapq.heapreplace(self._kept, (tells, -number, -frame.index, self._grey(frame)))

    def pictures(self) -> dict[tuple[int, int], NDArray[np.uint8]]:
        return {(-number, -index): grey for _, number, index, grey in self._kept}

    def _grey(self, frame: PreparedFrame) -> NDArray[np.uint8]:
        """The first channel as the grey it was made from."""
        tensor = frame.tensors[self._preprocessing.input]
        channel = tensor[0, 0] if self._preprocessing.layout == "NCHW" else tensor[0, :, :, 0]
        grey = channel * self._preprocessing.std[0] + self._preprocessing.mean[0]
        picture: NDArray[np.uint8] = np.clip(np.rint(grey * 255.0), 0, 255).astype(np.uint8)
        return picture


def _run_answers(name: str, answered: Sequence[_Answered]) -> RunAnswers:
    def stacked(found: Sequence[Outputs]) -> dict[str, NDArray[np.float64]]:
        return {output: np.stack([one[output] for one in found]) for output in (found[0] if found else {})}

    return RunAnswers(
        name=name,
        frames=np.array([entry.index for entry in answered], np.int64),
        due_ms=np.array([entry.due_ms for entry in answered], np.float64),
        truths=tuple(entry.truth for entry in answered),
        reference=stacked([entry.reference for entry in answered]),
        engine=stacked([entry.engine for entry in answered]),
    )
