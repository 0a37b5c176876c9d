"""From a bundle's plans to a loaded TensorRT engine: which plan, whether it may be loaded here, and what TensorRT says.

One code for TensorRT 10, 11 and TensorRT-RTX, which share one Python API; no name is used that one of them lacks
(tests/export/targets/test_tensorrt_api.py). Not for: running a plan (tensorrt.py) and building one (export/targets/).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from cathrt.runtime.bundle.fingerprint import Device, Target, rebuild_command, refuse_misfit
from cathrt.runtime.bundle.manifest import Artifact, PlanFile
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.engines.device_probe import probe_in_child
from cathrt.runtime.errors import EngineError
from cathrt.runtime.tensor import TensorSpec

# How each target's package is called and had.
_MODULES: dict[Target, tuple[str, str]] = {
    "tensorrt-rtx": ("tensorrt_rtx", "pip install tensorrt-rtx"),
    "tensorrt": ("tensorrt", "pip install tensorrt, which fetches from NVIDIA's own index"),
}
_DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT8": "int8",
    "UINT8": "uint8",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
}
_KEPT_MESSAGES = 8


class Told:
    """What TensorRT has logged as wrong since it was last asked, newest last."""

    def __init__(self) -> None:
        self._messages: list[str] = []

    def add(self, message: str) -> None:
        if message not in self._messages:
            self._messages = [*self._messages[1 - _KEPT_MESSAGES :], message]

    def taken(self) -> str:
        """All of it in one line, once."""
        messages, self._messages = self._messages, []
        return "; ".join(message.strip() for message in messages)[:600] or "TensorRT gives no reason"


@dataclass(frozen=True, slots=True, eq=False)
class LoadedPlan:
    """A deserialised engine. trt: the module it is of. All of it stays referenced: freed early, TensorRT crashes."""

    target: Target
    file: str
    trt: Any
    runtime: Any
    engine: Any
    told: Told


def load_plan(target: Target, bundle: Bundle, artifact: Artifact) -> LoadedPlan:
    """Deserialise the plan that fits the device there is. Raises EngineError, before NVIDIA's code sees a misfit."""
    device = probe_in_child()
    plan = plan_for(target, artifact, device)
    trt = tensorrt_module(target)
    refuse_misfit(plan.fingerprint, device, str(trt.__version__))
    logger, told = _logger(trt)
    try:
        runtime = trt.Runtime(logger)
    except TypeError as exc:  # what the bindings make of a null pointer
        raise EngineError(f"{target}: cannot start: {told.taken()}: check the driver with nvidia-smi") from exc
    if runtime is None:
        raise EngineError(f"{target}: cannot start: {told.taken()}: check the driver with nvidia-smi")
    engine = runtime.deserialize_cuda_engine(bundle.mapped(plan.file).data)
    if engine is None:
        again = rebuild_command(target, [device.sm])
        raise EngineError(f"{target}: {plan.file} cannot be loaded: {told.taken()}: rebuild with {again}")
    return LoadedPlan(target, plan.file, trt, runtime, engine, told)


def plan_for(target: Target, artifact: Artifact, device: Device) -> PlanFile:
    """The plan for this device, of several the one for the fewest. Raises EngineError where there is none."""
    if not artifact.plans:
        again = rebuild_command(target, [device.sm])
        raise EngineError(f"{target}: the bundle has no plan of {artifact.file}: build one with {again}")
    fitting = [plan for plan in artifact.plans if device.sm in plan.fingerprint.sm]
    # Of none that fits, one whose refusal says for what it was built.
    return min(fitting or artifact.plans, key=lambda plan: len(plan.fingerprint.sm))


def tensorrt_module(target: Target) -> Any:
    """The target's package. Raises EngineError saying how to install it."""
    name, install = _MODULES[target]
    try:
        return import_module(name)
    except ImportError as exc:
        raise EngineError(f"{target}: {name} cannot be imported ({exc}): {install}") from exc


def profile_for(plan: LoadedPlan, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Index of the optimisation profile that holds these input shapes; of several, one that is fastest at them.

    Raises EngineError where no profile does.
    """
    engine, fitting, found = plan.engine, [], []
    for index in range(engine.num_optimization_profiles):
        bounds = {name: [tuple(b) for b in engine.get_tensor_profile_shape(name, index)] for name in shapes}
        found.append("; ".join(f"{name} {low} to {high}" for name, (low, _, high) in bounds.items()))
        if all(_holds(bounds[name], shape) for name, shape in shapes.items()):
            fitting.append((any(bounds[name][1] != shape for name, shape in shapes.items()), index))
    if not fitting:
        raise EngineError(
            f"{plan.target}: {plan.file} has no profile for {dict(shapes)}, it has {found}: "
            "build it with one for each bucket"
        )
    return min(fitting)[1]


def _holds(bounds: Sequence[tuple[int, ...]], shape: tuple[int, ...]) -> bool:
    low, _, high = bounds
    return len(low) == len(shape) and all(a <= size <= b for a, size, b in zip(low, shape, high, strict=True))


def dynamic_inputs(plan: LoadedPlan) -> frozenset[str]:
    """Names of the inputs whose shapes the plan leaves open."""
    trt, engine = plan.trt, plan.engine
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
    return frozenset(name for name in inputs if any(size < 0 for size in engine.get_tensor_shape(name)))


def tensor_specs(
    plan: LoadedPlan, context: Any, profile: int = 0
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """The context's inputs and outputs. Raises EngineError for what cannot be fed: dynamic, on the host, packed."""
    trt, engine = plan.trt, plan.engine
    inputs: list[TensorSpec] = []
    outputs: list[TensorSpec] = []
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        shape, dtype = tuple(context.get_tensor_shape(name)), engine.get_tensor_dtype(name).name
        where = f"{plan.target}: tensor {name} of {plan.file}"
        if any(size < 0 for size in shape):
            raise EngineError(
                f"{where} has shape {shape}, expected a static one: export it with fixed sizes, or name the sizes"
            )
        if dtype not in _DTYPES:
            raise EngineError(f"{where} is {dtype}, expected one of {sorted(_DTYPES)}: export it with one of these")
        if engine.get_tensor_location(name) != trt.TensorLocation.DEVICE:
            raise EngineError(f"{where} is read on the host, expected on the device: export shapes as constants")
        if engine.get_tensor_format(name, profile) != trt.TensorFormat.LINEAR:
            packed = engine.get_tensor_format_desc(name, profile)
            raise EngineError(f"{where} is laid out as {packed}, expected rows one after another: build the plan again")
        side = inputs if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT else outputs
        side.append(TensorSpec(name, shape, _DTYPES[dtype]))
    return tuple(inputs), tuple(outputs)


@cache
def _logger(trt: Any) -> tuple[Any, Told]:
    """One logger a module: the first one of a process serves all of it, whatever later runtimes are given."""
    levels = trt.ILogger
    told = Told()

    class Kept(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()

        def log(self, severity: Any, message: str) -> None:
            if severity in (levels.ERROR, levels.INTERNAL_ERROR):
                told.add(message)

    return Kept(), told
