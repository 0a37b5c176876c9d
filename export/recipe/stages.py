"""The stages from weights to the files of a bundle, each a plain function from earlier results to a result on disk.

weights -> plain ONNX -> canonical graph -> precision -> plans. Every graph is checked against its framework or against
the graph before it. Not for: the order and the targets' differences (targets.py), or qualifying (qualification.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from cathrt.export.graph.fold import Feeds, Layout, check_pass
from cathrt.export.graph.intermediates import frames_of
from cathrt.export.graph.precision import Element, typed
from cathrt.export.model_kind import NetworkSource
from cathrt.export.qualify.criteria import Outputs
from cathrt.export.quantize.calibration import calibration_frames
from cathrt.export.quantize.int8 import Int8Report, Int8Settings, back_off
from cathrt.export.quantize.layer_errors import LayerErrors, layer_errors
from cathrt.export.quantize.sensitivity import outputs_of
from cathrt.export.recipe.stage_cache import StageCache, file_sha256, folder_sha256
from cathrt.export.targets.tensorrt import PlanRequest, build_plan, installed_version
from cathrt.export.targets.tensorrt_report import json_from_report
from cathrt.runtime.bundle.fingerprint import EngineFingerprint
from cathrt.runtime.bundle.manifest import Network, Preprocessing
from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import EngineError

MODEL = "model.onnx"
# Whether the outputs of an int8 graph, frame by frame, are as good as those of the float graph.
Holds = Callable[[Sequence[Outputs], Sequence[Outputs]], bool]
CALIBRATION_FRAMES = 64
_PROBE_SEED = 0


@dataclass(frozen=True)
class Graph:
    """An ONNX file that a stage made."""

    path: Path

    @cached_property
    def sha256(self) -> str:
        return file_sha256(self.path)

    def model(self) -> onnx.ModelProto:
        return onnx.load_from_string(self.path.read_bytes())


@dataclass(frozen=True, slots=True)
class CalibrationFrom:
    """Where calibration frames come from: a folder of recorded runs, or the phantom."""

    frames: int = CALIBRATION_FRAMES
    folder: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """tensors: by input, (N, 1, 3, H, W) float32, mapped from disk.   sha256, description: as CalibrationSet has them,
    where there are several inputs over those of each."""

    tensors: Mapping[str, NDArray[np.float32]]
    sha256: str
    description: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Int8Graph:
    """summary: what the quantiser reports, for the manifest.   layer_errors: each layer's own, worst first."""

    graph: Graph
    summary: Mapping[str, Any]
    layer_errors: LayerErrors


@dataclass(frozen=True, slots=True)
class BuiltPlan:
    """plan, layers: files, the second being TensorRT's own list of layers and their types as JSON."""

    plan: Path
    layers: Path
    fingerprint: EngineFingerprint
    warnings: tuple[str, ...]


def plain_graph(cache: StageCache, source: NetworkSource, feeds: Feeds, stage: str = "plain") -> Graph:
    """The network as published, held against the framework that its weights are of. feeds: see `probe`."""

    def make(folder: Path) -> None:
        (folder / MODEL).write_bytes(source.plain(feeds))

    return Graph(cache.result(stage, source.identity, make) / MODEL)


def canonical_graph(cache: StageCache, plain: Graph, layout: Layout, source: NetworkSource, feeds: Feeds) -> Graph:
    """Folded and in one layout; every pass is checked."""

    def make(folder: Path) -> None:
        _write(folder, source.canonical(plain.model(), layout, feeds))

    return Graph(cache.result(f"canonical-{layout}", {"onnx": plain.sha256, "layout": layout}, make) / MODEL)


def calibration(
    cache: StageCache, origin: CalibrationFrom, preprocessing: Sequence[Preprocessing], limits: LimitsConfig
) -> Calibration:
    """The frames that int8 scales are chosen by, kept as they were drawn: the same frames for every input."""
    drawn = {one.input: _calibration_of(cache, origin, one, limits) for one in preprocessing}
    tensors = {name: np.load(kept / "tensors.npy", mmap_mode="r") for name, (kept, _) in drawn.items()}
    told = {name: about for name, (_, about) in drawn.items()}
    if len(told) == 1:
        (about,) = told.values()
        return Calibration(tensors, about["sha256"], about["description"])
    digest = hashlib.sha256("".join(about["sha256"] for about in told.values()).encode()).hexdigest()
    return Calibration(tensors, digest, {name: about["description"] for name, about in told.items()})


def _calibration_of(
    cache: StageCache, origin: CalibrationFrom, preprocessing: Preprocessing, limits: LimitsConfig
) -> tuple[Path, dict[str, Any]]:
    def make(folder: Path) -> None:
        drawn = calibration_frames(preprocessing, origin.frames, folder=origin.folder, limits=limits)
        np.save(folder / "tensors.npy", drawn.tensors)
        told = {"sha256": drawn.sha256, "description": drawn.description}
        (folder / "calibration.json").write_text(json.dumps(told), encoding="utf-8")

    inputs = {
        "frames": origin.frames,
        "folder": folder_sha256(origin.folder) if origin.folder is not None else None,
        "preprocessing": asdict(preprocessing),
    }
    kept = cache.result("calibration", inputs, make)
    return kept, json.loads((kept / "calibration.json").read_text(encoding="utf-8"))


