"""The GPU's share of `cathrt doctor`: device and driver, whether the bundle's plans fit, what their layers compute in.

NVIDIA's code runs in child processes alone. Not for: whether anything is fast (python -m benchmarks.gpu_check).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from cathrt.runtime.bundle.fingerprint import Device, Target, refuse_misfit, sm_text
from cathrt.runtime.bundle.manifest import PlanFile
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.commands.doctor_check import Check, Figures
from cathrt.runtime.commands.layer_report import kept_layers, layers_on_device
from cathrt.runtime.config import Config
from cathrt.runtime.engines.device_probe import devices_in_child
from cathrt.runtime.engines.tensorrt_plan import tensorrt_module
from cathrt.runtime.errors import CathrtError, EngineError

_DRIVER = Path("/proc/driver/nvidia/version")
_TARGETS: tuple[Target, ...] = ("tensorrt-rtx", "tensorrt")


def gpu_checks(config: Config, bundle: Bundle | None, keys: Collection[str]) -> Iterator[Check]:
    """The devices, and each plan of the bundle. Missing is what engine.name or engine.fallback needs and cannot have.

    keys: whom bundles are trusted from, for the child that opens this one again.
    """
    named = (config.engine.name, config.engine.fallback)
    devices: tuple[Device, ...] = ()
    why_not = "the NVIDIA driver knows no device: check nvidia-smi and CUDA_VISIBLE_DEVICES"
    try:
        devices = devices_in_child()
    except EngineError as exc:
        why_not = str(exc)
    on_provider = config.engine.provider != "cpu" and "onnxruntime" in named
    yield _devices(devices, why_not, needed=on_provider or any(name in _TARGETS for name in named))
    device = devices[0] if devices else None  # the one that engines open
    for target in _TARGETS if bundle is not None else ():
        assert bundle is not None
        needed = target in named
        artifacts = [artifact for _, engine, artifact in bundle.manifest.all_artifacts() if engine == target]
        plans = [plan for artifact in artifacts for plan in artifact.plans]
        checks = [_Plan(target, bundle, plan).check(device, why_not, keys) for plan in plans]
        if needed and not checks:
            yield Check(f"plans for {target}", "missing", f"bundle {bundle.manifest.name} has none: export some", {})
        lacking = needed and not any(check.figures["runs"] for check in checks)
        for check in checks:
            yield Check(check.name, "missing" if lacking else "ok", check.detail, check.figures)


def driver_version(path: Path = _DRIVER) -> str:
    """Version of NVIDIA's kernel module, as "580.65.06"; "unknown" where it does not say."""
    try:
        found = re.search(r"\b\d+\.\d+(?:\.\d+)?\b", path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return "unknown"
    return found[0] if found else "unknown"


def _devices(devices: tuple[Device, ...], why_not: str, *, needed: bool) -> Check:
    """Every device of this machine, or why there is none: missing only where an engine needs one."""
    if not devices:
        detail = why_not if needed else f"none for cathrt ({why_not}); the CPU engines need none"
        return Check("gpu", "missing" if needed else "ok", detail, {"gpus": []})
    figures: Figures = {"gpus": [device.name for device in devices], "sm": [str(device.sm) for device in devices]}
    figures |= {"cuda": devices[0].cuda_version, "driver": driver_version()}
    named = "; ".join(f"{device.name}, SM {sm_text([device.sm])}" for device in devices)
    return Check("gpu", "ok", f"{named}; CUDA {figures['cuda']}, driver {figures['driver']}", figures)


class _Plan:
    """One plan of a bundle and what can be said of it."""

    def __init__(self, target: Target, bundle: Bundle, plan: PlanFile) -> None:
        self._target, self._bundle, self._plan = target, bundle, plan

    def check(self, device: Device | None, why_not: str, keys: Collection[str]) -> Check:
        built = self._plan.fingerprint
        figures: Figures = {"sm": list(map(str, built.sm)), "runs": 0}
        parts = [f"{built.target} {built.tensorrt_version} for SM {sm_text(built.sm)}"]
        try:
            kept = kept_layers(self._bundle, self._plan)
            if kept is not None:
                figures["layers_as_built"] = _text(kept)
                parts.append(f"layers as built: {_text(kept)}")
            if device is None:
                raise EngineError(why_not)
            refuse_misfit(built, device, str(tensorrt_module(self._target).__version__))
            figures["layers_on_device"] = _text(layers_on_device(self._bundle.path, self._target, keys))
            figures["runs"] = 1
            parts.append(f"fits and opens; on the device: {figures['layers_on_device']}")
        except CathrtError as exc:
            parts.append(f"does not run here: {exc}")
        return Check(f"plan {self._plan.file}", "ok", "; ".join(parts), figures)


def _text(layers: dict[str, int]) -> str:
    return ", ".join(f"{count} {precision}" for precision, count in layers.items()) or "none"
