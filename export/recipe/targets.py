"""What each target takes and what its bundle holds: the stages put together, and what is refused beforehand.

Not for: the stages themselves (recipe/stages.py), or qualifying and signing what was built (recipe.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from cathrt.export.graph.fold import LAYOUTS, Layout, Target
from cathrt.export.graph.precision import check_opset
from cathrt.export.model_kind import ExportPort, SourceModel
from cathrt.export.qualify.criteria import Outputs
from cathrt.export.quantize.int8 import Int8Settings
from cathrt.export.quantize.layer_errors import LayerErrors
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
    probe,
    turing_graph,
    typed_graph,
)
from cathrt.export.targets.tensorrt import PlanRequest, installed_version
from cathrt.runtime.bundle.manifest import Artifact, Manifest, PlanFile, Precision, Rest
from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.engines.cpu import rest_here
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
    """What to build. port: of the model's kind. gates: by role, of this precision; int8 must keep them on the
    calibration frames already. sm: compute capabilities of plans; empty takes RTX_SM, or the device there is.
    rest: of int8 in OpenVINO; "bfloat16" is qualified in float32 too.
    """

    model: SourceModel
    port: ExportPort
    precision: Precision
    targets: tuple[Target, ...]
    gates: Mapping[str, Any]
    calibration: CalibrationFrom
    limits: LimitsConfig
    sm: tuple[int, ...] = ()
    int8: Int8Settings = field(default_factory=Int8Settings)
    rest: Rest = "float32"


@dataclass(frozen=True, slots=True, eq=False)
class Built:
    """The files of one target's bundle and the manifest that goes with them, without evidence.

    layer_errors: by role.
    """

    target: Target
    manifest: Manifest
    payload: Mapping[str, Path]
    layer_errors: Mapping[str, LayerErrors]


@dataclass(frozen=True, slots=True, eq=False)
class _BuiltNetwork:
    """chain, more: for the provenance."""

    artifact: Artifact
    payload: Mapping[str, Path]
    chain: Mapping[str, Any]
    more: Mapping[str, Any]
    warnings: frozenset[str]
    layer_errors: LayerErrors


def require_possible(recipe: Recipe) -> None:
    """Raises ConfigError for what no target takes, EngineError where a target's package is missing."""
    if not recipe.targets or len(set(recipe.targets)) != len(recipe.targets):
        raise ConfigError(f"--target: found {list(recipe.targets) or 'none'}, expected each target once")
    for target in recipe.targets:
        if recipe.rest == "bfloat16" and (target, recipe.precision) != ("openvino", "int8"):
            raise ConfigError(f"--rest bf16: found {target} in {recipe.precision}, expected int8 for openvino alone")
        if reason := REFUSED.get((target, recipe.precision)):
            raise ConfigError(f"--target {target} is not built in {recipe.precision}: {reason}")
    if recipe.rest != rest_here(recipe.rest):
        raise ConfigError(
            "--rest bf16: this CPU has no bfloat16 products, so it cannot be qualified here: export on a CPU with "
            "avx512_bf16 or amx_bf16 (/proc/cpuinfo), or leave --rest out"
        )
    for role, network in recipe.model.manifest.networks.items():
        made = [one.input for one in network.preprocessing]
        if sorted(made) != sorted(tensor.name for tensor in network.inputs) or network.buckets:
            raise ConfigError(
                f"network {role}: its inputs are {[tensor.name for tensor in network.inputs]}, of which frames make "
                f"{made}, in {len(network.buckets)} buckets: only networks of frames alone can be calibrated and "
                "qualified"
            )
    for target in recipe.targets:
        if target in ("tensorrt-rtx", "tensorrt"):
            installed_version(target)