def int8_graph(
    cache: StageCache,
    graph: Graph,
    frames: Calibration,
    settings: Int8Settings,
    gate: Mapping[str, Any],
    holds: Holds,
) -> Int8Graph:
    """With Q/DQ pairs, and as few layers back in float as it takes for `holds` on the calibration frames.

    gate: JSON: what `holds` asks for. Raises EngineError where no number of layers is enough."""

    def make(folder: Path) -> None:
        model, tensors = graph.model(), frames_of(frames.tensors)
        expected = outputs_of(model, tensors)
        try:
            found = back_off(model, tensors, settings, lambda attempt: holds(expected, outputs_of(attempt, tensors)))
        except ValueError as exc:  # a graph of no pattern of ours
            raise EngineError(f"int8: {exc}") from exc
        (folder / MODEL).write_bytes(found.serialised())
        own = [[name, _significant(error)] for name, error in layer_errors(model, found.model, tensors)]
        summary = {**_summary(found.report), "layers_own_error": own}
        (folder / "int8.json").write_text(json.dumps(summary), encoding="utf-8")

    inputs = {"onnx": graph.sha256, "calibration": frames.sha256, "gate": gate, "settings": asdict(settings)}
    kept = cache.result("int8", inputs, make)
    summary = json.loads((kept / "int8.json").read_text(encoding="utf-8"))
    errors = tuple((name, float(error)) for name, error in summary["layers_own_error"])
    return Int8Graph(Graph(kept / MODEL), summary, errors)


def typed_graph(cache: StageCache, graph: Graph, element: Element) -> Graph:
    """The same graph typed throughout. Raises EngineError naming a weight or scale that the type cannot hold."""

    def make(folder: Path) -> None:
        try:
            _write(folder, typed(graph.model(), element))
        except ValueError as exc:  # a graph of no pattern of ours
            raise EngineError(f"{element}: {exc}") from exc

    return Graph(cache.result(element, {"onnx": graph.sha256, "element": element}, make) / MODEL)


def turing_graph(cache: StageCache, graph: Graph, source: NetworkSource, feeds: Feeds) -> Graph:
    """The graph as SM 7.5 takes it, checked against the one before."""

    def make(folder: Path) -> None:
        before = graph.model()
        after = source.for_turing(before)
        check_pass("for_turing", before, after, feeds)
        _write(folder, after)

    return Graph(cache.result("turing", {"onnx": graph.sha256}, make) / MODEL)


def plan_of(cache: StageCache, graph: Graph, request: PlanRequest) -> BuiltPlan:
    """A TensorRT plan of the graph. Raises EngineError as build_plan does."""

    def make(folder: Path) -> None:
        built = build_plan(graph.path.read_bytes(), request)
        (folder / "plan").write_bytes(built.data)
        (folder / "layers.json").write_text(json_from_report(built.report), encoding="utf-8")
        told = {"fingerprint": asdict(built.fingerprint), "warnings": built.warnings}
        (folder / "built.json").write_text(json.dumps(told), encoding="utf-8")

    inputs = {"onnx": graph.sha256, "request": asdict(request), "tensorrt": installed_version(request.target)}
    kept = cache.result(f"plan-{request.target}-sm{'-'.join(map(str, request.sm))}", inputs, make)
    told = json.loads((kept / "built.json").read_text(encoding="utf-8"))
    return BuiltPlan(
        kept / "plan", kept / "layers.json", _fingerprint(told["fingerprint"]), tuple(map(str, told["warnings"]))
    )


def probe(network: Network) -> Feeds:
    """A frame of noise for each input, as the inputs made of frames are spread."""
    draw = np.random.default_rng(_PROBE_SEED)
    return {spec.name: draw.normal(size=spec.shape).astype(spec.dtype) for spec in network.input_specs()}


def _summary(report: Int8Report) -> dict[str, Any]:
    """Plain JSON numbers, for the manifest."""
    worst_first = sorted(report.layers, key=lambda layer: -layer.alone.largest)
    return {
        "settings": asdict(report.settings),
        "calibration_frames": report.calibration_frames,
        "layers_in_int8": [layer.name for layer in report.layers],
        "kept_float": list(report.kept),
        "backed_off": list(report.backed_off),
        "output_error": _significant(report.whole.largest),
        "sqnr_db": _significant(report.whole.sqnr_db),
        "layers_worst_first": [[layer.name, _significant(layer.alone.largest)] for layer in worst_first],
    }


def _significant(value: float) -> float:
    return float(f"{value:.4g}")


def _fingerprint(fields: Mapping[str, Any]) -> EngineFingerprint:
    from pydantic import TypeAdapter

    return TypeAdapter(EngineFingerprint).validate_json(json.dumps(fields))


def _write(folder: Path, model: onnx.ModelProto) -> None:
    (folder / MODEL).write_bytes(model.SerializeToString(deterministic=True))
