"""An engine over a judge set beside its reference: what differs, how long it takes, how much memory it needs.

Runs both networks, one frame at a time, and keeps logits and a few pictures, never runs of pixels. A bundle whose every
engine passes is signed with the evidence in it; any other is not. Not for: what counts as a difference (verify.py) and
where frames come from (judge_set.py). docs/qualification.md defines every figure.
"""

from __future__ import annotations

import heapq
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from cathrt.export.judge_set import JudgeFrame, JudgeRun, LeftOut, identity_of
from cathrt.export.sign import write_bundle
from cathrt.export.verify import Comparison, Failure, Gate, Precision, RunLogits, Share, compare, failures_of, margin
from cathrt.runtime.bundle import Bundle, Manifest, Preprocessing, open_bundle
from cathrt.runtime.config import EngineConfig, PolicyConfig
from cathrt.runtime.engines import open_engine
from cathrt.runtime.errors import EngineError, ManifestError, SourceError
from cathrt.runtime.ports import Engine

PICTURES = 24  # flips whose frame is kept
ALONE_CALLS = 500
P99_NEEDS = 459  # calls for a p99 of 99 % confidence (MLPerf's early stopping, no miss)
_WARM_UP = 3
_MIB = 1024.0  # kB of /proc/self/status in one

Network = Callable[[NDArray[np.float32]], NDArray[Any]]  # one frame's tensor to its logits


@dataclass(frozen=True, slots=True)
class Latency:
    """Wall time of single calls, in order; at least one."""

    took_ms: tuple[float, ...]

    def quantile(self, share: float) -> float:
        """The least measured time that this share of the calls did not exceed."""
        return float(np.quantile(self.took_ms, share, method="higher"))


@dataclass(frozen=True, slots=True)
class Alone:
    """The engine in a process of its own, fed with noise. rss_before_mib: of that process before the engine was
    opened; peak_rss_mib: the most it ever held."""

    latency: Latency
    rss_before_mib: float
    peak_rss_mib: float


@dataclass(frozen=True, slots=True, eq=False)
class Contest:
    """Who is compared. engine_name: key of the manifest's artifact. reference_name: what it is, for the report.
    layer_errors: (layer, error), worst first, as the quantiser measured them."""

    manifest: Manifest
    engine: Engine
    engine_name: str
    reference: Network
    reference_name: str
    layer_errors: Sequence[tuple[str, float]] = ()
    policy: PolicyConfig = field(default_factory=PolicyConfig)


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
    manifest = contest.manifest
    artifact = manifest.artifacts.get(contest.engine_name)
    if artifact is None:
        raise EngineError(
            f"bundle {manifest.name} has no artifact for {contest.engine_name}, only for {sorted(manifest.artifacts)}: "
            "qualify one of these"
        )
    pair, gallery = _Pair(contest), _Gallery(manifest.preprocessing)
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
        judged.append(_run_logits(run.name, answered, len(manifest.keyframe.labels)))
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
        labels=tuple(label.name for label in manifest.keyframe.labels),
        judge_set_sha256=identity_of(digests),
        left_out=dict(left_out),
        comparison=compare(judged, manifest.keyframe, contest.policy),
        latency=Latency(tuple(pair.engine_ms)),
        reference_latency=Latency(tuple(pair.reference_ms)),
        layer_errors=tuple((name, float(error)) for name, error in contest.layer_errors),
        pictures=gallery.pictures(),
        alone=alone,
    )


def verdict(qualification: Qualification, gate: Gate) -> tuple[Failure, ...]:
    """Every way in which the engine misses the gate; none means that it may be signed."""
    return failures_of(qualification.comparison, gate, qualification.layer_errors)


def measure_alone(bundle: Bundle, engine: str, config: EngineConfig, calls: int = ALONE_CALLS) -> Alone:
    """Latency and memory of the engine in a new process, where neither the reference nor its threads disturb it.

    Memory is the process's own (RSS): what a driver keeps on a device is not in it. Raises what opening and running
    the engine raise, EngineError where the process dies.
    """
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            return pool.submit(_alone, bundle.path, bundle.signed_by, engine, config, calls).result()
    except BrokenProcessPool as exc:
        raise EngineError(
            f"{engine}: the process that measured it alone died: it needs more memory than there is?"
        ) from exc


def reference_from_onnx(model: bytes, threads: int) -> Network:
    """A float32 ONNX graph of one input and one output in ONNX Runtime on the CPU. Raises EngineError for another."""
    import onnxruntime as ort
    from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

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


def sign_qualified(
    folder: Path,
    candidate: Bundle,
    qualified: Sequence[tuple[Qualification, Gate]],
    key: Ed25519PrivateKey,
) -> Path:
    """Write the candidate anew at `folder`, with the evidence in its manifest, signed with the key.

    Raises ManifestError, and writes nothing, where an engine misses its gate, one of the candidate's artifacts was not
    qualified, or what was qualified is another file than the candidate's.
    """
    manifest = candidate.manifest
    for qualification, gate in qualified:
        artifact = manifest.artifacts.get(qualification.engine)
        if artifact is None or manifest.files[artifact.file] != qualification.artifact_sha256:
            raise ManifestError(f"{qualification.engine}: qualified was another file than that of {candidate.path}")
        if failures := verdict(qualification, gate):
            raise ManifestError(
                f"{qualification.engine}: not signed, it misses its gate: " + " | ".join(map(str, failures))
            )
    missing = manifest.artifacts.keys() - {qualification.engine for qualification, _ in qualified}
    if missing:
        raise ManifestError(f"not signed: {sorted(missing)} not qualified: qualify them, or export without them")
    evidence = {qualification.engine: evidence_of(qualification, gate) for qualification, gate in qualified}
    signed = replace(manifest, files={}, evidence={**manifest.evidence, "qualification": evidence})
    return write_bundle(folder, signed, {name: candidate.read(name) for name in manifest.files}, key)


