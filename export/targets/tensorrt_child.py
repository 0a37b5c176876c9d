"""The process in which TensorRT parses and builds: `python -m cathrt.export.targets.tensorrt_child FOLDER`.

Alone in it, NVIDIA's code may crash, hang or eat memory and the exporter lives. And each build needs a fresh process:
the one after a failed build in the same process came out 5 MB longer (TensorRT-RTX 1.7.1, an Atto of 16 MB).
FOLDER holds model.onnx and request.json; what comes of it is put beside them as answer.json, report.json and plan.
Not for: checking the request or the graph; the parent has done that.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from cathrt.export.targets.tensorrt_report import json_from_report, report_from_network
from cathrt.runtime.bundle.fingerprint import Device, sm_text
from cathrt.runtime.children.lifeline import die_with_parent
from cathrt.runtime.engines.device_probe import probe_devices
from cathrt.runtime.errors import EngineError

# What only TensorRT-RTX has: it builds for devices it does not see. TensorRT proper builds for the one it does.
RTX_ONLY = frozenset({"ComputeCapability", "num_compute_capabilities", "set_compute_capability"})


def main(folder: Path) -> int:
    """Build what FOLDER asks for. What TensorRT says against it stands in answer.json and is no failure of ours."""
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    die_with_parent(request["parent_pid"])
    _confine(request["memory_limit_mib"], request["budget_s"])
    answer: dict[str, Any] = {"version": "", "driver_version": None, "errors": [], "parser_errors": [], "warnings": []}
    try:
        _build(request, folder, answer)
    except EngineError as exc:
        answer["errors"].append(str(exc))
    (folder / "answer.json").write_text(json.dumps(answer), encoding="utf-8")
    return 0


def _confine(memory_limit_mib: int, budget_s: float) -> None:
    # Not RLIMIT_AS: CUDA reserves terabytes of addresses and uses none of them.
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = memory_limit_mib << 20
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.setitimer(signal.ITIMER_REAL, budget_s + 5.0)  # the parent kills us sooner, if it is not stopped


def _device() -> Device:
    """The one TensorRT will see."""
    devices = probe_devices()
    if not devices:
        raise EngineError("the NVIDIA driver knows no device: check nvidia-smi and CUDA_VISIBLE_DEVICES")
    return devices[0]


def _build(request: dict[str, Any], folder: Path, answer: dict[str, Any]) -> None:
    if not request["chooses_device"]:
        # Before the first call into TensorRT: without a device its Builder is a null pointer.
        device = _device()
        answer["driver_version"] = device.cuda_version
        if request["sm"] != [device.sm]:
            raise EngineError(
                f"{request['target']} builds for the device it sees, {device.name} with SM {sm_text([device.sm])}, "
                f"not for SM {sm_text(request['sm'])}: build on such a device, or ask for {device.sm}"
            )
    try:
        trt = import_module(request["module"])
    except ImportError as exc:
        raise EngineError(f"{request['module']} cannot be imported ({exc}): {request['install']}") from exc
    answer["version"] = str(trt.__version__)
    # Logger, network and parser stay referenced to the end: freed under each other's feet they crash the process.
    logger = _logger(trt, answer)
    try:
        builder = trt.Builder(logger)
    except TypeError as exc:  # what the bindings make of a null pointer
        raise EngineError(f"TensorRT cannot start: {_last(answer, exc)}: check the driver with nvidia-smi") from exc
    # TensorRT 11 and RTX type strongly always and ignore the flag; 10 does so only when told.
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    model = folder / "model.onnx"
    if not parser.parse(model.read_bytes(), str(model)):  # the path: of what the graph keeps in other files
        answer["parser_errors"] = [_error(parser.get_error(i)) for i in range(parser.num_errors)]
        return
    (folder / "report.json").write_text(json_from_report(report_from_network(network)), encoding="utf-8")
    plan = builder.build_serialized_network(network, _configured(trt, builder, request))
    if plan is None:
        answer["errors"] = answer["logged_errors"] or ["it said nothing"]
        return
    with (folder / "plan").open("wb") as file:
        file.write(memoryview(plan))


def _configured(trt: Any, builder: Any, request: dict[str, Any]) -> Any:
    config = builder.create_builder_config()
    options = request["options"]
    if not options["tf32"]:
        config.clear_flag(trt.BuilderFlag.TF32)
    config.builder_optimization_level = options["optimization_level"]
    # Layer names and types stay in the plan, so that the inspector can name them on the device.
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if request["chooses_device"]:
        config.num_compute_capabilities = len(request["sm"])
        for index, sm in enumerate(request["sm"]):
            config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{sm}"), index)
    # The first of each input make one profile, the second of each the next.
    by_input: dict[str, list[dict[str, Any]]] = {}
    for shapes in request["profiles"]:
        by_input.setdefault(shapes["input"], []).append(shapes)
    for together in zip(*by_input.values(), strict=True):
        profile = builder.create_optimization_profile()
        for shapes in together:
            profile.set_shape(shapes["input"], shapes["min"], shapes["opt"], shapes["max"])
        config.add_optimization_profile(profile)
    return config


def _logger(trt: Any, answer: dict[str, Any]) -> Any:
    # The class can only be made once the bindings are there; the first logger of a process serves all of it.
    levels = trt.ILogger
    answer["logged_errors"] = []

    class Kept(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()

        def log(self, severity: Any, message: str) -> None:
            if severity == levels.ERROR:
                place = answer["logged_errors"]
            elif severity == levels.WARNING:
                place = answer["warnings"]
            else:  # INTERNAL_ERROR is chatter that comes with builds that go well, too
                return
            if message not in place:
                place.append(message)

    return Kept()


def _error(error: Any) -> dict[str, Any]:
    return {
        "code": str(error.code()).removeprefix("ErrorCode."),
        "index": error.node(),
        "name": error.node_name(),
        "operator": error.node_operator(),
        "message": error.desc(),
    }


def _last(answer: dict[str, Any], exc: Exception) -> str:
    return answer["logged_errors"][-1] if answer["logged_errors"] else str(exc)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
