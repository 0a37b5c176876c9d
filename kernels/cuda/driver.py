"""Implements stream.py on the CUDA driver API: one stream on one device, its memory, events and graphs.

cuda-core opens the device, loads kernels.fatbin and launches; for the rest the driver itself is asked. No package of
CUDA's is imported before a stream is opened. Not for: what is launched (the other files here), nor for TensorRT.
"""

from __future__ import annotations

import mmap
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels.cuda.driver_calls import DriverCalls
from cathrt.kernels.cuda.events import Event, Graph
from cathrt.kernels.cuda.stream import CudaError, DeviceMemory, Extent, Scalar
from cathrt.kernels.cuda.waiting import DEFAULT_WAIT_MS, never_free, reached

_SCALARS = (np.int32, np.uint32, np.int64, np.uint64, np.float32, np.float64)
_POINTER_BYTES = 8


def open_stream(
    ordinal: int = 0,
    *,
    priority: Literal["high", "normal"] = "normal",
    fatbin: Path | None = None,
    wait_ms: float = DEFAULT_WAIT_MS,
) -> DriverStream:
    """A new stream on a device. high: its kernels go before those of streams of normal priority.

    fatbin: another file of kernels than the package's own.   wait_ms: longest that the host waits for the device.
    Raises CudaError where cuda-core, a driver, the device or the kernels are missing.
    """
    return DriverStream(ordinal, priority, fatbin or files("cathrt.kernels") / "kernels.fatbin", wait_ms)


@cache
def loaded(object_code: Any, fatbin: bytes) -> Any:
    """The kernels, loaded once in a process: cuda-core never unloads, and a line opens a stream for every run."""
    code = object_code.from_fatbin(fatbin)
    _ = code.handle  # cuda-core loads when first asked
    return code


