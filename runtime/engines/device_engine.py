"""An engine on an NVIDIA GPU: the network's tensors on the device for good, their pinned side, one stream, the errors.

What differs between TensorRT and ONNX Runtime is a LoadedNetwork. Not for: loading one (tensorrt.py,
onnxruntime_device.py), frames that come as stored values (device_frames.py), deadlines (guarded.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import Any, Generic, Protocol, TypeVar

from numpy.typing import NDArray

from cathrt.kernels.cuda.driver import DriverStream, open_stream
from cathrt.kernels.cuda.stream import CudaError, DeviceHungError, DeviceLostError, DeviceMemory
from cathrt.kernels.cuda.waiting import never_free
from cathrt.runtime.bundle.manifest import Preprocessing
from cathrt.runtime.engines.device_frames import DeviceFrameStep
from cathrt.runtime.engines.device_tensors import engine_error, pinned_tensor, tensor_bytes
from cathrt.runtime.engines.tensors import feed
from cathrt.runtime.errors import EngineError
from cathrt.runtime.frame import Run
from cathrt.runtime.frame_step import CpuFrameStep, FrameStep, NowNs
from cathrt.runtime.tensor import TensorSpec

_log = logging.getLogger(__name__)
_WARM_UPS = 2  # the first run loads and builds what it needs, the second runs as all later ones


class LoadedNetwork(Protocol):
    """A network that a vendor's library has loaded onto the device, and whose tensors somebody else owns.

    recordable: whether enqueue() only queues, so that a graph can record it; otherwise it is done when it returns.
    place: where each tensor lies, said once, before the first run. enqueue: runs after what the stream was given so
    far. close: lets go of what computes in the tensors, before they are freed. place and enqueue raise EngineError in
    the library's own words, CudaError where the stream's earlier work failed.
    """

    @property
    def recordable(self) -> bool: ...
    @property
    def name(self) -> str: ...
    @property
    def inputs(self) -> tuple[TensorSpec, ...]: ...
    @property
    def outputs(self) -> tuple[TensorSpec, ...]: ...
    def place(self, memory: Mapping[str, DeviceMemory]) -> None: ...
    def enqueue(self, stream: DriverStream) -> None: ...
    def close(self) -> None: ...


N = TypeVar("N", bound=LoadedNetwork)
E = TypeVar("E")


class DeviceEngine(Generic[N]):
    """A loaded network and one stream of high priority. Fits the ports Engine, FrameEngine and failover.WarmEngine.

    The host's side of every tensor is pinned. Where the network can be recorded, copies in, network and copies out are
    one CUDA graph, recorded at the opening; infer() replays it and waits.
    """

    def __init__(self, network: N, stream: DriverStream) -> None:
        """Allocate, warm up and record. The stream is this engine's once it is opened. Raises EngineError."""
        self._network = network
        self._name, self._recordable = network.name, network.recordable
        self._inputs, self._outputs = network.inputs, network.outputs
        self._hung = False
        self._stream: DriverStream | None = stream
        self._step: DeviceFrameStep | None = None
        with self._device_errors():
            self.memory = {spec.name: stream.allocate(tensor_bytes(spec)) for spec in (*self._inputs, *self._outputs)}
            self._input_buffers = MappingProxyType({spec.name: pinned_tensor(stream, spec) for spec in self._inputs})
            self._output_buffers = MappingProxyType({spec.name: pinned_tensor(stream, spec) for spec in self._outputs})
            network.place(self.memory)
            for _ in range(_WARM_UPS):
                self._run_on(stream)
                stream.synchronise()
            if self._recordable:
                with stream.capture() as self._graph:
                    self._run_on(stream)

    @property
    def name(self) -> str:
        return self._name

    @property
    def recordable(self) -> bool:
        return self._recordable

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
            if self._recordable:
                stream.replay(self._graph)
            else:
                self._run_on(stream)
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
        """The network alone, from its tensors on the device to its tensors on the device. Raises EngineError, or
        CudaError where the stream's earlier work failed."""
        try:
            self._network.enqueue(stream)
        except EngineError:
            try:
                stream.query()
            except DeviceLostError as lost:  # whatever the library makes of it
                raise self.translated(lost) from lost
            except CudaError:
                pass  # while recording there is no asking, and the library's own words say more
            raise

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
        return engine_error(self.name, exc)

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
            self._network.close()
            stream.close()
            del self._network

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


def opened_on_stream(name: str, wait_ms: float, make: Callable[[DriverStream], E]) -> E:
    """make() of a new stream of high priority, which is closed again where it raises. name: of the engine, for what the
    driver refuses. Raises EngineError."""
    try:
        stream = open_stream(priority="high", wait_ms=wait_ms)
    except CudaError as exc:
        raise engine_error(name, exc) from exc
    try:
        return make(stream)
    except BaseException:
        with suppress(CudaError):  # what went wrong first is on its way
            stream.close()
        raise