def evidence_of(qualification: Qualification, gate: Gate) -> dict[str, Any]:
    """The figures for Manifest.evidence: plain JSON numbers, rounded, nothing that is not finite."""
    compared = qualification.comparison
    error, sides, alone = compared.logit_error, compared.laterality, qualification.alone
    found: dict[str, Any] = {
        "passed": not verdict(qualification, gate),
        "gate": asdict(gate),
        "precision": qualification.precision,
        "artifact_sha256": qualification.artifact_sha256,
        "reference": qualification.reference,
        "judge_set": {
            "sha256": qualification.judge_set_sha256,
            "runs": compared.runs,
            "frames": compared.frames,
            "left_out": sum(qualification.left_out.values()),
            "known_side": list(compared.known_frames),
        },
        "class_agreement": _share(compared.agreement),
        "flips": len(compared.flips),
        "frames_not_finite": len(compared.not_finite),
        "side_changes": len(compared.side_changes),
        "runs_without_key_frame": compared.runs_without_key_frame,
        "latency": _times(qualification.latency),
        "reference_latency": _times(qualification.reference_latency),
        "worst_layers": [[name, _significant(error)] for name, error in qualification.layer_errors[:10]],
    }
    if error is not None:
        found["logit_error"] = {
            "largest": _significant(error.largest),
            "mean": _significant(error.mean),
            "relative": _significant(error.relative) if np.isfinite(error.relative) else None,
        }
    if sides is not None:
        found["laterality_f1"] = {
            "reference": round(sides.before, 4),
            "engine": round(sides.after, 4),
            "change_interval_95": [round(end, 4) for end in sides.interval],
        }
    if compared.key_frames is not None:
        found["same_key_frame"] = _share(compared.key_frames)
    if alone is not None:
        found["alone"] = _times(alone.latency) | {
            "rss_before_mib": round(alone.rss_before_mib, 1),
            "peak_rss_mib": round(alone.peak_rss_mib, 1),
        }
    return found


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
        manifest = contest.manifest
        self._engine, self._reference = contest.engine, contest.reference
        self._buffer = contest.engine.input_buffers[manifest.preprocessing.input]
        self._output = manifest.keyframe.output
        self._calls = 0
        self.engine_ms: list[float] = []
        self.reference_ms: list[float] = []

    def __call__(self, tensor: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        np.copyto(self._buffer, tensor)  # the line preprocesses into it, so the copy is not timed
        if self._calls == 0:
            for _ in range(_WARM_UP):
                self._infer()
                self._reference(tensor)
        engine = _timed(self._infer, self.engine_ms) if self._calls % 2 else None
        reference = _timed(lambda: self._reference(tensor), self.reference_ms)
        if engine is None:
            engine = _timed(self._infer, self.engine_ms)
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


def _timed(call: Callable[[], NDArray[Any]], took_ms: list[float]) -> NDArray[np.float64]:
    """The logits, (C,), copied out of whatever buffer they came in."""
    began = time.monotonic_ns()
    logits = call()
    took_ms.append((time.monotonic_ns() - began) / 1e6)
    return np.array(logits, np.float64).reshape(-1)


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


def _alone(path: Path, signed_by: str, engine: str, config: EngineConfig, calls: int) -> Alone:
    """In the new process."""
    bundle = open_bundle(path, [signed_by])
    before = _status_mib("VmRSS")
    opened = open_engine(engine, bundle, config)
    try:
        draw = np.random.Generator(np.random.PCG64(0))
        for buffer in opened.input_buffers.values():
            np.copyto(buffer, draw.standard_normal(buffer.shape), casting="unsafe")
        took_ms: list[float] = []
        output = bundle.manifest.keyframe.output
        for _ in range(calls):
            _timed(lambda: opened.infer(opened.input_buffers)[output], took_ms)
    finally:
        opened.close()
    return Alone(Latency(tuple(took_ms)), before, _status_mib("VmHWM"))


def _status_mib(key: str) -> float:
    """A line of /proc/self/status. Not getrusage: its peak outlives exec, so a child begins with its parent's."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0]) / _MIB
    raise EngineError(f"/proc/self/status has no {key}: memory is measured on Linux only")


def _share(share: Share) -> dict[str, Any]:
    low, high = share.interval
    return {
        "hits": share.hits,
        "of": share.of,
        "share": round(share.value, 5),
        "interval_95": [round(low, 5), round(high, 5)],
    }


def _times(latency: Latency) -> dict[str, float | int]:
    shares = {"min_ms": 0.0, "p25_ms": 0.25, "median_ms": 0.5, "p75_ms": 0.75, "p99_ms": 0.99, "max_ms": 1.0}
    return {"n": len(latency.took_ms)} | {key: round(latency.quantile(share), 3) for key, share in shares.items()}


def _significant(value: float) -> float:
    return float(f"{value:.4g}")
