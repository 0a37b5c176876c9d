"""What each target takes and what its bundle holds: the stages put together, and what is refused beforehand.

Not for: the stages themselves (recipe/stages.py), or judging and signing what was built (recipe.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cathrt.export.graph.fold import LAYOUTS, Layout, Target
from cathrt.export.graph.precision import check_opset
from cathrt.export.models.keyframe.checkpoint import Checkpoint
from cathrt.export.models.keyframe.comparison import Precision
from cathrt.export.models.keyframe.gate import Gate
from cathrt.export.models.keyframe.semantics import Semantics, manifest_of
from cathrt.export.quantize.int8 import Int8Settings
from cathrt.export.recipe.stage_cache import StageCache, file_sha256, tool_versions
from cathrt.export.recipe.stages import (
    MODEL,
    BuiltPlan,
    CalibrationFrom,
    calibration,
    canonical_graph,
    int8_graph,
    plain_graph,
    plan_of,
    turing_graph,
    typed_graph,
)
from cathrt.export.targets.tensorrt import PlanRequest, installed_version
from cathrt.runtime.bundle.manifest import Artifact, Manifest, PlanFile
from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.engines.device_probe import probe_in_child
from cathrt.runtime.errors import ConfigError

TURING = 75
RTX_SM = (86, 89, 120)  # Ampere, Ada and Blackwell workstation cards
# What is not built, and why.
REFUSED: Mapping[tuple[Target, Precision], str] = {
    ("openvino", "float16"): "on the CPU it runs 3 to 4 times slower than bfloat16: use bf16 or fp32",
    ("onnxruntime", "float16"): "its CPU kernels compute most of it in float32 between casts: use fp32 or int8",
    ("onnxruntime", "bfloat16"): "it has no bfloat16 convolution on the CPU: use fp32 or int8, or openvino for bf16",
}


@dataclass(frozen=True, slots=True, eq=False)
class Recipe:
    """What to build. gate: of this precision; int8 must keep its class agreement on the calibration frames already.

    sm: compute capabilities of plans; empty takes RTX_SM, or the device there is.
    seed: what random weights were drawn with, None for trained ones.
    """

    checkpoint: Checkpoint
    semantics: Semantics
    precision: Precision
    targets: tuple[Target, ...]
    gate: Gate
    calibration: CalibrationFrom
    limits: LimitsConfig
    sm: tuple[int, ...] = ()
    seed: int | None = None
    int8: Int8Settings = field(default_factory=Int8Settings)


@dataclass(frozen=True, slots=True, eq=False)
class Built:
    """The files of one target's bundle and the manifest that goes with them, without evidence."""

    target: Target
    manifest: Manifest
    payload: Mapping[str, Path]
    layer_errors: tuple[tuple[str, float], ...]


def require_possible(recipe: Recipe) -> None:
    """Raises ConfigError for what no target takes, EngineError where a target's package is missing."""
    if not recipe.targets or len(set(recipe.targets)) != len(recipe.targets):
        raise ConfigError(f"--target: found {list(recipe.targets) or 'none'}, expected each target once")
    for target in recipe.targets:
        if reason := REFUSED.get((target, recipe.precision)):
            raise ConfigError(f"--target {target} is not built in {recipe.precision}: {reason}")
    classes, labels = recipe.checkpoint.classes, len(recipe.semantics.keyframe.labels)
    if classes != labels:
        raise ConfigError(
            f"the weights give {classes} classes, the semantics have {labels} labels: give --semantics FILE.toml with "
            "a label for each class, in the network's own order"
        )
    for target in recipe.targets:
        if target in ("tensorrt-rtx", "tensorrt"):
            installed_version(target)


def build(recipe: Recipe, target: Target, cache: StageCache) -> Built:
    """The files of one target's bundle. Raises what the stages raise."""
    checkpoint, precision = recipe.checkpoint, recipe.precision
    preprocessing = recipe.semantics.preprocessing
    plain = plain_graph(cache, checkpoint, preprocessing)
    layout = _layout(target, precision)
    graph = canonical_graph(cache, plain, layout, checkpoint)
    chain: dict[str, Any] = {"weights": checkpoint.sha256, "onnx": plain.sha256, "canonical": graph.sha256}
    more: dict[str, Any] = {}
    layer_errors: tuple[tuple[str, float], ...] = ()
    if precision == "int8":
        frames = calibration(cache, recipe.calibration, preprocessing, recipe.limits)
        found = int8_graph(cache, graph, frames, recipe.gate.agreement, recipe.int8)
        graph, layer_errors = found.graph, found.layer_errors
        chain["calibration"] = frames.sha256
        more = {"int8": dict(found.summary), "calibration": dict(frames.description)}
    plans: list[BuiltPlan] = []
    if target in ("tensorrt-rtx", "tensorrt"):
        if TURING in recipe.sm:
            graph = turing_graph(cache, graph)
        # Never for OpenVINO: it reads a bfloat16 graph with Q/DQ pairs and computes something else.
        if precision in ("float16", "int8"):
            graph = typed_graph(cache, graph, "float16")
        elif precision == "bfloat16":
            graph = typed_graph(cache, graph, "bfloat16")
        plans = [plan_of(cache, graph, one) for one in _plan_requests(target, recipe.sm)]
    if target == "openvino" or target == "onnxruntime":  # build_plan checks what is for TensorRT
        check_opset(graph.model(), target)
    payload = {MODEL: graph.path} | {name: path for one in plans for name, path in _plan_files(one).items()}
    plan_files = tuple(PlanFile(_plan_name(one), one.fingerprint) for one in plans)
    artifact = Artifact(MODEL, precision, plan_files, recipe.int8.weight_bits if precision == "int8" else 8)
    chain["engine"] = {name: file_sha256(path) for name, path in sorted(payload.items())}
    provenance = {
        "made_by": "cathrt export keyframe",
        "chain": chain,
        "arch": checkpoint.arch,
        "weights_named_as": checkpoint.layout,
        "random_init": checkpoint.layout == "random",
        "layout": layout,
        "precision": precision,
        "target": target,
        "tools": tool_versions(),
        **more,
    }
    if recipe.seed is not None:
        provenance["seed"] = recipe.seed
    if plans:
        provenance["warnings"] = sorted({warning for one in plans for warning in one.warnings})
    return Built(target, manifest_of(recipe.semantics, {target: artifact}, provenance, {}), payload, layer_errors)


def _layout(target: Target, precision: Precision) -> Layout:
    """ONNX Runtime multiplies in int8 for MatMul only (docs/export.md)."""
    return "nhwc" if (target, precision) == ("onnxruntime", "int8") else LAYOUTS[target]


def _plan_requests(target: Target, sm: tuple[int, ...]) -> list[PlanRequest]:
    """TensorRT-RTX: one plan for all, since it is hardly larger than one for each; Turing shares none."""
    if target == "tensorrt":
        return [PlanRequest("tensorrt", (one,)) for one in sm or (probe_in_child().sm,)]
    wanted = sm or RTX_SM
    groups = (tuple(one for one in wanted if one != TURING), tuple(one for one in wanted if one == TURING))
    return [PlanRequest("tensorrt-rtx", group) for group in groups if group]


def _plan_name(plan: BuiltPlan) -> str:
    return f"plan.sm{'-'.join(map(str, plan.fingerprint.sm))}"


def _plan_files(plan: BuiltPlan) -> dict[str, Path]:
    name = _plan_name(plan)
    return {name: plan.plan, f"{name}.layers.json": plan.layers}