def build(recipe: Recipe, target: Target, cache: StageCache) -> Built:
    """The files of one target's bundle. Raises what the stages raise."""
    model = recipe.model
    built = {role: _network(recipe, role, target, cache) for role in model.manifest.networks}
    payload = {name: path for one in built.values() for name, path in one.payload.items()}
    manifest = model.manifest
    for role, one in built.items():
        manifest = manifest.with_artifacts(role, {target: one.artifact})
    engine = {name: file_sha256(path) for name, path in sorted(payload.items())}
    chain = _by_role({role: one.chain for role, one in built.items()})
    provenance: dict[str, Any] = {
        "made_by": f"cathrt export {manifest.kind}",
        "chain": {"weights": model.weights_sha256, **chain, "engine": engine},
        **model.about,
        "layout": _layout(target, recipe.precision),
        "precision": recipe.precision,
        "target": target,
        "tools": tool_versions(),
        **_by_role({role: one.more for role, one in built.items() if one.more}),
    }
    if any(one.artifact.plans for one in built.values()):
        provenance["warnings"] = sorted({warning for one in built.values() for warning in one.warnings})
    errors = {role: one.layer_errors for role, one in built.items()}
    return Built(target, replace(manifest, provenance=provenance), payload, errors)


def _network(recipe: Recipe, role: str, target: Target, cache: StageCache) -> _BuiltNetwork:
    """One network for one target."""
    precision, source, declared = recipe.precision, recipe.model.networks[role], recipe.model.manifest.network(role)
    feeds = probe(declared)
    plain = plain_graph(cache, source, feeds)
    layout = _layout(target, precision)
    graph = canonical_graph(cache, plain, layout, source, feeds)
    chain: dict[str, Any] = {"onnx": plain.sha256, "canonical": graph.sha256}
    more: dict[str, Any] = {}
    layer_errors: LayerErrors = ()
    if precision == "int8":
        frames = calibration(cache, recipe.calibration, declared.preprocessing, recipe.limits)
        gate = recipe.gates[role]
        criteria, manifest = recipe.port.criteria[role], recipe.model.manifest

        def holds(expected: Sequence[Outputs], found: Sequence[Outputs]) -> bool:
            return criteria.int8_holds(manifest, expected, found, gate)

        found = int8_graph(cache, graph, frames, recipe.int8, asdict(gate), holds)
        graph, layer_errors = found.graph, found.layer_errors
        chain["calibration"] = frames.sha256
        more = {"int8": dict(found.summary), "calibration": dict(frames.description)}
    plans: list[BuiltPlan] = []
    if target in ("tensorrt-rtx", "tensorrt"):
        if TURING in recipe.sm:
            graph = turing_graph(cache, graph, source, feeds)
        # Never for OpenVINO: it reads a bfloat16 graph with Q/DQ pairs and computes something else.
        if precision in ("float16", "int8"):
            graph = typed_graph(cache, graph, "float16")
        elif precision == "bfloat16":
            graph = typed_graph(cache, graph, "bfloat16")
        plans = [plan_of(cache, graph, one) for one in _plan_requests(target, recipe.sm)]
    if target == "openvino" or target == "onnxruntime":  # build_plan checks what is for TensorRT
        check_opset(graph.model(), target)
    # A bundle of one network has short names; several networks each have their own.
    prefix = "" if len(recipe.model.networks) == 1 else f"{role}."
    file = MODEL if not prefix else f"{role}.onnx"
    payload = {file: graph.path} | {name: path for one in plans for name, path in _plan_files(one, prefix).items()}
    plan_files = tuple(PlanFile(_plan_name(one, prefix), one.fingerprint) for one in plans)
    return _BuiltNetwork(
        artifact=Artifact(
            file, precision, plan_files, recipe.int8.weight_bits if precision == "int8" else 8, recipe.rest
        ),
        payload=payload,
        chain=chain,
        more=more,
        warnings=frozenset(warning for one in plans for warning in one.warnings),
        layer_errors=layer_errors,
    )


def _by_role(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The entry of the only network, or those of several under their roles."""
    return dict(*found.values()) if len(found) == 1 else dict(found)


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


def _plan_name(plan: BuiltPlan, prefix: str) -> str:
    return f"{prefix}plan.sm{'-'.join(map(str, plan.fingerprint.sm))}"


def _plan_files(plan: BuiltPlan, prefix: str) -> dict[str, Path]:
    name = _plan_name(plan, prefix)
    return {name: plan.plan, f"{name}.layers.json": plan.layers}
