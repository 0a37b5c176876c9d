"""The table of engines, by their names in configuration and manifest, and the function that opens one.

An explicit table; vendors are imported only when their engine is opened. The fake is not in it: a test or a demo builds
it (fake.py), no configuration can reach it. Not for: what a network's numbers mean (models/).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from cathrt.runtime.bundle.fingerprint import Target
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines.request import NetworkRequest
from cathrt.runtime.engines.sized import SizedRequest
from cathrt.runtime.engines.stored_file import SUFFIX as STORED
from cathrt.runtime.engines.tensors import check_specs
from cathrt.runtime.errors import EngineError, ManifestError
from cathrt.runtime.ports import Engine, SizedEngine


def _open_openvino(request: NetworkRequest) -> Engine:
    from cathrt.runtime.engines.openvino import open_openvino

    return open_openvino(request)


def _open_onnxruntime(request: NetworkRequest) -> Engine:
    provider = request.config.provider
    if provider == "cpu":
        from cathrt.runtime.engines.onnxruntime import open_onnxruntime

        return open_onnxruntime(request)
    from cathrt.runtime.engines.guarded import GuardedEngine
    from cathrt.runtime.engines.onnxruntime_device import open_onnxruntime_on_device

    wait_ms = request.config.device_wait_ms
    return GuardedEngine(f"onnxruntime on {provider}", lambda: open_onnxruntime_on_device(request), wait_ms)


def _open_tensorrt(request: NetworkRequest) -> Engine:
    return _open_on_device("tensorrt", request)


def _open_tensorrt_rtx(request: NetworkRequest) -> Engine:
    return _open_on_device("tensorrt-rtx", request)


def _open_on_device(target: Target, request: NetworkRequest) -> Engine:
    from cathrt.runtime.engines.guarded import GuardedEngine
    from cathrt.runtime.engines.tensorrt import open_tensorrt

    return GuardedEngine(target, lambda: open_tensorrt(target, request), request.config.device_wait_ms)


ENGINES: dict[str, Callable[[NetworkRequest], Engine]] = {
    "openvino": _open_openvino,
    "onnxruntime": _open_onnxruntime,
    "tensorrt-rtx": _open_tensorrt_rtx,
    "tensorrt": _open_tensorrt,
}


def _open_sized_openvino(request: SizedRequest) -> SizedEngine:
    from cathrt.runtime.engines.sized_openvino import open_sized_openvino

    return open_sized_openvino(request)


def _open_sized_onnxruntime(request: SizedRequest) -> SizedEngine:
    from cathrt.runtime.engines.sized_onnxruntime import open_sized_onnxruntime

    return open_sized_onnxruntime(request)


def _open_sized_cathrt(request: SizedRequest) -> SizedEngine:
    """Our own decoder; OpenVINO for the networks beside it."""
    if not request.artifact.file.endswith(STORED):
        return _open_sized_openvino(request)
    from cathrt.runtime.engines.sized_stored import open_sized_stored

    return open_sized_stored(request)


SIZED_ENGINES: dict[str, Callable[[SizedRequest], SizedEngine]] = {
    "cathrt": _open_sized_cathrt,
    "openvino": _open_sized_openvino,
    "onnxruntime": _open_sized_onnxruntime,
}
GPU_ENGINES = frozenset({"tensorrt-rtx", "tensorrt"})  # run where their device is, and nowhere else


def open_engine(
    name: str,
    bundle: Bundle,
    role: str,
    config: EngineConfig,
    bucket: Mapping[str, int] | None = None,
    *,
    side_by_side: bool = False,
) -> Engine:
    """Load one network of the bundle: map, compile, allocate and warm up, so that infer() does none of it.

    name: a key of ENGINES that the network has an artifact for. config.threads: 0 takes the CPU quota.
    bucket: one of the network's buckets; None where its shapes are fixed. side_by_side: as NetworkRequest's.
    Raises EngineError where the engine is unknown, the bundle has nothing for it, the vendor refuses the file, the
    manifest's precision cannot be had, or the network's tensors are not the manifest's. It never picks another engine.
    Raises ManifestError where there is no such network or bucket, or a file of the bundle changed since it was hashed.
    """
    if name not in ENGINES:
        raise EngineError(f"engine {name!r} is unknown, there are {sorted(ENGINES)}: set engine.name to one of them")
    request = replace(NetworkRequest.of(bundle, role, name, config, bucket), side_by_side=side_by_side)
    engine = ENGINES[name](request)
    try:
        bundle.check_unchanged()  # what the vendor has read since is what was hashed
        check_specs(request.where(name), "input", engine.inputs, request.inputs)
        check_specs(request.where(name), "output", engine.outputs, request.outputs)
    except (EngineError, ManifestError):
        engine.close()
        raise
    return engine


def open_sized_engine(name: str, bundle: Bundle, role: str, config: EngineConfig) -> SizedEngine:
    """Load one network of the bundle once for all of its buckets. On the CPU; config.provider must be "cpu".

    name: a key of SIZED_ENGINES that the network has an artifact for. config.threads: 0 takes the CPU quota.
    Raises EngineError and ManifestError as open_engine() does. Weights may be read from the mapped files at any later
    run: whoever hands a result out asks bundle.check_unchanged() before.
    """
    if name not in SIZED_ENGINES:
        raise EngineError(
            f"engine {name!r} runs no network in several sizes, there are {sorted(SIZED_ENGINES)}: use one of them"
        )
    if name == "onnxruntime" and config.provider != "cpu":
        raise EngineError(
            f'engine.provider is "{config.provider}", networks in several sizes run on "cpu" alone: set it to "cpu"'
        )
    engine = SIZED_ENGINES[name](SizedRequest.of(bundle, role, name, config))
    try:
        bundle.check_unchanged()
    except ManifestError:
        engine.close()
        raise
    return engine
