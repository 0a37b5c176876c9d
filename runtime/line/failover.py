"""Engines of one bundle as one engine. If the first loses its device, the next takes over with the next frame.

Only an engine that the configuration names ever takes over. Every verdict and alert names the engine that computed it.
An engine that merely fails on a frame stays: that frame is FAILED. Whoever thinks otherwise sets it aside
(live_ladder.py). Not for: another bundle, which takes over with the next run, or coming back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from cathrt.runtime.bundle.manifest import Preprocessing
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines import open_engine
from cathrt.runtime.errors import CathrtError, EngineError, EngineLostError
from cathrt.runtime.frame import Run
from cathrt.runtime.frame_step import Begin, FrameStep, NowNs, Stepped, any_history, begin_of, frame_step, in_flight
from cathrt.runtime.ports import Engine
from cathrt.runtime.tensor import TensorSpec

Told = Callable[[Engine, EngineLostError], None]  # hears of an engine that is lost

_NONE_LEFT = "no engine is left to judge what follows: name one as engine.fallback, or start again"
_log = logging.getLogger(__name__)


@runtime_checkable
class WarmEngine(Protocol):
    """What an engine adds to the port when a pause makes it slow. Raises EngineError, EngineLostError."""

    def keep_warm(self) -> None: ...


class FailoverEngine:
    """The first of `engines` that is left; the others stand by, loaded and warm. Fits Engine and FrameEngine.

    instead_of: the engine for which the first of these already stands in, since it could not be opened or was lost
    before; without any engine, the one that is named all the same. told: hears of each loss. none_left: what errors say
    where every engine is gone.
    A frame on which an engine is lost is not judged again: the error says who judges the next one. Lost engines are
    closed together with the others, in close().
    """

    def __init__(
        self,
        engines: Sequence[Engine],
        instead_of: str | None = None,
        *,
        told: Told = lambda engine, exc: None,
        none_left: str = _NONE_LEFT,
    ) -> None:
        self._all = tuple(engines)
        self._alive = list(engines)
        self._primary = None if instead_of else engines[0]
        self._first = instead_of or engines[0].name
        self._last = next(iter(engines), None)  # to be lost; the first while there are any
        self._not_warmed: list[Engine] = []
        self._told = told
        self._none_left = self._no_engine = none_left

    @property
    def name(self) -> str:
        """Of the engine in force; after the last one was lost, of that one."""
        last = self._alive[0] if self._alive else self._last
        return self._first if last is None else self.label(last)

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
            raise self.lose(engine, exc) from exc

    def frame_step(self, run: Run, specs: Sequence[Preprocessing], now_ns: NowNs) -> FrameStep:
        """A step of every engine that is left, so that a takeover in mid-run costs no frame but the failed one.

        An engine that cannot prepare for this run stays, and the next one judges the run. Raises what the first of
        them raised where none can: SourceError, ManifestError, EngineError.
        """
        prepare = partial(frame_step, run=run, specs=specs, now_ns=now_ns)
        return _FailoverStep(self, run.source, prepare, remembers=any_history(specs))

    @property
    def can_keep_warm(self) -> bool:
        """Whether the engine in force gets slow in a pause."""
        return bool(self._alive) and self._warms(self._alive[0])

    def keep_warm(self) -> None:
        """Run a dummy inference on the engine in force. Raises nothing: a loss noticed here costs no frame."""
        if not self.can_keep_warm:
            return
        engine = self._in_force
        assert isinstance(engine, WarmEngine)
        try:
            engine.keep_warm()
        except EngineLostError as exc:
            self.lose(engine, exc)
        except EngineError as exc:
            self._not_warmed.append(engine)
            _log.warning("%s cannot be kept warm and will be slow after each pause: %s", engine.name, exc)

    def require_alive(self) -> None:
        """Raise EngineLostError where every engine is lost: every frame since then is FAILED."""
        if not self._alive:
            raise EngineLostError(self._no_engine)

    def close(self) -> None:
        """Close all engines, the lost ones too. What one of them says at its end is logged; no result rests on it."""
        for engine in self._all:
            try:
                engine.close()
            except EngineError as exc:
                _log.warning("engine %s did not close cleanly: %s", engine.name, exc)

    @property
    def alive(self) -> tuple[Engine, ...]:
        """The engines that are left, the one in force first."""
        return tuple(self._alive)

    def label(self, engine: Engine) -> str:
        """The name that verdicts give this engine."""
        return engine.name if engine is self._primary else f"{engine.name} (fallback for {self._first})"

    def lose(self, engine: Engine, exc: EngineLostError) -> EngineLostError:
        """Strike this engine off, whichever it is; returns the error with what follows from it."""
        if not any(engine is other for other in self._alive):
            return EngineLostError(str(exc))  # the second frame that it was lost on
        follows = self._strike_off(engine, str(exc))
        _log.error("engine %s is lost: %s", engine.name, follows)
        self._told(engine, exc)
        return EngineLostError(follows)

    def set_aside(self, engine: Engine, why: str) -> None:
        """Let the next one judge from the next frame on, though this engine answers. It may be lost already."""
        if any(engine is other for other in self._alive):
            _log.warning("engine %s is set aside: %s", engine.name, self._strike_off(engine, why))

    def _strike_off(self, engine: Engine, why: str) -> str:
        """Returns what follows from it, in words."""
        in_force = self._alive[0]
        self._alive = [other for other in self._alive if other is not engine]
        if not self._alive:
            self._last = engine
            self._no_engine = f"{why}; {self._none_left}"
            return self._no_engine
        if engine is in_force:
            return f"{why}; {self._alive[0].name} takes over with the next frame"
        standing_by = ", ".join(other.name for other in self._alive[1:]) or "none"
        return f"{why}; {self._alive[0].name} goes on, engines still standing by: {standing_by}"

    @property
    def _in_force(self) -> Engine:
        self.require_alive()
        return self._alive[0]

    def _warms(self, engine: Engine) -> bool:
        return isinstance(engine, WarmEngine) and not any(engine is other for other in self._not_warmed)


class _FailoverStep:
    """The steps of one run: one of each engine that could prepare for it, in the order in which they take over."""

    def __init__(
        self, failover: FailoverEngine, source: str, prepare: Callable[[Engine], FrameStep], *, remembers: bool
    ) -> None:
        self._failover = failover
        self._source = source
        self._prepare = prepare
        self._remembers = remembers
        self._steps: list[tuple[Engine, FrameStep, Begin]] = []
        self._warned: list[Engine] = []  # of frames that are missing from its history
        self._prepare_all()

    @property
    def in_flight(self) -> int:
        """One where an engine stands by: what takes over takes one frame at a time."""
        return in_flight(self._steps[0][1]) if len(self._steps) == 1 else 1

    def __call__(self, pixels: NDArray[Any], grayscale: int = 0) -> Stepped:
        return self.begin(pixels, grayscale)()

    def begin(self, pixels: NDArray[Any], grayscale: int = 0) -> Callable[[], Stepped]:
        engine, _, begin = self._next()
        try:
            finish = begin(pixels, grayscale)
        except EngineLostError as exc:
            raise self._failover.lose(engine, exc) from exc
        finally:
            self._remember_in(self._steps[1:], pixels, grayscale)  # the engine that takes over needs the run's history

        def finished() -> Stepped:
            try:
                return replace(finish(), engine=self._failover.label(engine))
            except EngineLostError as exc:
                raise self._failover.lose(engine, exc) from exc

        return finished

    def remember(self, pixels: NDArray[Any], grayscale: int = 0) -> None:
        if self._remembers:
            self._next()
            self._remember_in(self._steps, pixels, grayscale)

    def _remember_in(
        self, steps: Sequence[tuple[Engine, FrameStep, Begin]], pixels: NDArray[Any], grayscale: int
    ) -> None:
        """Raises nothing: a gap in a history costs less than a frame, and a loss noticed here costs no frame."""
        for engine, step, _ in steps if self._remembers else ():
            try:
                step.remember(pixels, grayscale)
            except EngineLostError as exc:
                self._failover.lose(engine, exc)
            except (CathrtError, ValueError, TypeError) as exc:
                self._warn_of_gap(engine, str(exc))

    def _warn_of_gap(self, engine: Engine, why: str) -> None:
        if not any(engine is other for other in self._warned):
            self._warned.append(engine)
            _log.warning("%s has not seen every frame of %s: %s", engine.name, self._source, why)

    def _next(self) -> tuple[Engine, FrameStep, Begin]:
        """The first step whose engine is not lost: it may have been lost in a pause, not in this run."""
        left = self._failover.alive
        self._steps = [one for one in self._steps if any(one[0] is engine for engine in left)]
        if not self._steps:
            self._prepare_all()  # whoever could not prepare before may do so now
            self._failover.require_alive()
            for engine, _, _ in self._steps if self._remembers else ():
                self._warn_of_gap(engine, "it could not prepare for the run before")
        return self._steps[0]

    def _prepare_all(self) -> None:
        """Raise the first engine's error where some are left and none can prepare."""
        errors: list[CathrtError] = []
        for engine in self._failover.alive:
            try:
                step = self._prepare(engine)
                self._steps.append((engine, step, begin_of(step)))
            except EngineLostError as exc:
                self._failover.lose(engine, exc)
            except CathrtError as exc:
                errors.append(exc)
                _log.warning("engine %s cannot judge %s, another one must: %s", engine.name, self._source, exc)
        if errors and not self._steps:
            raise errors[0]


def open_with_fallback(
    bundle: Bundle, role: str, config: EngineConfig, *, side_by_side: bool = False
) -> FailoverEngine:
    """Open one network in config.name, and in config.fallback beside it where one is named. Raises EngineError.

    side_by_side: for several frames at the same time (engines/request.py); not where a fallback is named.
    If the first cannot be opened, the named fallback judges from the start: that is logged and stands in its name.
    """
    try:
        engines = [open_engine(config.name, bundle, role, config, side_by_side=side_by_side and not config.fallback)]
    except EngineError as exc:
        if not config.fallback:
            raise
        _log.warning("engine %s cannot be opened, %s stands in for it: %s", config.name, config.fallback, exc)
        return FailoverEngine([open_engine(config.fallback, bundle, role, config)], instead_of=config.name)
    if config.fallback:
        try:
            engines.append(open_engine(config.fallback, bundle, role, config))
        except BaseException:
            engines[0].close()
            raise
    return FailoverEngine(engines)
