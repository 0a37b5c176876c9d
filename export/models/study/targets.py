"""What each target takes of a study model, what is refused, and what answers for plans that cannot run here.

OpenVINO and ONNX Runtime take the same files; TensorRT takes graphs that are typed throughout, and its plans. Not for:
writing graphs (networks.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cathrt.export.graph.fold import Target
from cathrt.export.models.study.asked import Asked
from cathrt.export.models.study.networks import Declared, Form, Written, cpu_form, declared, typed_form
from cathrt.export.models.study.source import Source
from cathrt.export.qualify.exported import AnyTarget
from cathrt.export.recipe.stage_cache import StageCache
from cathrt.export.recipe.stages import BuiltPlan, Graph, plan_of
from cathrt.export.recipe.targets import REFUSED, RTX_SM, TURING
from cathrt.export.targets.tensorrt import PlanRequest, installed_version
from cathrt.runtime.bundle.fingerprint import ShapeProfile
from cathrt.runtime.bundle.manifest import Artifact, PlanFile, Precision, Rest
from cathrt.runtime.engines.cpu import multiplies_bfloat16, rest_here
from cathrt.runtime.engines.device_probe import probe_in_child
from cathrt.runtime.errors import ConfigError

_BUDGET_S, _MEMORY_MIB = 3600.0, 12_288  # of one plan's build


@dataclass(frozen=True, slots=True, eq=False)
class TargetParts:
    """What one target's artifacts are made of. folder: of the bundle that its files go to, "" for the bundle itself.

    weight_bits, rest: of the encoder in int8. plans: by role, for TensorRT.
    """

    form: Form
    folder: str = ""
    weight_bits: int = 8
    rest: Rest = "float32"
    plans: Mapping[str, tuple[BuiltPlan, ...]] = field(default_factory=dict)

    def artifact(self, role: str) -> Artifact:
        written = self.form[role]
        plans = tuple(PlanFile(self._plan_name(role, one), one.fingerprint) for one in self.plans.get(role, ()))
        file = f"{self.folder}{written.graph.name}"
        if written.precision != "int8":
            return Artifact(file, written.precision, plans)
        return Artifact(file, "int8", plans, 7 if self.weight_bits == 7 else 8, self.rest)

    def files(self) -> dict[str, Path]:
        """By its name in the bundle, where to copy it from."""
        found = {f"{self.folder}{path.name}": path for one in self.form.values() for path in one.files}
        for role, plans in self.plans.items():
            for plan in plans:
                name = self._plan_name(role, plan)
                found |= {name: plan.plan, f"{name}.layers.json": plan.layers}
        return found

    def _plan_name(self, role: str, plan: BuiltPlan) -> str:
        return f"{self.folder}{role}.plan.sm{'-'.join(map(str, plan.fingerprint.sm))}"


@dataclass(frozen=True, slots=True, eq=False)
class StandIn:
    """What answers on the CPU for plans. says: what it is, in words."""

    engine: AnyTarget
    parts: TargetParts
    says: str


def require_possible(asked: Asked, targets: Sequence[AnyTarget]) -> None:
    """Raises ConfigError for what no target takes, EngineError where a target's package is missing."""
    if not targets or len(set(targets)) != len(targets):
        raise ConfigError(f"--target: found {list(targets) or 'none'}, expected each target once")
    for target in targets:
        if target == "cathrt":
            raise ConfigError("--target cathrt: our own engine writes reports and encodes no clips: use openvino")
        if reason := REFUSED.get((target, asked.precision)):
            raise ConfigError(f"--target {target} is not built in {asked.precision}: {reason}")
        if target == "tensorrt-rtx" or target == "tensorrt":
            installed_version(target)
    if asked.rest == "bfloat16" and ("openvino" not in targets or asked.precision != "int8"):
        raise ConfigError(f"--rest bf16: found {', '.join(targets)} in {asked.precision}, expected int8 for openvino")
    no_bfloat16 = asked.rest != rest_here(asked.rest)
    if "openvino" in targets and (no_bfloat16 or (asked.precision == "bfloat16" and not multiplies_bfloat16())):
        raise ConfigError(
            "bf16 in openvino: this CPU has no bfloat16 products, so it cannot be qualified here: export on a CPU with "
            "avx512_bf16 or amx_bf16 (/proc/cpuinfo), or in another precision"
        )