class DriverStream:
    """kernels.cuda.stream.Stream on a device, with pinned memory, events and graphs. Made by open_stream().

    Arrays given to upload() and download() are kept alive until the host knows that the copy is done: by synchronise(),
    query() or a later event. What keep() was given is kept until synchronise() or query() says that all work is done.
    A wait ends after `wait_ms`, with DeviceHungError: from then on the stream and all it holds are never freed, and the
    driver is not called again. A call of the driver that does not return is not noticed here (engines/guarded.py).
    """

    def __init__(
        self, ordinal: int, priority: Literal["high", "normal"], code: Path | Traversable, wait_ms: float
    ) -> None:
        self.wait_ms = wait_ms
        self._closed = False
        self._capturing: Graph | None = None
        self._memory: list[int] = []
        self._pinned: list[NDArray[np.uint8]] = []
        self._graphs: list[Graph] = []
        self._kernels: dict[str, tuple[Any, tuple[int, ...]]] = {}
        self._configs: dict[tuple[Extent, Extent, int], Any] = {}
        self._in_flight: deque[tuple[int, NDArray[Any]]] = deque()
        self._copies = 0
        self._kept: list[object] = []
        self._thread = threading.get_ident()
        self._calls = DriverCalls()
        self._calls.ask("cuInit", 0)
        count = self._calls.ask("cuDeviceGetCount")
        if not 0 <= ordinal < count:
            raise CudaError(
                f"CUDA device {ordinal} does not exist, the driver knows {count}: "
                "look at nvidia-smi and CUDA_VISIBLE_DEVICES"
            )
        with self._calls.refusals("opening the device"):
            self._device = self._calls.core.Device(ordinal)
            self._device.set_current()
            self.device_name: str = self._device.name
            capability = self._device.compute_capability
        self.sm: int = 10 * capability.major + capability.minor
        _, greatest = self._calls.ask("cuCtxGetStreamPriorityRange")  # the lower the number, the sooner
        if not code.is_file():
            raise CudaError(
                f"no CUDA kernels: {code} does not exist, this build of cathrt was made without a CUDA compiler: "
                "install nvcc (CUDA 13.0 or later) and build cathrt again, or choose an engine for the CPU"
            )
        with self._calls.refusals(f"loading {code}"):
            self._code = loaded(self._calls.core.ObjectCode, code.read_bytes())
        with self._calls.refusals("creating a stream"):
            options = self._calls.core.StreamOptions(priority=greatest if priority == "high" else 0)
            self._stream = self._device.create_stream(options=options)
        self.handle: int = int(self._stream.handle)

    def __enter__(self) -> DriverStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def allocate(self, nbytes: int) -> DeviceMemory:
        """Uninitialised, at least 256-byte aligned. Freed by close(). Raises CudaError where memory is short."""
        self._ready("allocate")
        if nbytes < 1:
            raise ValueError(f"{nbytes} bytes of device memory: must be at least 1")
        address = int(self._calls.ask("cuMemAlloc", nbytes))
        self._memory.append(address)
        return DeviceMemory(address, nbytes)

    def pinned(self, nbytes: int) -> NDArray[np.uint8]:
        """Page-locked host memory, zeroed: copies from and to it run beside the host's work.

        close() unlocks it; the array itself stays valid as long as anyone holds it.
        """
        self._ready("pinned")
        if nbytes < 1:
            raise ValueError(f"{nbytes} bytes of pinned memory: must be at least 1")
        # Memory of our own, locked afterwards: an array that outlives the stream is then no dangling pointer.
        pages = np.frombuffer(mmap.mmap(-1, -(-nbytes // mmap.PAGESIZE) * mmap.PAGESIZE), dtype=np.uint8)
        self._calls.ask("cuMemHostRegister", pages.ctypes.data, pages.nbytes, 0)
        self._pinned.append(pages)
        return pages[:nbytes]

    def upload(self, array: NDArray[Any], memory: DeviceMemory) -> None:
        """Copy a C-contiguous array to the start of `memory`; leave the array alone until the copy is done."""
        self._ready("upload", recordable=True)
        _fits(array, memory)
        if array.nbytes:
            self._calls.ask("cuMemcpyHtoDAsync", memory.address, array.ctypes.data, array.nbytes, self.handle)
            self._hold(array)

    def download(self, memory: DeviceMemory, array: NDArray[Any]) -> None:
        """Copy the start of `memory` into a C-contiguous array, which is filled once the copy is done."""
        self._ready("download", recordable=True)
        _fits(array, memory)
        if not array.flags.writeable:
            raise ValueError("download into a read-only array")
        if array.nbytes:
            self._calls.ask("cuMemcpyDtoHAsync", array.ctypes.data, memory.address, array.nbytes, self.handle)
            self._hold(array)

    def keep(self, owner: object) -> None:
        """Keep `owner` alive until the stream is known to be idle: for memory that others lend, before it is read."""
        self._ready("keep")
        self._kept.append(owner)

    def zero(self, memory: DeviceMemory) -> None:
        """Set every byte to 0."""
        self._ready("zero", recordable=True)
        if memory.nbytes:
            self._calls.ask("cuMemsetD8Async", memory.address, 0, memory.nbytes, self.handle)

    def launch(
        self, kernel: str, grid: Extent, block: Extent, *arguments: DeviceMemory | Scalar, shared_bytes: int = 0
    ) -> None:
        """Launch an `extern "C"` kernel. Raises ValueError where number or sizes of the arguments are not its own."""
        self._ready("launch", recordable=True)
        code, sizes = self._kernel(kernel)
        values = [argument.address if isinstance(argument, DeviceMemory) else argument for argument in arguments]
        found = tuple(_argument_bytes(kernel, number, argument) for number, argument in enumerate(arguments))
        if found != sizes:
            raise ValueError(f"{kernel} called with arguments of {found} bytes, its parameters have {sizes}")
        shape = (grid, block, shared_bytes)
        config = self._configs.get(shape)
        if config is None:
            config = self._calls.core.LaunchConfig(grid=grid, block=block, shmem_size=shared_bytes)
            self._configs[shape] = config
        try:
            self._calls.core.launch(self._stream, config, code, *values)
        except Exception as exc:
            self._calls.translate(f"launch of {kernel}, grid {grid}, block {block}, {shared_bytes} bytes shared", exc)

    def synchronise(self) -> None:
        """Wait until all of it is done. Raises DeviceHungError where it is not after wait_ms."""
        self._ready("synchronise")
        self._finish()
        self._idle()

    def query(self) -> bool:
        """Whether all of it is done."""
        self._ready("query")
        done = self._asked("cuStreamQuery", self.handle)
        if done:
            self._idle()
        return done

    def record(self, event: Event | None = None) -> Event:
        """Mark this moment of the stream's work, in a new event or in an earlier one, which spares its creation."""
        self._ready("record")
        if event is None:
            # cuda-core's own says no more than "Failed to create CUDA event".
            event = Event(self, self._calls.ask("cuEventCreate", 0), self._calls)
        elif event.stream is not self:
            raise ValueError("record() of another stream's event: record it there and wait() for it here")
        self._calls.ask("cuEventRecord", event.handle, self.handle)
        event.copies = self._copies
        return event

    def wait(self, event: Event) -> None:
        """Do what follows only after `event`, also one of another stream. The host does not wait."""
        self._ready("wait")
        self._calls.ask("cuStreamWaitEvent", self.handle, event.handle, 0)

    def wait_for(self, handle: int) -> None:
        """Do what follows only after what the stream of this handle, whoever made it, has been given so far."""
        self._ready("wait_for")
        event = Event(self, self._calls.ask("cuEventCreate", 0), self._calls)
        self._calls.ask("cuEventRecord", event.handle, handle)
        self._calls.ask("cuStreamWaitEvent", self.handle, event.handle, 0)

    def elapsed_ms(self, begin: Event, end: Event) -> float:
        """Time on the device between two events, both of which the work has passed."""
        self._ready("elapsed_ms")
        return float(self._calls.ask("cuEventElapsedTime", begin.handle, end.handle))

    @contextmanager
    def capture(self) -> Iterator[Graph]:
        """Record uploads, downloads, zero() and launches into a graph instead of doing them.

        Launch each kernel once before: loading its code is no part of a recording. Shapes, addresses and scalars are
        fixed by it; the bytes in the arrays are not.
        """
        self._ready("capture")
        graph = Graph()
        mode = self._calls.driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        self._calls.ask("cuStreamBeginCapture", self.handle, mode)
        self._capturing = graph
        try:
            yield graph
        except BaseException:
            self._capturing = None
            # The driver may have given the recording up already; what matters is the exception on its way.
            _, abandoned = self._calls.driver.cuStreamEndCapture(self.handle)
            if abandoned:
                self._calls.driver.cuGraphDestroy(abandoned)
            raise
        self._capturing = None
        recorded = self._calls.ask("cuStreamEndCapture", self.handle)
        try:
            graph.executable = self._calls.ask("cuGraphInstantiate", recorded, 0)
            self._graphs.append(graph)
        finally:
            self._calls.driver.cuGraphDestroy(recorded)
        self._calls.ask("cuGraphUpload", graph.executable, self.handle)

    def replay(self, graph: Graph) -> None:
        """Do what was recorded, once more."""
        self._ready("replay")
        if not any(graph is known for known in self._graphs):
            raise ValueError("replay of a graph that this stream has not captured, or whose capture failed")
        self._calls.ask("cuGraphLaunch", graph.executable, self.handle)

    def close(self) -> None:
        """Wait for the work and free everything made here. May be called twice, and after a loss.

        Raises CudaError, with everything freed, where the driver first tells here that work went wrong. A device that
        does not answer gets no call, and nothing is freed; DeviceHungError is raised where that shows only now.
        """
        if self._closed:
            return
        if self._capturing is not None:
            raise CudaError("close() within capture(): leave it first")
        if self._thread != threading.get_ident() and not self._calls.hung:
            self._current()
        self._closed = True
        first: CudaError | None = None
        if not self._calls.lost:
            try:
                self._finish()
            except CudaError as exc:
                first = exc
        if not self._calls.hung:
            self._free(told=first is not None)
        if first is not None:
            raise first

    def _free(self, *, told: bool) -> None:
        """Give everything back. Raises the first refusal, unless the caller has an error to tell already."""
        driver = self._calls.driver
        answers = [("cuGraphExecDestroy", driver.cuGraphExecDestroy(graph.executable)) for graph in self._graphs]
        answers += [("cuMemHostUnregister", driver.cuMemHostUnregister(array.ctypes.data)) for array in self._pinned]
        answers += [("cuMemFree", driver.cuMemFree(address)) for address in self._memory]
        self._stream.close()
        self._idle()
        self._graphs, self._pinned, self._memory = [], [], []
        self._kernels, self._code = {}, None
        for call, (status, *_) in answers:
            if status != driver.CUresult.CUDA_SUCCESS and not (told or self._calls.lost):
                self._calls.refuse(call, status.name)

    def _kernel(self, name: str) -> tuple[Any, tuple[int, ...]]:
        found = self._kernels.get(name)
        if found is None:
            with self._calls.refusals(f"looking up {name}"):
                kernel = self._code.get_kernel(name)
                found = (kernel, tuple(parameter.size for parameter in kernel.arguments_info))
            self._kernels[name] = found
        return found

    def _hold(self, array: NDArray[Any]) -> None:
        if self._capturing is not None:
            self._capturing.arrays.append(array)
        else:
            self._copies += 1
            self._in_flight.append((self._copies, array))

    def _idle(self) -> None:
        """All work is done: nothing is needed any more."""
        self._in_flight.clear()
        self._kept.clear()

    def passed(self, event: Event) -> bool:
        """Event.done."""
        self._ready("done")
        done = self._asked("cuEventQuery", event.handle)
        if done:
            self._let_go(event.copies)
        return done

    def wait_until_passed(self, event: Event) -> None:
        """Event.synchronise()."""
        self._ready("synchronise")
        self._wait("the work before an event", "cuEventQuery", event.handle)
        self._let_go(event.copies)

    def _finish(self) -> None:
        self._wait("its work", "cuStreamQuery", self.handle)

    def _wait(self, waited_for: str, call: str, handle: int) -> None:
        """Raise DeviceHungError where the answer to `call` is not that all is done after wait_ms."""
        if not reached(lambda: self._asked(call, handle), self.wait_ms):
            never_free(self)
            self._calls.hang(waited_for, self.wait_ms)

    def _asked(self, call: str, handle: int) -> bool:
        return bool(self._calls.ask(call, handle, unless="CUDA_ERROR_NOT_READY"))

    def _let_go(self, copies: int) -> None:
        while self._in_flight and self._in_flight[0][0] <= copies:
            self._in_flight.popleft()

    def _ready(self, verb: str, *, recordable: bool = False) -> None:
        self._calls.require_answering()
        if self._closed:
            raise CudaError(f"{verb}() on a closed stream: open a new one")
        if self._capturing is not None and not recordable:
            raise CudaError(f"{verb}() within capture(): only uploads, downloads, zero() and launches are recorded")
        if self._thread != threading.get_ident():
            self._current()

    def _current(self) -> None:
        """Make the device current for this thread: the driver keeps that by thread."""
        with self._calls.refusals("making the device current"):
            self._device.set_current()
        self._thread = threading.get_ident()


def _fits(array: NDArray[Any], memory: DeviceMemory) -> None:
    if not array.flags.c_contiguous:
        raise ValueError(f"array of strides {array.strides} is not C-contiguous: copy it with np.ascontiguousarray")
    if array.nbytes > memory.nbytes:
        raise ValueError(f"array of {array.nbytes} bytes and device memory of {memory.nbytes}")


def _argument_bytes(kernel: str, number: int, argument: object) -> int:
    if isinstance(argument, DeviceMemory):
        return _POINTER_BYTES
    if isinstance(argument, _SCALARS):
        return argument.nbytes
    raise ValueError(
        f"argument {number} of {kernel} is {type(argument).__name__}: must be DeviceMemory or "
        f"{', '.join(scalar.__name__ for scalar in _SCALARS)}"
    )
