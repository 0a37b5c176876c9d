"""A machine with a GPU for tests: the fake device, fake TensorRT, fake onnxruntime-gpu, and bundles with plans."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cathrt.export.bundle.sign import public_key, write_bundle
from cathrt.kernels.cuda.stream import Stream
from cathrt.runtime.bundle.files import opened_folder
from cathrt.runtime.bundle.fingerprint import BuildOptions, Device, EngineFingerprint, Target
from cathrt.runtime.bundle.manifest import Artifact, Manifest, PlanFile
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.bundle.verified_file import verified_files
from cathrt.runtime.engines import device_engine, onnxruntime_device, onnxruntime_session, tensorrt_plan
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from tests.engines.fake_device import FakeDevice
from tests.engines.fake_onnxruntime import FakeOnnxRuntime
from tests.engines.fake_tensorrt import PLAN, Tensors, fake_tensorrt
from tests.golden import INPUT, OUTPUT, conv_model, conv_reference, golden_manifest

VERSION = "11.4.0.106"
ADA = Device("NVIDIA RTX 4000", 89, "13.1")
MODULES: dict[Target, str] = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
MODEL = conv_model().SerializeToString(deterministic=True)
OPEN_MODEL = conv_model(batch="N").SerializeToString(deterministic=True)


@dataclass
class Machine:
    """What stands behind the engine, to look at and to break. modules: the fake TensorRT of each target."""

    device: FakeDevice
    modules: dict[Target, Any]
    ort: FakeOnnxRuntime

    @property
    def trt(self) -> Any:
        return self.modules["tensorrt"]


def golden(inputs: Tensors, outputs: Tensors) -> None:
    outputs[OUTPUT][...] = conv_reference(inputs[INPUT])


def machine(
    patch: pytest.MonkeyPatch,
    *,
    manifest: Manifest | None = None,
    compute: Callable[[Tensors, Tensors], None] = golden,
    below: Stream | None = None,
    device: Device = ADA,
    profiles: Sequence[tuple[int, int, int]] = (),
) -> Machine:
    """Put a GPU under the engine for as long as `patch` lasts. manifest: whose tensors the network has.

    profiles: of a plan that leaves the first size of every tensor open.
    """
    manifest = manifest or golden_manifest()
    on = FakeDevice(below)
    made = Machine(on, {}, FakeOnnxRuntime(on))
    for target, module in MODULES.items():
        made.modules[target] = fake_tensorrt(
            manifest.network(CLASSIFIER).input_specs(),
            manifest.network(CLASSIFIER).output_specs(),
            compute,
            VERSION,
            profiles,
        )
        patch.setitem(sys.modules, module, made.modules[target])
    patch.setattr(onnxruntime_session, "ort", made.ort)
    patch.setattr(device_engine, "open_stream", made.device.open_stream)
    for engine in (tensorrt_plan, onnxruntime_device):
        patch.setattr(engine, "probe_in_child", lambda: device)
    return made


def plan(target: Target = "tensorrt", sm: tuple[int, ...] = (89,), version: str = VERSION) -> PlanFile:
    """A plan of the golden model, listed in the bundle as plan.<target>."""
    fingerprint = EngineFingerprint(
        target=target,
        tensorrt_version=version,
        sm=sm,
        cuda_version="13",
        driver_version=None,
        options=BuildOptions(),
        profiles=(),
        onnx_sha256=hashlib.sha256(MODEL).hexdigest(),
    )
    return PlanFile(f"plan.{target}", fingerprint)


def artifacts(*targets: Target) -> dict[str, Artifact]:
    """One plan for each target, beside the CPU's engines."""
    cpu = Artifact("model.onnx", "float32")
    plans = {target: Artifact("model.onnx", "float32", (plan(target),)) for target in targets or MODULES}
    return {"openvino": cpu, "onnxruntime": cpu, **plans}


def bundle_with_plans(folder: Path, manifest: Manifest | None = None, plan_bytes: bytes = PLAN) -> Bundle:
    """A signed bundle of the golden model with a plan for each target."""
    manifest = manifest or golden_manifest(**artifacts())
    files = {
        listed.file: plan_bytes
        for artifact in manifest.network(CLASSIFIER).artifacts.values()
        for listed in artifact.plans
    }
    return open_bundle(write_bundle(folder, manifest, {"model.onnx": MODEL, **files}, KEY), [public_key(KEY)])


def bundle_with_buckets(folder: Path, sizes: Sequence[int] = (1, 4)) -> Bundle:
    """A bundle of the golden model that leaves its batch size open as "N". Nobody has signed it: no kind of model that
    there is reads several frames at once."""
    folder.mkdir()
    manifest = golden_manifest(**artifacts())
    network = manifest.network(CLASSIFIER)
    inputs = tuple(replace(tensor, shape=("N", *tensor.shape[1:])) for tensor in network.inputs)
    outputs = tuple(replace(tensor, shape=("N", *tensor.shape[1:])) for tensor in network.outputs)
    buckets = tuple({"N": size} for size in sizes)
    network = replace(network, inputs=inputs, outputs=outputs, buckets=buckets, preprocessing=())
    payload = {"model.onnx": OPEN_MODEL, **{f"plan.{target}": PLAN for target in MODULES}}
    for name, data in payload.items():
        (folder / name).write_bytes(data)
    listed = {name: hashlib.sha256(data).hexdigest() for name, data in payload.items()}
    with opened_folder(folder) as opened:
        files = verified_files(opened, listed, hard_links=False)
    manifest = replace(manifest, files=listed, networks={CLASSIFIER: network})
    return Bundle(folder, manifest, "0" * 64, "0" * 64, files)
