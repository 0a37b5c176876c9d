"""One step of the line: a frame's stored values to the network's outputs, on a CPU or on a GPU.

On the CPU it is preprocessing into the engine's input buffer, then infer(). An engine that takes frames as they come
(ports.FrameEngine) makes its own. Not for: verdicts (judge.py) or what the outputs mean (models/).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.bundle.manifest import Preprocessing
from cathrt.runtime.failpoints import failpoint
from cathrt.runtime.frame import Run
from cathrt.runtime.ports import Engine
from cathrt.runtime.preprocess import Preprocessor

Tensors = Mapping[str, NDArray[Any]]
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

    pixels: (rows, columns) uint8 or uint16 stored values, as the run declares.
    Raises ValueError where they are not, EngineError where the engine fails, EngineLostError where it is gone.
    remember: takes a frame into the history that later frames are compared with. For frames that another engine or an
    earlier process has judged. Does nothing where no input shows a history. Raises as the call does.
    """

    def __call__(self, pixels: NDArray[Any]) -> Stepped: ...
    def remember(self, pixels: NDArray[Any]) -> None: ...


@runtime_checkable
class FrameEngine(Protocol):
    """What an engine adds to the port when it takes frames as they come, without a tensor on the host."""

    def frame_step(self, run: Run, specs: Sequence[Preprocessing], now_ns: NowNs) -> FrameStep:
        """The step for the frames of one run; it replaces that of the run before. Raises as Preprocessor does.

        specs: how each input that is made of a frame is made.
        """


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

    def __call__(self, pixels: NDArray[Any]) -> Stepped:
        self._require_host(pixels)
        started = self._now_ns()
        exposed = True
        for preprocess, tensor in self._made:
            exposed = preprocess(pixels, tensor) and exposed
        preprocessed = self._now_ns()
        failpoint("line.preprocessed")
        if not exposed:
            return Stepped(None, (preprocessed - started) / 1e6, 0.0, self._engine)
        outputs = self._infer(self._feeds)
        infer_ms = (self._now_ns() - preprocessed) / 1e6
        return Stepped(outputs, (preprocessed - started) / 1e6, infer_ms, self._engine)

    def remember(self, pixels: NDArray[Any]) -> None:
        if self._remembering:
            self._require_host(pixels)
        for preprocess, tensor in self._remembering:
            preprocess(pixels, tensor)

    def _require_host(self, pixels: Any) -> None:
        if not isinstance(pixels, np.ndarray):
            raise ValueError(
                f"pixels are {type(pixels).__qualname__}, which {self._engine} cannot read: expected an array in host "
                "memory; frames on a device need an engine on that device"
            )


def any_history(specs: Sequence[Preprocessing]) -> bool:
    """Whether what a frame shows rests on the frames before it."""
    return any(spec.history is not None for spec in specs)


def frame_step(engine: Engine, run: Run, specs: Sequence[Preprocessing], now_ns: NowNs) -> FrameStep:
    """The engine's own step where it has one, else the CPU's. Raises as Preprocessor does."""
    if isinstance(engine, FrameEngine):
        return engine.frame_step(run, specs, now_ns)
    return CpuFrameStep(engine, run, specs, now_ns)
