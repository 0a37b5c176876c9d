"""TensorRT on an NVIDIA GPU: TensorRT 10, 11 and TensorRT-RTX, which share one Python API.

Opens the plan of the bundle that fits the device. Not for: choosing and loading plans (tensorrt_plan.py), the tensors
and the stream (device_engine.py), building plans.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cathrt.kernels.cuda.driver import DriverStream
from cathrt.kernels.cuda.stream import DeviceMemory
from cathrt.runtime.bundle.fingerprint import Target
from cathrt.runtime.engines.device_engine import DeviceEngine, opened_on_stream
from cathrt.runtime.engines.request import NetworkRequest
from cathrt.runtime.engines.tensorrt_plan import LoadedPlan, dynamic_inputs, load_plan, profile_for, tensor_specs
from cathrt.runtime.errors import EngineError
from cathrt.runtime.tensor import TensorSpec

_FIXED: Mapping[str, tuple[int, ...]] = {}


class TensorRtEngine(DeviceEngine["_PlanNetwork"]):
    """A plan with one execution context. shapes: of the inputs, for a plan that leaves them open."""

    def __init__(self, plan: LoadedPlan, stream: DriverStream, shapes: Mapping[str, tuple[int, ...]] = _FIXED) -> None:
        super().__init__(_PlanNetwork(plan, stream, shapes), stream)

    def layers(self) -> list[Any]:
        """What TensorRT's inspector tells of each layer on this device; names alone where the plan keeps no more."""
        self._opened()
        return self._network.layers()


class _PlanNetwork:
    """device_engine.LoadedNetwork of a plan."""

    recordable = True

    def __init__(self, plan: LoadedPlan, stream: DriverStream, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._plan = plan
        self._context = plan.engine.create_execution_context(plan.trt.ExecutionContextAllocationStrategy.STATIC)
        if self._context is None:
            raise EngineError(
                f"{self.name}: no execution context for {plan.file}: {plan.told.taken()}: "
                "free device memory, or take a smaller network"
            )
        profile = self._set_shapes(shapes, stream)
        self._inputs, self._outputs = tensor_specs(plan, self._context, profile)

    @property
    def name(self) -> str:
        return self._plan.target

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._outputs

    def place(self, memory: Mapping[str, DeviceMemory]) -> None:
        for name, place in memory.items():
            if not self._context.set_tensor_address(name, place.address):
                raise EngineError(f"{self.name}: tensor {name} cannot be placed: {self._plan.told.taken()}")

    def enqueue(self, stream: DriverStream) -> None:
        if not self._context.execute_async_v3(stream.handle):
            raise EngineError(f"{self.name}: inference failed: {self._plan.told.taken()}")

    def close(self) -> None:
        self._context = None

    def layers(self) -> list[Any]:
        inspector = self._plan.engine.create_engine_inspector()
        text = inspector.get_engine_information(self._plan.trt.LayerInformationFormat.JSON)
        layers: list[Any] = json.loads(text)["Layers"]
        return layers

    def _set_shapes(self, shapes: Mapping[str, tuple[int, ...]], stream: DriverStream) -> int:
        """Choose the profile that holds the shapes, and set those that the plan leaves open. Returns its index."""
        plan = self._plan
        wanted = {name: shapes[name] for name in sorted(dynamic_inputs(plan) & shapes.keys())}
        if not wanted:
            return 0
        profile = profile_for(plan, wanted)
        done = self._context.set_optimization_profile_async(profile, stream.handle)
        if not done or not all(self._context.set_input_shape(name, shape) for name, shape in wanted.items()):
            raise EngineError(f"{self.name}: {plan.file} does not take {wanted}: {plan.told.taken()}")
        return profile


def open_tensorrt(target: Target, request: NetworkRequest) -> TensorRtEngine:
    """Load the plan that fits the device, allocate, warm up and record. Raises EngineError.

    A call of the driver or of TensorRT that never returns blocks it: see guarded.py.
    """
    plan = load_plan(target, request.bundle, request.artifact)
    shapes = {spec.name: spec.shape for spec in request.inputs} if request.bucket else _FIXED
    return opened_on_stream(target, request.config.device_wait_ms, lambda stream: TensorRtEngine(plan, stream, shapes))
