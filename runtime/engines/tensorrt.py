"""TensorRT on an NVIDIA GPU: TensorRT 10, 11 and TensorRT-RTX, which share one Python API.

Opens the plan of the bundle that fits the device and keeps everything a frame needs allocated and recorded. Not for:
choosing and loading plans (tensorrt_plan.py), frames that come as stored values (device_frames.py), building plans.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels.cuda.driver import DriverStream, open_stream
from cathrt.kernels.cuda.stream import CudaError, DeviceHungError, DeviceLostError
from cathrt.kernels.cuda.waiting import never_free
from cathrt.runtime.bundle.fingerprint import Target
from cathrt.runtime.bundle.manifest import Preprocessing
from cathrt.runtime.engines.device_frames import DeviceFrameStep
from cathrt.runtime.engines.request import NetworkRequest
from cathrt.runtime.engines.tensorrt_plan import LoadedPlan, dynamic_inputs, load_plan, profile_for, tensor_specs
from cathrt.runtime.engines.tensors import feed
from cathrt.runtime.errors import EngineError, EngineLostError
from cathrt.runtime.frame import Run
from cathrt.runtime.frame_step import CpuFrameStep, FrameStep, NowNs
from cathrt.runtime.tensor import TensorSpec

_log = logging.getLogger(__name__)
_FIXED: Mapping[str, tuple[int, ...]] = {}
_WARM_UPS = 2  # the first run still loads kernels, the second runs as all later ones


class TensorRtEngine:
    """A plan with one execution context, whose tensors lie on the device for good, and one stream of high priority.

    The host's side of every tensor is pinned. Copies in, network and copies out are one CUDA graph, recorded at the
    opening; infer() replays it and waits. Fits the ports Engine, FrameEngine and failover.WarmEngine.
    shapes: of the inputs, for a plan that leaves them open.
    """

    def __init__(self, plan: LoadedPlan, stream: DriverStream, shapes: Mapping[str, tuple[int, ...]] = _FIXED) -> None:
        self._plan = plan
        self._name = plan.target
        self._hung = False
        self._stream: DriverStream | None = stream
        self._step: DeviceFrameStep | None = None
        self._context = plan.engine.create_execution_context(plan.trt.ExecutionContextAllocationStrategy.STATIC)
        if self._context is None:
            raise EngineError(
                f"{self.name}: no execution context for {plan.file}: {plan.told.taken()}: "
                "free device memory, or take a smaller network"
            )
        profile = self._set_shapes(shapes, stream)
        self._inputs, self._outputs = tensor_specs(plan, self._context, profile)
        with self._device_errors():
            self.memory = {spec.name: stream.allocate(_nbytes(spec)) for spec in (*self._inputs, *self._outputs)}
            self._input_buffers = MappingProxyType({spec.name: _pinned(stream, spec) for spec in self._inputs})
            self._output_buffers = MappingProxyType({spec.name: _pinned(stream, spec) for spec in self._outputs})
            for name, memory in self.memory.items():
                if not self._context.set_tensor_address(name, memory.address):
                    raise EngineError(f"{self.name}: tensor {name} cannot be placed: {plan.told.taken()}")
            for _ in range(_WARM_UPS):
                self._run_on(stream)
                stream.synchronise()
            with stream.capture() as self._graph:
                self._run_on(stream)

    @property
    def name(self) -> str:
        return self._name

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._outputs

    @property
    def input_buffers(self) -> Mapping[str, NDArray[Any]]:
        return self._input_buffers

    def infer(self, feeds: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        stream = self._opened()
        feed(self.name, self._input_buffers, feeds)
        with self._device_errors():
            stream.replay(self._graph)
            stream.synchronise()
        return self._output_buffers

    def frame_step(self, run: Run, specs: Sequence[Preprocessing], now_ns: NowNs) -> FrameStep:
        """Preprocessing and network on the device, recorded for frames like this run's; it replaces the last one.

        A network of several inputs is fed from the host: the recording on the device knows one.
        """
        self._opened()
        if len(specs) != 1:
            return CpuFrameStep(self, run, specs, now_ns)
        (spec,) = specs
        if self._step is not None and self._step.serves(run, spec, now_ns):
            with self._device_errors():
                self._step.begin()
            return self._step
        self._end_step()
        with self._device_errors():
            own = open_stream(priority="high", wait_ms=self._opened().wait_ms)
            self._step = DeviceFrameStep(self, own, run, spec, now_ns)
        return self._step

    def keep_warm(self) -> None:
        """Run the network on whatever tensor is there, and wait: a device lost while idle is known before a frame."""
        stream = self._opened()
        with self._device_errors():
            self.enqueue(stream)
            stream.synchronise()

    def enqueue(self, stream: DriverStream) -> None:
        """The network alone, from its tensors on the device to its tensors on the device. Raises EngineError."""
        if self._context.execute_async_v3(stream.handle):
            return
        try:
            stream.query()
        except DeviceLostError as exc:  # whatever TensorRT makes of it
            raise self.translated(exc) from exc
        except CudaError:
            pass  # while recording there is no asking
        raise EngineError(f"{self.name}: inference failed: {self._plan.told.taken()}")

    def download(self, stream: DriverStream) -> Mapping[str, NDArray[Any]]:
        """Copy the outputs to the host; they are there once the stream's work is done."""
        for name, buffer in self._output_buffers.items():
            stream.download(self.memory[name], buffer)
        return self._output_buffers

    def element_of(self, tensor: str) -> str:
        """NumPy's name of a tensor's type."""
        return next(spec.dtype for spec in (*self._inputs, *self._outputs) if spec.name == tensor)

    def translated(self, exc: CudaError) -> EngineError:
        """What the driver refused, as the line's own error. A device that hangs keeps this engine for good."""
        if isinstance(exc, DeviceHungError) and not self._hung:
            self._hung = True
            never_free(self)
        return _translated(self.name, exc)

    def layers(self) -> list[Any]:
        """What TensorRT's inspector tells of each layer on this device; names alone where the plan keeps no more."""
        self._opened()
        inspector = self._plan.engine.create_engine_inspector()
        text = inspector.get_engine_information(self._plan.trt.LayerInformationFormat.JSON)
        layers: list[Any] = json.loads(text)["Layers"]
        return layers

    def close(self) -> None:
        """Free everything, in this order. What a device that hangs holds is left behind, without a call to it."""
        if self._stream is None:
            return
        stream, self._stream = self._stream, None
        if self._hung:
            _log.warning("%s: the device hangs; what the engine holds is left behind until the process ends", self.name)
            return
        with self._device_errors():
            self._end_step()
            self._context = None  # before the memory it computes in
            stream.close()
            del self._plan

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

    def _run_on(self, stream: DriverStream) -> None:
        for name, buffer in self._input_buffers.items():
            stream.upload(buffer, self.memory[name])
        self.enqueue(stream)
        self.download(stream)

    def _opened(self) -> DriverStream:
        if self._stream is None:
            raise EngineError(f"{self.name}: the engine is closed: open it again")
        return self._stream

    def _end_step(self) -> None:
        if self._step is not None:
            step, self._step = self._step, None
            step.close()

    @contextmanager
    def _device_errors(self) -> Iterator[None]:
        try:
            yield
        except CudaError as exc:
            raise self.translated(exc) from exc