def parts_of(cache: StageCache, source: Source, asked: Asked, target: AnyTarget, sm: tuple[int, ...]) -> TargetParts:
    """The networks in the target's form, and for TensorRT its plans. Raises what the stages raise."""
    if target == "openvino":
        return _on_cpu(cache, source, asked, asked.rest)
    if target == "onnxruntime":
        return _on_cpu(cache, source, asked)
    assert target == "tensorrt-rtx" or target == "tensorrt"
    form = typed_form(cache, source, asked, turing=TURING in sm)
    sizes = declared(source)
    plans = {role: plans_of(cache, one, sizes[role], target, sm) for role, one in form.items()}
    return TargetParts(form, f"{target}/", asked.weight_bits, plans=plans)


def plans_of(
    cache: StageCache, written: Written, network: Declared, target: Target, sm: tuple[int, ...]
) -> tuple[BuiltPlan, ...]:
    """Of one network, a profile for each of its buckets. sm: () for RTX_SM, or for the device in this machine."""
    return tuple(plan_of(cache, Graph(written.graph), request) for request in _requests(target, network, sm))


def stand_in_for(cache: StageCache, source: Source, asked: Asked, target: AnyTarget) -> StandIn | None:
    """None where the target's own engine answers."""
    if target not in ("tensorrt-rtx", "tensorrt"):
        return None
    same = "the same graphs in ONNX Runtime on the CPU"
    if asked.precision == "float16":
        form = typed_form(cache, source, asked, turing=False)
        # Declared float32: what an engine is fed and gives. In the graph itself float16 is typed.
        return StandIn("onnxruntime", TargetParts(_as(form, "float32")), same)
    if asked.precision == "bfloat16" and multiplies_bfloat16():
        parts = _on_cpu(cache, source, asked)
        return StandIn("openvino", parts, "graphs of the same weights in OpenVINO on the CPU, in bfloat16")
    if asked.precision == "bfloat16":
        parts = _on_cpu(cache, source, replace(asked, precision="float32"))
        return StandIn("onnxruntime", parts, "graphs of the same weights in ONNX Runtime on the CPU, in float32")
    if asked.precision == "int8":
        says = "graphs with the same int8 layers in ONNX Runtime on the CPU, the rest in float32"
        return StandIn("onnxruntime", _on_cpu(cache, source, asked), says)
    return StandIn("onnxruntime", _on_cpu(cache, source, asked), same)


def _on_cpu(cache: StageCache, source: Source, asked: Asked, rest: Rest = "float32") -> TargetParts:
    return TargetParts(cpu_form(cache, source, asked), "", asked.weight_bits, rest)


def _as(form: Form, precision: Precision) -> Form:
    return {role: replace(one, precision=precision) for role, one in form.items()}


def _requests(target: Target, network: Declared, sm: tuple[int, ...]) -> list[PlanRequest]:
    """A profile for each bucket. TensorRT-RTX: one plan for all devices, since it is hardly larger than one for each;
    Turing shares none."""
    assert target == "tensorrt-rtx" or target == "tensorrt"
    wanted = sm or (RTX_SM if target == "tensorrt-rtx" else (probe_in_child().sm,))
    groups = [tuple(one for one in wanted if one != TURING), tuple(one for one in wanted if one == TURING)]
    if target == "tensorrt":
        groups = [(one,) for one in wanted]
    profiles = tuple(
        ShapeProfile(spec.name, spec.shape, spec.shape, spec.shape)
        for bucket in network.buckets
        for tensor in network.inputs
        for spec in (tensor.in_bucket(bucket),)
    )
    return [
        PlanRequest(target, group, profiles, budget_s=_BUDGET_S, memory_limit_mib=_MEMORY_MIB)
        for group in groups
        if group
    ]
