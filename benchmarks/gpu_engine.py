"""The demonstration network through TensorRT on this machine's device, beside ONNX Runtime on its CPU.

The plan is built here for the device there is, in a bundle signed with a key of its own. Not for: peers
(benchmarks/engines.py) and accuracy (cathrt qualify).
"""

from __future__ import annotations

import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cathrt.export.bundle.sign import public_key, write_bundle
from cathrt.export.targets.tensorrt import PlanRequest, build_plan
from cathrt.runtime.bundle.fingerprint import Target
from cathrt.runtime.bundle.manifest import Artifact, PlanFile
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.bundle.shipped import demonstration_bundle, shipped_keys
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines import ENGINES, open_engine
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from cathrt.runtime.ports import Engine

MODULES: dict[Target, str] = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
BOUND = 1e-4  # largest error of an output, relative to its largest value: float32 without TF32, summed in another order
_MODEL, _PLAN = "model.onnx", "model.plan"
_TENSORS = 8
_WARM_UP = 10


def absent(target: Target) -> str | None:
    """Why there is nothing to check, or None."""
    if target not in ENGINES:
        return "this version of cathrt has no engine for it"
    if find_spec(MODULES[target]) is None:
        return f"{MODULES[target]} is not installed"
    return None


def bundle_for(target: Target, sm: int, folder: Path) -> Bundle:
    """The demonstration's network with a plan for this compute capability, at `folder`. Raises EngineError."""
    shipped = open_bundle(demonstration_bundle(), shipped_keys())
    onnx = shipped.read(_MODEL)
    plan = build_plan(onnx, PlanRequest(target, (sm,)))
    artifacts = {
        "onnxruntime": Artifact(_MODEL, "float32"),
        target: Artifact(_MODEL, "float32", (PlanFile(_PLAN, plan.fingerprint),)),
    }
    key = Ed25519PrivateKey.generate()
    manifest = replace(shipped.manifest.with_artifacts(CLASSIFIER, artifacts), files={})
    return open_bundle(write_bundle(folder, manifest, {_MODEL: onnx, _PLAN: plan.data}, key), [public_key(key)])


def check(target: Target, sm: int, folder: Path, rounds: int) -> dict[str, Any]:
    """One row: relative error against ONNX Runtime over random tensors, and wall times of infer() in milliseconds."""
    bundle = bundle_for(target, sm, folder)
    rng = np.random.default_rng(0)
    (spec,) = bundle.manifest.network(CLASSIFIER).input_specs()
    tensors = [rng.standard_normal(spec.shape).astype(spec.dtype) for _ in range(_TENSORS)]
    cpu = open_engine("onnxruntime", bundle, CLASSIFIER, EngineConfig("onnxruntime"))
    device = open_engine(target, bundle, CLASSIFIER, EngineConfig(target))
    try:
        error = max(relative_error(cpu, device, {spec.name: tensor}) for tensor in tensors)
        taken = np.array([_infer_ms(device, {spec.name: tensors[n % _TENSORS]}) for n in range(_WARM_UP + rounds)])
    finally:
        device.close()
        cpu.close()
    median, p99 = np.quantile(taken[_WARM_UP:], (0.5, 0.99), method="higher")
    return {
        "case": f"engine {target}",
        "ok": error <= BOUND,
        "relative_error": error,
        "n": rounds,
        "median_ms": round(float(median), 4),
        "p99_ms": round(float(p99), 4),
    }


def relative_error(reference: Engine, found: Engine, feeds: dict[str, Any]) -> float:
    """Largest over the outputs; infinite where a value is not finite."""
    expected = {name: value.astype(np.float64) for name, value in reference.infer(feeds).items()}
    errors = [
        float(np.abs(value - expected[name]).max() / np.abs(expected[name]).max())
        for name, value in found.infer(feeds).items()
    ]
    worst = float(np.max(errors))  # which lets a NaN through, where max() may not
    return worst if np.isfinite(worst) else float("inf")


def _infer_ms(engine: Engine, feeds: dict[str, Any]) -> float:
    began = time.monotonic_ns()
    engine.infer(feeds)
    return (time.monotonic_ns() - began) / 1e6
