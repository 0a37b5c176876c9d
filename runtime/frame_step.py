"""One step of the line: a frame's stored values to the network's outputs, on a CPU or on a GPU.

On the CPU it is preprocessing into the engine's input buffer, then infer(). An engine that takes frames as they come
(ports.FrameEngine) makes its own. Not for: verdicts (judge.py) or what the outputs mean (models/).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.bundle.manifest import Preprocessing
from cathrt.runtime.failpoints import failpoint
from cathrt.runtime.frame import Run
from cathrt.runtime.ports import Engine, InferRequest, ParallelEngine
from cathrt.runtime.preprocess import Preprocessor

Tensors = Mapping[str, NDArray[Any]]
Begin = Callable[[NDArray[Any], int], Callable[[], "Stepped"]]
NowNs = Callable[[], int]


@dataclass(frozen=True, slots=True)
class Stepped:
    """What a step made of one frame.

    outputs: the engine's own arrays, overwritten by the next frame; None where the shutter covers the whole frame, so
    that nothing found on it would mean anything.   engine: the name of the engine that computed them.
    """

    outputs: Tensors | None
    preprocess_ms: float
    infer_ms: float
    engine: str


class FrameStep(Protocol):
    """Frames of one run, one after another. Not thread-safe; belongs to the engine that made it.

    pixels: (rows, columns) uint8 or uint16 stored values, as the run declares. grayscale: which of run.grayscales they
    are meant by.
    Raises ValueError where they are not, EngineError where the engine fails, EngineLostError where it is gone.
    remember: takes a frame into the history that later frames are compared with. For frames that another engine or an
    earlier process has judged. Does nothing where no input shows a history. Raises as the call does.
    """

    def __call__(self, pixels: NDArray[Any], grayscale: int = 0) -> Stepped: ...
    def remember(self, pixels: NDArray[Any], grayscale: int = 0) -> None: ...


@runtime_checkable
class FrameEngine(Protocol):
    """What an engine adds to the port when it takes frames as they come, without a tensor on the host."""

    def frame_step(self, run: Run, specs: Sequence[Preprocessing], now_ns: NowNs) -> FrameStep:
        """The step for the frames of one run; it replaces that of the run before. Raises as Preprocessor does.

        specs: how each input that is made of a frame is made.
        """


@runtime_checkable
class ParallelStep(FrameStep, Protocol):
    """What a step adds when it can work on several frames side by side.

    in_flight: how many frames may be begun before the first of them must be finished. begin: prepares a frame and
    starts its inference; what it returns waits for the outputs. Frames are finished in the order in which they were
    begun. Both raise as the call of a step does.
    """

    @property
    def in_flight(self) -> int: ...
    def begin(self, pixels: NDArray[Any], grayscale: int = 0) -> Callable[[], Stepped]: ...


def in_flight(step: FrameStep) -> int:
    """How many frames a step may work on at the same time."""
    return step.in_flight if isinstance(step, ParallelStep) else 1


def begin_of(step: FrameStep) -> Begin:
    """How a frame is begun: what is returned gives its outputs. A step that takes one frame at a time does all of it
    then. To be asked once a run: a look at a protocol takes longer than a call."""
    if isinstance(step, ParallelStep):
        return step.begin
    return lambda pixels, grayscale: partial(step, pixels, grayscale)


class CpuFrameStep:
    """Preprocessing into the engine's own input buffers, then the engine. Times are the clock's."""

    def __init__(self, engine: Engine, run: Run, specs: Sequence[Preprocessing], now_ns: NowNs) -> None:
        tensors = [engine.input_buffers[spec.input] for spec in specs]
        self._made = [
            (Preprocessor(run, spec, tensor.dtype.name), tensor) for spec, tensor in zip(specs, tensors, strict=True)
        ]
        self._feeds = dict(engine.input_buffers)
        self._infer = engine.infer
        self._engine = engine.name
        self._now_ns = now_ns
        self._remembering = [made for made, spec in zip(self._made, specs, strict=True) if spec.history is not None]

    def __call__(self, pixels: NDArray[Any], grayscale: int = 0) -> Stepped:
        _require_host(pixels, self._engine)
        started = self._now_ns()
        exposed = True
        for preprocess, tensor in self._made:
            exposed = preprocess(pixels, tensor, grayscale) and exposed
        preprocessed = self._now_ns()
        failpoint("line.preprocessed")
        if not exposed:
            return Stepped(None, (preprocessed - started) / 1e6, 0.0, self._engine)
        outputs = self._infer(self._feeds)
        infer_ms = (self._now_ns() - preprocessed) / 1e6
        return Stepped(outputs, (preprocessed - started) / 1e6, infer_ms, self._engine)

    def remember(self, pixels: NDArray[Any], grayscale: int = 0) -> None:
        if self._remembering:
            _require_host(pixels, self._engine)
        for preprocess, tensor in self._remembering:
            preprocess(pixels, tensor, grayscale)


class ParallelCpuStep:
    """CpuFrameStep for an engine that computes several inferences side by side: each frame takes the next request.

    infer_ms counts until the outputs are asked for, so that the work on other frames in between is part of it.
    """

    def __init__(self, engine: ParallelEngine, run: Run, specs: Sequence[Preprocessing], now_ns: NowNs) -> None:
        self._requests = tuple(engine.requests)
        self._preprocess = [
            (Preprocessor(run, spec, engine.input_buffers[spec.input].dtype.name), spec) for spec in specs
        ]
        self._begun = 0
        self._engine = engine.name
        self._now_ns = now_ns

    @property
    def in_flight(self) -> int:
        return len(self._requests)

    def __call__(self, pixels: NDArray[Any], grayscale: int = 0) -> Stepped:
        return self.begin(pixels, grayscale)()

    def begin(self, pixels: NDArray[Any], grayscale: int = 0) -> Callable[[], Stepped]:
        _require_host(pixels, self._engine)
        request = self._next_request
        started = self._now_ns()
        exposed = True
        for preprocess, spec in self._preprocess:
            exposed = preprocess(pixels, request.input_buffers[spec.input], grayscale) and exposed
        preprocessed = self._now_ns()
        failpoint("line.preprocessed")
        preprocess_ms = (preprocessed - started) / 1e6
        if not exposed:
            covered = Stepped(None, preprocess_ms, 0.0, self._engine)
            return lambda: covered
        request.start()
        self._begun += 1

        def finish() -> Stepped:
            outputs = request.wait()
            return Stepped(outputs, preprocess_ms, (self._now_ns() - preprocessed) / 1e6, self._engine)

        return finish

    def remember(self, pixels: NDArray[Any], grayscale: int = 0) -> None:
        for preprocess, spec in self._preprocess:
            if spec.history is not None:
                _require_host(pixels, self._engine)
                preprocess(pixels, self._next_request.input_buffers[spec.input], grayscale)

    @property
    def _next_request(self) -> InferRequest:
        """They are taken in turn, so that the frame it had before is finished."""
        return self._requests[self._begun % len(self._requests)]


def _require_host(pixels: Any, engine: str) -> None:
    if not isinstance(pixels, np.ndarray):
        raise ValueError(
            f"pixels are {type(pixels).__qualname__}, which {engine} cannot read: expected an array in host "
            "memory; frames on a device need an engine on that device"
        )


def any_history(specs: Sequence[Preprocessing]) -> bool:
    """Whether what a frame shows rests on the frames before it."""
    return any(spec.history is not None for spec in specs)


def frame_step(engine: Engine, run: Run, specs: Sequence[Preprocessing], now_ns: NowNs) -> FrameStep:
    """The engine's own step where it has one, else the CPU's. Raises as Preprocessor does."""
    if isinstance(engine, FrameEngine):
        return engine.frame_step(run, specs, now_ns)
    if isinstance(engine, ParallelEngine) and len(engine.requests) > 1:
        return ParallelCpuStep(engine, run, specs, now_ns)
    return CpuFrameStep(engine, run, specs, now_ns)
