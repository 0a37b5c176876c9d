"""Compares an engine with its reference on a judge set: what differs, time, memory.

Runs both networks, one frame at a time, and keeps logits and a few pictures, never runs of pixels. Not for: what counts
as a difference (models/keyframe/comparison.py), whether it passes (gate.py, evidence.py) and where frames come from
(judge_set.py). docs/export.md defines every figure.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.export.models.keyframe.comparison import Comparison, Precision, RunLogits, compare, margin
from cathrt.export.qualify.alone import Alone, Latency, timed
from cathrt.export.qualify.judge_set import JudgeFrame, JudgeRun, LeftOut, identity_of
from cathrt.runtime.bundle.manifest import Manifest, Preprocessing
from cathrt.runtime.bundle.onnx_file import check_self_contained
from cathrt.runtime.errors import EngineError, ManifestError, SourceError
from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig
from cathrt.runtime.models.keyframe.section import CLASSIFIER, section_of
from cathrt.runtime.ports import Engine

PICTURES = 24  # flips whose frame is kept
P99_NEEDS = 459  # calls for a p99 of 99 % confidence (MLPerf's early stopping, no miss)
_WARM_UP = 3

Network = Callable[[NDArray[np.float32]], NDArray[Any]]  # one frame's tensor to its logits


@dataclass(frozen=True, slots=True, eq=False)
class Contest:
    """Who is compared. engine_name: key of the manifest's artifact. reference_name: what it is, for the report.
    layer_errors: (layer, error), worst first, as layer_errors.py measures them."""

    manifest: Manifest
    engine: Engine
    engine_name: str
    reference: Network
    reference_name: str
    layer_errors: Sequence[tuple[str, float]] = ()
    policy: KeyframePolicyConfig = field(default_factory=KeyframePolicyConfig)


@dataclass(frozen=True, slots=True, eq=False)
class Qualification:
    """All that was measured of one engine.

    left_out: frames not judged, by reason. latency, reference_latency: in turns in one process. alone: None where not
    measured. pictures: by (run number, frame), the surest flips' frames as the network saw them, (rows, columns) uint8.
    """

    model: str
    engine: str
    precision: Precision
    artifact_sha256: str
    reference: str
    labels: tuple[str, ...]
    judge_set_sha256: str
    left_out: Mapping[str, int]
    comparison: Comparison
    latency: Latency
    reference_latency: Latency
    layer_errors: tuple[tuple[str, float], ...]
    pictures: Mapping[tuple[int, int], NDArray[np.uint8]]
    alone: Alone | None = None


def qualify(runs: Iterable[JudgeRun], contest: Contest, alone: Alone | None = None) -> Qualification:
    """Both networks over every frame of the set.

    Raises SourceError for a set without a frame to judge or with a run that cannot be read, EngineError where a network
    fails, the reference is not finite, or the bundle has nothing for this engine.
    """
    manifest, section = contest.manifest, section_of(contest.manifest)
    network = manifest.network(CLASSIFIER)
    artifact = network.artifacts.get(contest.engine_name)
    if artifact is None:
        raise EngineError(
            f"bundle {manifest.name} has no artifact for {contest.engine_name}, only for {sorted(network.artifacts)}: "
            "qualify one of these"
        )
    pair, gallery = _Pair(contest), _Gallery(network.preprocessing[0])
    judged: list[RunLogits] = []
    digests: list[list[bytes]] = []
    left_out: Counter[str] = Counter()
    for number, run in enumerate(runs):
        answered: list[_Answered] = []
        for item in run.frames:
            if isinstance(item, LeftOut):
                left_out[item.reason] += 1
                continue
            reference, engine = pair(item.tensor)
            gallery.look(number, item, reference, engine)
            answered.append(_Answered(replace(item, tensor=_NOTHING), reference, engine))
        judged.append(_run_logits(run.name, answered, len(section.labels)))
        digests.append([entry.frame.digest for entry in answered])
    if not any(digests):
        reasons = ", ".join(f"{number} {reason}" for reason, number in left_out.items())
        raise SourceError(f"judge set: no frame to judge ({reasons or 'it is empty'}): add phantom runs or a folder")
    return Qualification(
        model=manifest.name,
        engine=contest.engine_name,
        precision=artifact.precision,
        artifact_sha256=manifest.files.get(artifact.file, ""),
        reference=contest.reference_name,
        labels=tuple(label.name for label in section.labels),
        judge_set_sha256=identity_of(digests),
        left_out=dict(left_out),
        comparison=compare(judged, section, contest.policy),
        latency=Latency(tuple(pair.engine_ms)),
        reference_latency=Latency(tuple(pair.reference_ms)),
        layer_errors=tuple((name, float(error)) for name, error in contest.layer_errors),
        pictures=gallery.pictures(),
        alone=alone,
    )


def reference_from_onnx(model: bytes, threads: int) -> Network:
    """A float32 ONNX graph of one input and one output in ONNX Runtime on the CPU. Raises EngineError for another.

    A graph with weights in another file is another: ONNX Runtime would look for it in the current folder.
    """
    import onnxruntime as ort
    from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

    try:
        check_self_contained("the graph", model)
    except ManifestError as exc:
        raise EngineError(f"reference: the graph cannot be loaded: {exc}") from exc
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads would slow the engine
    options.log_severity_level = 4  # what matters is raised
    try:
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except (ort_errors.InvalidProtobuf, ort_errors.InvalidGraph, ort_errors.Fail, ort_errors.NotImplemented) as exc:
        raise EngineError(f"reference: the graph cannot be loaded: {str(exc)[:300]}: export it again") from exc
    inputs, outputs = ([port.name for port in ports] for ports in (session.get_inputs(), session.get_outputs()))
    if (len(inputs), len(outputs)) != (1, 1):
        raise EngineError(
            f"reference: inputs {inputs}, outputs {outputs}, expected one of each: give the network itself"
        )
    return lambda tensor: np.asarray(session.run(outputs, {inputs[0]: tensor})[0])


def reference_from_module(module: Any) -> Network:
    """A torch module on the CPU, in evaluation mode. The tensor is lent to it and not copied."""
    import torch

    module.eval()

    def logits(tensor: NDArray[np.float32]) -> NDArray[Any]:
        with torch.inference_mode():
            return np.asarray(module(torch.from_numpy(tensor)).numpy())

    return logits


_NOTHING: NDArray[np.float32] = np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Answered:
    """A judged frame without its tensor. reference, engine: (C,) logits."""

    frame: JudgeFrame
    reference: NDArray[np.float64]
    engine: NDArray[np.float64]


class _Pair:
    """Both networks on one frame, timed; which goes first changes from call to call."""

    def __init__(self, contest: Contest) -> None:
        (preprocessing,) = contest.manifest.network(CLASSIFIER).preprocessing
        self._engine, self._reference = contest.engine, contest.reference
        self._buffer = contest.engine.input_buffers[preprocessing.input]
        self._output = section_of(contest.manifest).output
        self._calls = 0
        self.engine_ms: list[float] = []
        self.reference_ms: list[float] = []

    def __call__(self, tensor: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        np.copyto(self._buffer, tensor)  # the line preprocesses into it, so the copy is not timed
        if self._calls == 0:
            for _ in range(_WARM_UP):
                self._infer()
                self._reference(tensor)
        engine = timed(self._infer, self.engine_ms) if self._calls % 2 else None
        reference = timed(lambda: self._reference(tensor), self.reference_ms)
        if engine is None:
            engine = timed(self._infer, self.engine_ms)
        self._calls += 1
        return reference, engine

    def _infer(self) -> NDArray[Any]:
        return self._engine.infer(self._engine.input_buffers)[self._output]


class _Gallery:
    """The frames of the surest flips so far, at most PICTURES."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        self._preprocessing = preprocessing
        self._kept: list[tuple[float, int, int, NDArray[np.uint8]]] = []

    def look(self, number: int, frame: JudgeFrame, reference: NDArray[np.float64], engine: NDArray[np.float64]) -> None:
        finite = np.isfinite(reference).all() and np.isfinite(engine).all()
        if not finite or reference.argmax() == engine.argmax():
            return
        scores = np.exp(reference - reference.max())
        sure = margin((scores / scores.sum()).tolist())
        if len(self._kept) < PICTURES:
            heapq.heappush(self._kept, (sure, -number, -frame.index, self._grey(frame.tensor)))
        elif sure > self._kept[0][0]:
            heapq.heapreplace(self._kept, (sure, -number, -frame.index, self._grey(frame.tensor)))

    def pictures(self) -> dict[tuple[int, int], NDArray[np.uint8]]:
        return {(-number, -index): grey for _, number, index, grey in self._kept}

    def _grey(self, tensor: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The first channel as the grey it was made from."""
        channel = tensor[0, 0] if self._preprocessing.layout == "NCHW" else tensor[0, :, :, 0]
        grey = channel * self._preprocessing.std[0] + self._preprocessing.mean[0]
        picture: NDArray[np.uint8] = np.clip(np.rint(grey * 255.0), 0, 255).astype(np.uint8)
        return picture


def _run_logits(name: str, answered: Sequence[_Answered], classes: int) -> RunLogits:
    def rows(of: Callable[[_Answered], NDArray[np.float64]]) -> NDArray[np.float64]:
        return np.stack([of(entry) for entry in answered]) if answered else np.zeros((0, classes))

    return RunLogits(
        name=name,
        frames=np.array([entry.frame.index for entry in answered], np.int64),
        due_ms=np.array([entry.frame.due_ms for entry in answered], np.float64),
        sides=tuple(entry.frame.side for entry in answered),
        reference=rows(lambda entry: entry.reference),
        engine=rows(lambda entry: entry.engine),
    )
