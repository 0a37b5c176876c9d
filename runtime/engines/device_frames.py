"""Stored values to outputs on the device: pinned memory, CUDA ingest into the network's input tensor, the network.

CUDA graphs, recorded once for each kind of run and replayed for each frame: one of the preprocessing under each of the
run's grey scales and one of the network, with an event before, between and after. One frame is in flight at a time,
since the line waits for each: a second pinned slot would never be used. Not for: what is computed
(kernels/cuda/ingest.py, the plan).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels.cuda.driver import DriverStream
from cathrt.kernels.cuda.frames import device_frame, frame_in
from cathrt.kernels.cuda.ingest import DeviceIngest
from cathrt.kernels.cuda.stream import CudaError, DeviceHungError, DeviceMemory
from cathrt.runtime.bundle.manifest import Preprocessing
from cathrt.runtime.errors import EngineError
from cathrt.runtime.failpoints import failpoint
from cathrt.runtime.frame import Run
from cathrt.runtime.frame_step import Stepped
from cathrt.runtime.preprocess import plan_ingest

_PIXELS = (np.dtype(np.uint8), np.dtype(np.uint16))


class DeviceNetwork(Protocol):
    """A network whose tensors lie on the device for good. memory: by tensor name.

    recordable: whether enqueue() only queues, so that a graph can record it; otherwise it is done when it returns.
    """

    @property
    def recordable(self) -> bool: ...
    @property
    def name(self) -> str: ...
    @property
    def memory(self) -> Mapping[str, DeviceMemory]: ...
    def element_of(self, tensor: str) -> str: ...
    def enqueue(self, stream: DriverStream) -> None: ...
    def download(self, stream: DriverStream) -> Mapping[str, NDArray[Any]]: ...
    def translated(self, exc: CudaError) -> EngineError: ...


class DeviceFrameStep:
    """frame_step.FrameStep on a stream of its own, which close() frees with everything on it.

    Frames of NumPy are copied into pinned memory; frames that are on the device already (DLPack, CUDA array interface)
    are read where they lie. preprocess_ms counts the host's copy and, on the device, upload and ingest.
    """

    def __init__(
        self, network: DeviceNetwork, stream: DriverStream, run: Run, spec: Preprocessing, now_ns: Callable[[], int]
    ) -> None:
        """Allocate, run once and record. Raises CudaError, SourceError, ManifestError; `stream` is closed then."""
        self._recorded_for = _recording(run, spec, now_ns)
        self._network = network
        self._stream = stream
        self._shape = (run.rows, run.columns)
        self._now_ns = now_ns
        self._remembers = spec.history is not None
        try:
            self._tensor = network.memory[spec.input]
            self._ingest = plan_ingest(run, spec, network.element_of(spec.input), partial(DeviceIngest, stream))
            dtype = np.dtype(np.uint8 if run.grayscale.bits_stored <= 8 else np.uint16)
            size = run.rows * run.columns * dtype.itemsize
            self._slot = stream.pinned(size).view(dtype).reshape(self._shape)
            self._memory = stream.allocate(size)
            self._frame = frame_in(self._memory, self._shape, dtype)
            self._begin, self._between, self._end = stream.record(), stream.record(), stream.record()
            self._exposed = self._record(len(run.grayscales))
            self.begin()
        except BaseException:
            self.close()
            raise

    def __call__(self, pixels: Any, grayscale: int = 0) -> Stepped:
        """pixels: NDArray of the host, or whatever offers its memory on the device. As frame_step.FrameStep.

        When this returns or raises, nothing on the device reads `pixels` any more, unless the device is lost.
        """
        if not self._exposed[grayscale]:
            return Stepped(None, 0.0, 0.0, self._network.name)
        stream = self._stream
        started = self._now_ns()
        with self._settled():
            preprocess = self._taken(pixels, grayscale)
            taken = self._now_ns()
            stream.record(self._begin)
            preprocess()
            stream.record(self._between)
            failpoint("line.preprocessed")
            self._infer()
            stream.record(self._end)
            stream.synchronise()
            preprocess_ms = (taken - started) / 1e6 + stream.elapsed_ms(self._begin, self._between)
            infer_ms = stream.elapsed_ms(self._between, self._end)
            return Stepped(self._outputs, preprocess_ms, infer_ms, self._network.name)

    def remember(self, pixels: Any, grayscale: int = 0) -> None:
        """Preprocess a frame, without inference. As frame_step.FrameStep; `pixels` as in the call."""
        if not (self._exposed[grayscale] and self._remembers):
            return
        with self._settled():
            self._taken(pixels, grayscale)()
            self._stream.synchronise()

    def begin(self) -> None:
        """The next frame is the first of its run."""
        self._ingest.reset()

    def serves(self, run: Run, spec: Preprocessing, now_ns: Callable[[], int]) -> bool:
        """Whether frames of this run are what was recorded: one press of the pedal is mostly as the one before."""
        return self._recorded_for == _recording(run, spec, now_ns)

    def close(self) -> None:
        """Free what this run needed. Idempotent. Raises DeviceHungError; the engine tells any other loss."""
        try:
            self._stream.close()
        except DeviceHungError:
            raise
        except CudaError:
            pass  # everything is freed all the same, and no frame waits for this

    def _record(self, grayscales: int) -> list[bool]:
        """Do everything once, since kernels are loaded at their first launch, then record it.

        Returns whether any pixel is exposed under each grey scale.
        """
        stream, network = self._stream, self._network
        stream.zero(self._memory)
        exposed = [self._ingest(self._frame, self._tensor, grayscale) for grayscale in range(grayscales)]
        network.enqueue(stream)
        self._outputs = network.download(stream)
        stream.synchronise()
        self._preprocess = []
        for grayscale in range(grayscales):
            with stream.capture() as preprocess:
                stream.upload(self._slot, self._memory)
                self._ingest(self._frame, self._tensor, grayscale)
            self._preprocess.append(preprocess)
        self._infer: Callable[[], object] = self._run_network
        if network.recordable:
            with stream.capture() as recorded:
                self._run_network()
            self._infer = partial(stream.replay, recorded)
        return exposed

    def _run_network(self) -> None:
        self._network.enqueue(self._stream)
        self._network.download(self._stream)

    def _taken(self, pixels: Any, grayscale: int) -> Callable[[], object]:
        """Copy a frame of the host, or borrow one that is on the device already; what then queues its preprocessing."""
        stream = self._stream
        if isinstance(pixels, np.ndarray):
            self._fill_slot(pixels)
            return partial(stream.replay, self._preprocess[grayscale])
        borrowed = device_frame(pixels, stream.handle)
        stream.keep(borrowed)  # whatever goes wrong from here on
        if borrowed.ready_after is not None:
            stream.wait_for(borrowed.ready_after)
        return partial(self._ingest, borrowed, self._tensor, grayscale)

    @contextmanager
    def _settled(self) -> Iterator[None]:
        """On an error, wait for the device: the lender of the frame may write over it then. Raises CudaError as the
        engine's own error."""
        try:
            yield
        except BaseException as exc:
            with suppress(CudaError):  # then the stream keeps the frame until it is known to be idle
                self._stream.synchronise()
            if isinstance(exc, CudaError):
                raise self._network.translated(exc) from exc
            raise

    def _fill_slot(self, pixels: NDArray[Any]) -> None:
        if pixels.shape != self._shape or pixels.dtype not in _PIXELS:
            raise ValueError(
                f"pixels are {pixels.dtype} {pixels.shape}: expected uint8 or uint16 {self._shape}, as the run declares"
            )
        if pixels.dtype == _PIXELS[0] and self._slot.dtype == _PIXELS[1]:
            raise ValueError("pixels are uint8 but the run stores more than 8 bits: give uint16")
        # uint16 of at most 8 bits stored loses its high byte here, which the kernel would mask away.
        np.copyto(self._slot, pixels, casting="unsafe")


def _recording(run: Run, spec: Preprocessing, now_ns: Callable[[], int]) -> tuple[object, ...]:
    """All that a recording depends on, to compare: arrays by their bytes."""
    grayscales = tuple((grayscale.window_key, grayscale.exposed_key) for grayscale in run.grayscales)
    rate = run.timing.frame_rate_hz if spec.history is not None else None  # what a frame weighs in the history
    return (run.rows, run.columns, grayscales, spec, rate, now_ns)
