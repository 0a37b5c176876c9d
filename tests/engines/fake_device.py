"""A device for tests of the GPU engine, in this process: streams that do nothing before someone waits for them.

Fits kernels.cuda.driver.DriverStream. Work is queued and done at synchronise(), so a result read too early, a buffer
reused too soon or a missing copy shows. Any call can be made to fail. Not for: CUDA's own behaviour (tests/stub_driver)
and not for what kernels compute: those run where `below` runs them (tests/emulation).
"""

# ruff: noqa: ARG002  (arguments are those of the port)
from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels.cuda.stream import CudaError, DeviceLostError, DeviceMemory, Extent, Scalar, Stream

POISON = 0xCD


class HostMemory:
    """The memory of a device that runs no kernels, as bytes of this process. Fits kernels.cuda.stream.Stream."""

    def __init__(self) -> None:
        self._blocks: dict[int, NDArray[np.uint8]] = {}
        self._next = 1 << 20

    def allocate(self, nbytes: int) -> DeviceMemory:
        address, self._next = self._next, self._next + (nbytes // 4096 + 2) * 4096
        self._blocks[address] = np.full(nbytes, POISON, np.uint8)
        return DeviceMemory(address, nbytes)

    def upload(self, array: NDArray[Any], memory: DeviceMemory) -> None:
        self._blocks[memory.address][: array.nbytes] = array.reshape(-1).view(np.uint8)

    def download(self, memory: DeviceMemory, array: NDArray[Any]) -> None:
        array.reshape(-1).view(np.uint8)[...] = self._blocks[memory.address][: array.nbytes]

    def zero(self, memory: DeviceMemory) -> None:
        self._blocks[memory.address][: memory.nbytes] = 0

    def launch(
        self, kernel: str, grid: Extent, block: Extent, *arguments: DeviceMemory | Scalar, shared_bytes: int = 0
    ) -> None:
        raise AssertionError(f"{kernel} cannot be launched on plain memory")

    def synchronise(self) -> None: ...
    def close(self) -> None: ...


class FakeEvent:
    def __init__(self) -> None:
        self.at_ms: float | None = None


class FakeDevice:
    """One device: what its streams share, what they have been asked for, and when a call fails.

    fail(call, nth, error, times): the nth call of that name from now on (0 is the next) raises, and so do those after
    it, as many as `times` says; a DeviceLostError stays.
    """

    def __init__(self, below: Stream | None = None) -> None:
        self.below = below or HostMemory()
        self.calls: Counter[str] = Counter()
        self.held_bytes = 0
        self.streams: list[FakeStream] = []
        self.time_ms = 0.0
        self.lost: DeviceLostError | None = None
        self._faults: dict[str, tuple[range, BaseException]] = {}

    def open_stream(self, ordinal: int = 0, *, priority: str = "normal", wait_ms: float = 0.0) -> FakeStream:
        self.called("open_stream")
        assert priority == "high", "a frame must not wait behind other work"
        self.streams.append(FakeStream(self, wait_ms))
        return self.streams[-1]

    def fail(self, call: str, nth: int, error: BaseException, times: int = 1) -> None:
        first = self.calls[call] + nth
        self._faults[call] = (range(first, first + times), error)

    def called(self, call: str) -> None:
        """Book a call. Raises what was planned for it, and a loss for ever after."""
        if self.lost is not None:
            raise DeviceLostError(str(self.lost))
        failing, error = self._faults.get(call, (range(0), CudaError()))
        number, self.calls[call] = self.calls[call], self.calls[call] + 1
        if number in failing:
            if isinstance(error, DeviceLostError):
                self.lost = error
            raise error

    @property
    def idle(self) -> bool:
        """Every stream was closed and all memory given back."""
        return self.held_bytes == 0 and all(stream.closed for stream in self.streams)


Work = Callable[[], None]


class FakeStream:
    """A DriverStream on a FakeDevice. By its handle the fake TensorRT finds it."""

    by_handle: ClassVar[weakref.WeakValueDictionary[int, FakeStream]] = weakref.WeakValueDictionary()
    sm = 89
    device_name = "fake device"

    def __init__(self, device: FakeDevice, wait_ms: float) -> None:
        self.device = device
        self.wait_ms = wait_ms
        self.handle = id(self)
        self.by_handle[self.handle] = self
        self.closed = False
        self._queue: list[Work] = []
        self._recording: list[Work] | None = None
        self._held = 0
        self._kept: list[object] = []

    def allocate(self, nbytes: int) -> DeviceMemory:
        self._called("allocate")
        self._hold(nbytes)
        return self.device.below.allocate(nbytes)

    def pinned(self, nbytes: int) -> NDArray[np.uint8]:
        self._called("pinned")
        self._hold(nbytes)
        padded = np.zeros(nbytes + 4096, np.uint8)
        begin = -padded.ctypes.data % 4096
        return padded[begin : begin + nbytes]

    def upload(self, array: NDArray[Any], memory: DeviceMemory) -> None:
        assert array.flags.c_contiguous
        assert array.nbytes <= memory.nbytes
        self._called("upload", recordable=True)
        self.enqueue(lambda: self.device.below.upload(array, memory))

    def download(self, memory: DeviceMemory, array: NDArray[Any]) -> None:
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.nbytes <= memory.nbytes
        self._called("download", recordable=True)
        self.enqueue(lambda: self.device.below.download(memory, array))

    def keep(self, owner: object) -> None:
        self._called("keep")
        self._kept.append(owner)

    def zero(self, memory: DeviceMemory) -> None:
        self._called("zero", recordable=True)
        self.enqueue(lambda: self.device.below.zero(memory))

    def launch(
        self, kernel: str, grid: Extent, block: Extent, *arguments: DeviceMemory | Scalar, shared_bytes: int = 0
    ) -> None:
        self._called("launch", recordable=True)
        self.enqueue(lambda: self.device.below.launch(kernel, grid, block, *arguments, shared_bytes=shared_bytes))

    def synchronise(self) -> None:
        self._called("synchronise")
        queue, self._queue = self._queue, []
        for work in queue:
            work()
            self.device.below.synchronise()  # what is below may itself put downloads off
        self._kept.clear()

    def query(self) -> bool:
        self._called("query")
        if not self._queue:
            self._kept.clear()
        return not self._queue

    @property
    def busy(self) -> bool:
        """Whether there is work that nobody has waited for, on a device that still does any."""
        return bool(self._queue) and self.device.lost is None

    def record(self, event: FakeEvent | None = None) -> FakeEvent:
        self._called("record")
        made = event or FakeEvent()
        made.at_ms = None

        def passed() -> None:
            self.device.time_ms += 1.0
            made.at_ms = self.device.time_ms

        self.enqueue(passed)
        return made

    def wait_for(self, handle: int) -> None:
        self._called("wait_for")
        other = self.by_handle[handle]
        self.enqueue(other.synchronise)

    def elapsed_ms(self, begin: FakeEvent, end: FakeEvent) -> float:
        self._called("elapsed_ms")
        if begin.at_ms is None or end.at_ms is None:
            raise CudaError("elapsed_ms: CUDA_ERROR_NOT_READY: the work has not come past both events")
        return end.at_ms - begin.at_ms

    @contextmanager
    def capture(self) -> Iterator[list[Work]]:
        self._called("capture")
        self._recording = recorded = []
        try:
            yield recorded
        finally:
            self._recording = None

    def replay(self, graph: list[Work]) -> None:
        self._called("replay")
        self._queue += graph

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._queue = []
            self._kept.clear()
            self.device.held_bytes -= self._held

    def enqueue(self, work: Work) -> None:
        """Queue work, or record it: also for the fake TensorRT, which finds its stream by the handle."""
        (self._queue if self._recording is None else self._recording).append(work)

    def _hold(self, nbytes: int) -> None:
        self._held += nbytes
        self.device.held_bytes += nbytes

    def _called(self, call: str, *, recordable: bool = False) -> None:
        if self.closed:
            raise CudaError(f"{call}() on a closed stream")
        self.device.called(call)
        if self._recording is not None and not recordable:
            raise CudaError(f"{call}() within capture()")
