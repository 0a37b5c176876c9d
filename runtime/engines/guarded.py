"""An engine on a device that may stop answering: each of its calls runs on a thread of its own and has a deadline.

A hung device is a lost device: whoever waits for it gets EngineLostError in time, and the engine is left behind with
all it holds. Not for: engines on the CPU, which end by themselves.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

from numpy.typing import NDArray

from cathrt.kernels.cuda.waiting import never_free
from cathrt.runtime.bundle.manifest import Preprocessing
from cathrt.runtime.engines.device_thread import DeviceThread
from cathrt.runtime.errors import EngineError, EngineHungError, EngineLostError
from cathrt.runtime.frame import Run
from cathrt.runtime.frame_step import FrameStep, NowNs, Stepped, any_history
from cathrt.runtime.ports import Engine
from cathrt.runtime.tensor import TensorSpec

T = TypeVar("T")

OPEN_WITHIN_MS = 120_000.0  # TensorRT-RTX finishes its plans on the device
_GRACE_MS = 100.0  # for what the engine's own wait, with its better message, takes longer than wait_ms
SLOWER = 5.0  # preparing for a run and closing allocate, load and free
_log = logging.getLogger(__name__)


class DeviceEngine(Engine, Protocol):
    """What is guarded: an engine that takes frames as they come and can be kept warm."""

    def frame_step(self, run: Run, specs: Sequence[Preprocessing], now_ns: NowNs) -> FrameStep: ...
    def keep_warm(self) -> None: ...


class GuardedEngine:
    """The engine that `open_engine` opens, with a deadline on every call. Fits Engine, FrameEngine and WarmEngine.

    wait_ms: for a frame, infer() and keep_warm(). Preparing for a run and closing may take five times as long, opening
    two minutes. Raises EngineHungError where a call takes longer, and from then on at once.
    """

    def __init__(self, name: str, open_engine: Callable[[], DeviceEngine], wait_ms: float) -> None:
        self._name = name
        self._wait_ms = wait_ms
        self._lost = ""
        self._closed = False
        self._thread = DeviceThread(f"cathrt-{name}")
        try:
            self._engine = self.call("opening", open_engine, OPEN_WITHIN_MS)
        except BaseException:
            self._thread.end()
            raise
        self._inputs, self._outputs = self._engine.inputs, self._engine.outputs
        self._input_buffers = self._engine.input_buffers

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

    @property
    def hangs(self) -> bool:
        """Whether a call has not returned in time. It counts as hung for good."""
        return bool(self._lost)

    def infer(self, feeds: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        return self.call("inference", lambda: self._engine.infer(feeds), self.frame_within_ms)

    def frame_step(self, run: Run, specs: Sequence[Preprocessing], now_ns: NowNs) -> FrameStep:
        within_ms = SLOWER * self._wait_ms
        step = self.call("preparing for a run", lambda: self._engine.frame_step(run, specs, now_ns), within_ms)
        return _GuardedStep(self, step, remembers=any_history(specs))

    def keep_warm(self) -> None:
        self.call("keeping warm", self._engine.keep_warm, self.frame_within_ms)

    def close(self) -> None:
        """Close the engine, or leave it behind where it does not answer. Returns within five times wait_ms."""
        if self._closed:
            return
        try:
            self.call("closing", self._engine.close, SLOWER * self._wait_ms)
        except EngineLostError as exc:
            if not self._lost:
                raise
            _log.warning("%s; what the engine holds is left behind until the process ends", exc)
        finally:
            self._closed = True
            self._thread.end()

    @property
    def frame_within_ms(self) -> float:
        return self._wait_ms + _GRACE_MS

    def call(self, doing: str, work: Callable[[], T], within_ms: float) -> T:
        """What `work` returns or raises, done on the engine's thread. Raises EngineHungError after `within_ms`."""
        if self._closed:
            raise EngineError(f"{self._name}: the engine is closed: open it again")
        if self._lost:
            raise EngineHungError(self._lost)
        try:
            return self._thread.call(work, within_ms)
        except TimeoutError as exc:
            never_free(self)  # no finaliser may call the driver
            self._lost = (
                f"{self._name}: the device does not answer: {doing} has not ended within {within_ms:g} ms: look at "
                "nvidia-smi and dmesg (lines with Xid)"
            )
            raise EngineHungError(self._lost) from exc


class _GuardedStep:
    """A step of the guarded engine, done on its thread."""

    def __init__(self, engine: GuardedEngine, step: FrameStep, *, remembers: bool) -> None:
        self._engine = engine
        self._step = step
        self._remembers = remembers

    def __call__(self, pixels: NDArray[Any], grayscale: int = 0) -> Stepped:
        return self._engine.call("a frame", lambda: self._step(pixels, grayscale), self._engine.frame_within_ms)

    def remember(self, pixels: NDArray[Any], grayscale: int = 0) -> None:
        if self._remembers:
            work = partial(self._step.remember, pixels, grayscale)
            self._engine.call("remembering a frame", work, self._engine.frame_within_ms)
