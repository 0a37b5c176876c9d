"""TensorRT plans of a model's networks: one a network, with a profile for decoding and one for prompts.

Not for: building one (export/targets), or the graphs (networks.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cathrt.export.models.report.networks import Form, Written
from cathrt.export.recipe.stage_cache import StageCache, file_sha256
from cathrt.export.targets.tensorrt import PlanRequest, build_plan, installed_version
from cathrt.export.targets.tensorrt_report import json_from_report
from cathrt.runtime.bundle.fingerprint import EngineFingerprint, ShapeProfile, Target
from cathrt.runtime.bundle.manifest import DeclaredTensor
from cathrt.runtime.engines.device_probe import probe_in_child
from cathrt.runtime.models.report.contract import ROWS

RTX_SM = (86, 89, 120)  # Ampere, Ada and Blackwell workstation cards
_BUDGET_S = 7200.0
_OWN_MIB = 6144  # of TensorRT itself and of what it tries
_COPIES = 4  # of the weights, that the builder may hold


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """plan, layers: files, the second being TensorRT's own list of layers and their types as JSON."""

    plan: Path
    layers: Path
    fingerprint: EngineFingerprint
    warnings: tuple[str, ...]


def plans_of(cache: StageCache, form: Form, target: Target, sm: tuple[int, ...]) -> dict[str, NetworkPlan]:
    """By role. sm: () for RTX_SM, or for the device in this machine. Raises EngineError as build_plan does."""
    wanted = sm or (RTX_SM if target == "tensorrt-rtx" else (probe_in_child().sm,))
    return {role: _plan(cache, role, network, target, wanted) for role, network in form.networks.items()}


def _plan(cache: StageCache, role: str, network: Written, target: Target, sm: tuple[int, ...]) -> NetworkPlan:
    graph = network.files[0]
    memory = _OWN_MIB + _COPIES * (network.size >> 20)
    request = PlanRequest(target, sm, profiles_of(network), budget_s=_BUDGET_S, memory_limit_mib=memory)

    def make(folder: Path) -> None:
        built = build_plan(graph.read_bytes(), request, beside=graph.parent)
        (folder / "plan").write_bytes(built.data)
        (folder / "layers.json").write_text(json_from_report(built.report), encoding="utf-8")
        told = {"fingerprint": asdict(built.fingerprint), "warnings": built.warnings}
        (folder / "built.json").write_text(json.dumps(told), encoding="utf-8")

    inputs = {
        "files": [file_sha256(path) for path in network.files],
        "request": asdict(request),
        "tensorrt": installed_version(target),
    }
    kept = cache.result(f"plan-{target}-{role}-sm{'-'.join(map(str, sm))}", inputs, make)
    told = json.loads((kept / "built.json").read_text(encoding="utf-8"))
    return NetworkPlan(
        kept / "plan", kept / "layers.json", _fingerprint(told["fingerprint"]), tuple(map(str, told["warnings"]))
    )


def profiles_of(network: Written) -> tuple[ShapeProfile, ...]:
    """For each input with open sizes: one profile for one new position, and one for all longer runs.

    The one for decoding comes first, since TensorRT lays the weights out for the first.
    """
    groups = [[bucket for bucket in network.buckets if (bucket[ROWS] == 1) is one] for one in (True, False)]
    dynamic = [tensor for tensor in network.inputs if any(isinstance(size, str) for size in tensor.shape)]
    return tuple(_profile(tensor, group) for group in groups if group for tensor in dynamic)


def _profile(tensor: DeclaredTensor, buckets: list[dict[str, int]]) -> ShapeProfile:
    """From the smallest to the largest size of each dimension in these buckets; fast at the largest."""

    def sizes(pick: Any) -> tuple[int, ...]:
        return tuple(
            pick(bucket[size] for bucket in buckets) if isinstance(size, str) else size for size in tensor.shape
        )

    return ShapeProfile(tensor.name, sizes(min), sizes(max), sizes(max))


def _fingerprint(fields: Mapping[str, Any]) -> EngineFingerprint:
    from pydantic import TypeAdapter

    return TypeAdapter(EngineFingerprint).validate_json(json.dumps(fields))
