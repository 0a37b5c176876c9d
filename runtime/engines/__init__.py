"""The engines there are, by the name that the configuration and the manifest give them, and the way to open one.

An explicit table; vendors are imported only when their engine is opened. The fake is not in it: a test or a demo builds
it (fake.py), no configuration can reach it. Not for: what a network's numbers mean (models/).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from cathrt.runtime.bundle.fingerprint import Target
from cathrt.runtime.bundle.manifest import Artifact
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines.cpu import cpu_quota
from cathrt.runtime.engines.tensors import check_specs
from cathrt.runtime.errors import EngineError
from cathrt.runtime.ports import Engine


def _open_openvino(bundle: Bundle, artifact: Artifact, config: EngineConfig) -> Engine:
    from cathrt.runtime.engines.openvino import open_openvino

    return open_openvino(bundle, artifact, config.threads)


def _open_onnxruntime(bundle: Bundle, artifact: Artifact, config: EngineConfig) -> Engine:
    from cathrt.runtime.engines.onnxruntime import open_onnxruntime

    return open_onnxruntime(bundle, artifact, config.threads)


def _open_tensorrt(bundle: Bundle, artifact: Artifact, config: EngineConfig) -> Engine:
    return _open_on_device("tensorrt", bundle, artifact, config)


def _open_tensorrt_rtx(bundle: Bundle, artifact: Artifact, config: EngineConfig) -> Engine:
    return _open_on_device("tensorrt-rtx", bundle, artifact, config)


def _open_on_device(target: Target, bundle: Bundle, artifact: Artifact, config: EngineConfig) -> Engine:
    from cathrt.runtime.engines.guarded import GuardedEngine
    from cathrt.runtime.engines.tensorrt import open_tensorrt

    wait_ms = config.device_wait_ms
    return GuardedEngine(target, lambda: open_tensorrt(target, bundle, artifact, wait_ms), wait_ms)


# Opened with the configuration in effect: threads is never 0.
ENGINES: dict[str, Callable[[Bundle, Artifact, EngineConfig], Engine]] = {
    "openvino": _open_openvino,
    "onnxruntime": _open_onnxruntime,
    "tensorrt-rtx": _open_tensorrt_rtx,
    "tensorrt": _open_tensorrt,
}
GPU_ENGINES = frozenset({"tensorrt-rtx", "tensorrt"})  # run where their device is, and nowhere else


def open_engine(name: str, bundle: Bundle, config: EngineConfig) -> Engine:
    """Load the bundle's network: read, compile, allocate and warm up, so that infer() does none of it.

    name: a key of ENGINES that the bundle has an artifact for. config.threads: 0 takes the CPU quota.
    Raises EngineError where the engine is unknown, the bundle has nothing for it, the vendor refuses the file, the
    manifest's precision cannot be had, or the network's tensors are not the manifest's. It never picks another engine.
    """
    if name not in ENGINES:
        raise EngineError(f"engine {name!r} is unknown, there are {sorted(ENGINES)}: set engine.name to one of them")
    manifest = bundle.manifest
    artifact = manifest.artifacts.get(name)
    if artifact is None:
        raise EngineError(
            f"bundle {manifest.name} has no artifact for {name}, only for {sorted(manifest.artifacts)}: "
            "choose one of these engines, or export the bundle for this one"
        )
    engine = ENGINES[name](bundle, artifact, replace(config, threads=config.threads or cpu_quota()))
    try:
        check_specs(name, "input", engine.inputs, manifest.inputs)
        check_specs(name, "output", engine.outputs, manifest.outputs)
    except EngineError:
        engine.close()
        raise
    return engine
