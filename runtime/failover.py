"""An engine and its named fallback as one engine: when the first one's device is lost, the second judges what follows.

Only an engine.fallback of the configuration ever takes over, and from then on the name that every verdict and alert
bears says so. Not for: engines that merely fail on a frame, which ends FAILED and the next one is tried.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from cathrt.runtime.bundle import Bundle, Preprocessing
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines import open_engine
from cathrt.runtime.errors import EngineError, EngineLostError
from cathrt.runtime.frame import Run
from cathrt.runtime.frame_step import FrameStep, NowNs, Stepped, frame_step
from cathrt.runtime.ports import Engine, TensorSpec

_log = logging.getLogger(__name__)


@runtime_checkable
class WarmEngine(Protocol):
    """What an engine adds to the port when it gets slow by resting. Raises EngineError, EngineLostError."""

    def keep_warm(self) -> None: ...


class FailoverEngine:
    """The first of `engines` that is not lost; the others stand by, loaded and warm. Fits Engine and FrameEngine.

    instead_of: the engine that could not even be opened, for which the first of these already stands in.
    The frame on which a loss shows is not judged again: what it raises says who takes over from the next one on. Lost
    engines are closed with the others and not before, since closing one may take as long as its driver likes.
    """

    def __init__(self, engines: Sequence[Engine], instead_of: str | None = None) -> None:
        self._all = tuple(engines)
        self._alive = list(engines)
        self._first = instead_of or engines[0].name
        self._name = self._named()
        self._lost = ""
        self._warms = True

    @property
    def name(self) -> str:
        return self._name

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._in_force.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._in_force.outputs

    @property
    def input_buffers(self) -> Mapping[str, NDArray[Any]]:
        return self._in_force.input_buffers

    def infer(self, feeds: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        engine = self._in_force
        try:
            return engine.infer(feeds)
        except EngineLostError as exc:
            raise self.lose(exc) from exc

    def frame_step(self, run: Run, spec: Preprocessing, now_ns: NowNs) -> FrameStep:
        """One step for each engine that is left, so that a takeover in mid-run costs no frame but the failed one."""
        steps: list[FrameStep] = []
        for engine in tuple(self._alive):
            try:
                steps.append(frame_step(engine, run, spec, now_ns))
            except EngineLostError as exc:
                self.lose(exc)
        return _FailoverStep(self, steps)

    @property
    def can_keep_warm(self) -> bool:
        """Whether the engine in force gets slow by resting."""
        return self._warms and bool(self._alive) and isinstance(self._alive[0], WarmEngine)

    def keep_warm(self) -> None:
        """Run the engine in force for nothing. Raises nothing: a loss is a takeover before any frame has suffered."""
        if not self.can_keep_warm:
            return
        engine = self._in_force
        assert isinstance(engine, WarmEngine)
        try:
            engine.keep_warm()
        except EngineLostError as exc:
            self.lose(exc)
        except EngineError as exc:
            self._warms = False
            _log.warning("%s cannot be kept warm and will be slow after each pause: %s", engine.name, exc)

    def require_alive(self) -> None:
        """Raise EngineLostError where every engine is lost: what was journalled since is FAILED throughout."""
        if not self._alive:
            raise EngineLostError(self._lost)

    def close(self) -> None:
        for engine in self._all:
            engine.close()

    @property
    def alive(self) -> int:
        """How many engines are left."""
        return len(self._alive)

    def lose(self, exc: EngineLostError) -> EngineLostError:
        """Strike the engine in force off; returns what to tell of it."""
        lost = self._alive.pop(0)
        self._warms = True
        if self._alive:
            self._name = self._named()
            told = f"{exc}; {self._alive[0].name} takes over with the next frame"
        else:
            self._lost = f"{exc}; no engine is left to judge what follows: name one as engine.fallback, or start again"
            told = self._lost
        _log.error("engine %s is lost: %s", lost.name, told)
        return EngineLostError(told)

    @property
    def _in_force(self) -> Engine:
        self.require_alive()
        return self._alive[0]

    def _named(self) -> str:
        now = self._alive[0].name
        return now if now == self._first else f"{now} (fallback for {self._first})"


class _FailoverStep:
    """The steps of the engines that were left when the run began, the last of which is the last engine's."""

    def __init__(self, engine: FailoverEngine, steps: list[FrameStep]) -> None:
        self._engine = engine
        self._steps = steps

    def __call__(self, pixels: NDArray[Any]) -> Stepped:
        engine = self._engine
        engine.require_alive()
        del self._steps[: len(self._steps) - engine.alive]  # of engines lost meanwhile, also while keeping warm
        try:
            return self._steps[0](pixels)
        except EngineLostError as exc:
            raise engine.lose(exc) from exc


def open_with_fallback(bundle: Bundle, config: EngineConfig) -> FailoverEngine:
    """Open config.name, and config.fallback beside it where one is named. Raises EngineError.

    Where the first cannot be opened, the named fallback begins: logged here, and seen in its name ever after.
    """
    try:
        engines = [open_engine(config.name, bundle, config)]
    except EngineError as exc:
        if not config.fallback:
            raise
        _log.warning("engine %s cannot be opened, %s stands in for it: %s", config.name, config.fallback, exc)
        return FailoverEngine([open_engine(config.fallback, bundle, config)], instead_of=config.name)
    if config.fallback:
        try:
            engines.append(open_engine(config.fallback, bundle, config))
        except BaseException:
            engines[0].close()
            raise
    return FailoverEngine(engines)