def open_tensorrt(target: Target, request: NetworkRequest) -> TensorRtEngine:
    """Load the plan that fits the device, allocate, warm up and record. Raises EngineError.

    A call of the driver or of TensorRT that never returns blocks it: see guarded.py.
    """
    plan, settings = load_plan(target, request.bundle, request.artifact), request.config
    try:
        stream = open_stream(priority="high", wait_ms=settings.device_wait_ms)
    except CudaError as exc:
        raise _translated(target, exc) from exc
    try:
        shapes = {spec.name: spec.shape for spec in request.inputs} if request.bucket else _FIXED
        return TensorRtEngine(plan, stream, shapes)
    except BaseException:
        with suppress(CudaError):  # what went wrong first is on its way
            stream.close()
        raise


def _translated(name: str, exc: CudaError) -> EngineError:
    if isinstance(exc, DeviceLostError):
        return EngineLostError(f"{name}: the device is lost: {exc}")
    return EngineError(f"{name}: {exc}")


def _nbytes(spec: TensorSpec) -> int:
    return max(1, math.prod(spec.shape) * np.dtype(spec.dtype).itemsize)


def _pinned(stream: DriverStream, spec: TensorSpec) -> NDArray[Any]:
    size = math.prod(spec.shape) * np.dtype(spec.dtype).itemsize
    return stream.pinned(_nbytes(spec))[:size].view(spec.dtype).reshape(spec.shape)
