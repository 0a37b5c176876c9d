"""One model of a live line with the engines of its ladder: which of them judge, and whether the others could again.

Two threads use it: the line's, and one beside it that probes and opens engines. An engine that may not judge belongs to
the second alone. Not for: when a rung falls or comes back (ladder.py), records (live_ladder.py).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

from cathrt.runtime.alert import EngineReason, Verdict
from cathrt.runtime.clock import Clock
from cathrt.runtime.config import LadderConfig
from cathrt.runtime.engines.bounded import BoundedEngine
from cathrt.runtime.errors import EngineError, EngineHungError, EngineLostError, ManifestError
from cathrt.runtime.line.failover import FailoverEngine
from cathrt.runtime.line.ladder import Ladder
from cathrt.runtime.line.ladder_signs import Signs
from cathrt.runtime.line.pipeline import ServedModel
from cathrt.runtime.ports import Engine

_NONE_LEFT = "no live AI until an engine works again"
MOST_LEFT_BEHIND = 8  # engines that hang, each with its thread; then only a new process opens one
_NEEDS_PROCESS = 3  # failed openings in turn of an engine that was lost
_log = logging.getLogger(__name__)


@runtime_checkable
class HangingEngine(Protocol):
    """What an engine with a deadline adds to the port (engines/bounded.py, engines/guarded.py)."""

    @property
    def hangs(self) -> bool: ...


@dataclass(slots=True, eq=False)
class Rung:
    """label: of its engine, as records have it. served: with which bundle; rungs of one bundle share it.

    open: opens the engine; may take long.
    engine: None while it could not be opened. why: what was said against it last. refused: failed openings in turn.
    """

    label: str
    served: ServedModel
    open: Callable[[], Engine]
    on_gpu: bool = False
    engine: Engine | None = None
    why: str = ""
    refused: int = 0


@dataclass(slots=True)
class Change:
    """The newest change of rung: from which to which, why, and when its first sign was."""

    reason: EngineReason
    detail: str
    since_ns: int


@dataclass(slots=True, eq=False)
class Place:
    """rungs: best first, at least one. all_signs: they are left for errors, overload and heat too, not only for losses.

    clock, budget_ms: a probe may take no longer than the budget. losses: of engines that judged, so far.
    left_behind: engines that hang and were replaced.
    """

    rungs: Sequence[Rung]
    config: LadderConfig
    clock: Clock
    budget_ms: float
    all_signs: bool
    ladder: Ladder = field(init=False)
    signs: Signs = field(init=False)
    change: Change = field(init=False)
    losses: int = 0
    left_behind: int = 0
    _losses_seen: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _composed: ServedModel | None = None

    def __post_init__(self) -> None:
        now_ns = self.clock.now_ns()
        self.ladder = Ladder(len(self.rungs), self.config, self.clock.now_ns)
        self.signs = Signs(self.config)
        self.change = Change("start", f"{self.rungs[0].label} judges", now_ns)
        for number, rung in enumerate(self.rungs):
            if rung.engine is None:
                self.ladder.put_out(number, "start")
                if number == 0:
                    self.change.detail = rung.why

    @property
    def kind(self) -> str:
        return self.rungs[0].served.kind

    @property
    def in_force(self) -> int | None:
        """Number of the rung that judges; None: no live AI."""
        with self._lock:
            return self.ladder.in_force

    @property
    def waits_for_run(self) -> bool:
        """Whether a rung may come back with the next run, which no run should hold up: nothing judges now."""
        with self._lock:
            return self.ladder.in_force is None and bool(self.ladder.ready)

    def served(self) -> ServedModel:
        """The model with the engines that may judge now. To be asked between runs."""
        with self._lock:
            first = self.ladder.in_force
            ours = self.rungs[first or 0].served
            inside = [
                (number, rung)
                for number, rung in enumerate(self.rungs)
                if rung.served is ours and self.ladder.is_in(number)
            ]
            engines = tuple(rung.engine for _, rung in inside if rung.engine is not None)
            composed = self._composed
            if composed is None or composed.bundle is not ours.bundle or _alive(composed) != engines:
                instead_of = None if engines and first == 0 else self.rungs[0].label
                none_left = _NONE_LEFT if engines else f"{_NONE_LEFT}: {self.change.detail}"
                engine = FailoverEngine(engines, instead_of, told=self._lost, none_left=none_left)
                composed = self._composed = replace(ours, engine=engine)
            return composed

    def saw(self, verdict: Verdict, now_ns: int) -> None:
        """Take note of how a frame ended, and leave the rung that judges where enough speaks against it."""
        signs, lost_now = self.signs, self.losses != self._losses_seen
        self._losses_seen = self.losses
        signs.saw(verdict, now_ns)
        if lost_now:  # the sign was the frame, not the moment at which it was given up
            self.change.since_ns = now_ns - round(verdict.latency_ms.end_to_end * 1e6)
        if any(finding.kind == self.kind for finding in verdict.findings):
            signs.answered()
        elif verdict.retry and not lost_now:
            signs.erred(now_ns)
            if (since_ns := signs.only_errors) is not None:
                self.leave("errors", f"it fails on every frame: {verdict.reason}", since_ns, last_too=True)
            elif (since_ns := signs.errors(now_ns)) is not None:
                self.leave("errors", f"{self.config.errors} frames failed: {verdict.reason}", since_ns)
        if (since_ns := signs.overload) is not None:
            share = f"more than {self.config.missed_share:.0%} of the frames of {self.config.missed_s:g} s"
            self.leave("overload", f"{share} were late or overrun", since_ns)

    def leave(self, why: EngineReason, detail: str, since_ns: int, *, last_too: bool = False) -> None:
        """Leave the rung that judges for the next one, where there is one. last_too: also where there is none."""
        with self._lock:
            number = self.ladder.in_force
            if not self.all_signs or number is None:
                return
            if not last_too and not any(map(self.ladder.is_in, range(number + 1, len(self.rungs)))):
                return
            rung = self.rungs[number]
            rung.why = detail
            self._fell(number, Change(why, detail, since_ns))
            if self._composed is not None and rung.engine is not None:
                _failover(self._composed).set_aside(rung.engine, detail)

    def take_in_ready(self) -> bool:
        """Let every rung judge again that has passed its probes. Whether there was one. To be asked between runs."""
        with self._lock:
            before, ready = self.ladder.in_force, self.ladder.ready
            for number in ready:
                self.ladder.take_in(number)
            after = self.ladder.in_force
            if after != before and after is not None:
                label = self.rungs[after].label
                self.change = Change("healthy", f"{label} has passed its probes", self.clock.now_ns())
                self.signs = Signs(self.config)
            return bool(ready)

    def look(self, *, idle: bool, hot: bool = False) -> None:
        """Probe the rung that is due, if one is. For the thread beside the line. idle: no run is on.

        hot: the processor is still throttled: what was left for that waits.
        """
        with self._lock:
            number = self.ladder.due()
            alone = self.ladder.in_force is None
        if number is None or (hot and self.ladder.why_out(number) == "heat"):
            return
        well = self._is_well(self.rungs[number], may_open=idle or alone)
        with self._lock:
            self.ladder.probed(number, well=well)

    @property
    def needs_new_process(self) -> bool:
        """Whether this process cannot open an engine again that a new one might."""
        with self._lock:
            out = [rung for number, rung in enumerate(self.rungs) if not self.ladder.is_in(number)]
        return any(rung.refused >= _NEEDS_PROCESS for rung in out) or (
            bool(out) and self.left_behind >= MOST_LEFT_BEHIND
        )

    def close(self) -> None:
        """Close all engines; what one of them says at its end is logged, no result rests on it."""
        for rung in self.rungs:
            _close(rung)
        self._composed = None  # it refers to this place: the bundle's files would stay open until the collector runs

    def _fell(self, number: int, change: Change) -> None:
        in_force = self.ladder.in_force
        self.ladder.put_out(number, change.reason)
        if number == in_force:
            self.change = change
            self.signs = Signs(self.config)

    def _lost(self, engine: Engine, exc: EngineLostError) -> None:
        with self._lock:
            self.losses += 1
            number = next(number for number, rung in enumerate(self.rungs) if rung.engine is engine)
            self.rungs[number].why = str(exc)
            why: EngineReason = "hung" if isinstance(exc, EngineHungError) else "lost"
            self._fell(number, Change(why, str(exc), self.clock.now_ns()))

    def _is_well(self, rung: Rung, *, may_open: bool) -> bool:
        """Whether an inference of that rung passes now, in an engine that is opened anew where it must be."""
        lost = self.ladder.why_out(self.rungs.index(rung)) in ("lost", "hung") and not _came_back(rung.engine)
        if (rung.engine is None or lost) and not (may_open and self._reopened(rung)):
            return False
        assert rung.engine is not None
        try:
            for _ in range(2):  # the first one wakes a device that rested
                began_ns = self.clock.now_ns()
                rung.engine.infer(rung.engine.input_buffers)
        except EngineError as exc:
            rung.why = str(exc)
            return False
        took_ms = (self.clock.now_ns() - began_ns) / 1e6
        if took_ms > self.budget_ms:
            rung.why = f"a probe took {took_ms:.0f} ms, the budget is {self.budget_ms:g} ms"
            return False
        return True

    def _reopened(self, rung: Rung) -> bool:
        if isinstance(rung.engine, HangingEngine) and rung.engine.hangs:
            if self.left_behind >= MOST_LEFT_BEHIND:
                return False
            self.left_behind += 1
        _close(rung)
        try:
            rung.engine = rung.open()
        except (EngineError, ManifestError) as exc:
            rung.why, rung.refused = str(exc), rung.refused + 1
            _log.warning("%s cannot be opened: %s", rung.label, exc)
            return False
        rung.refused = 0
        return True


def _failover(served: ServedModel) -> FailoverEngine:
    assert isinstance(served.engine, FailoverEngine)
    return served.engine


def _alive(served: ServedModel) -> tuple[Engine, ...]:
    return _failover(served).alive


def _came_back(engine: Engine | None) -> bool:
    """Whether an engine that hung has returned, so that it can be used as it is."""
    return isinstance(engine, BoundedEngine) and not engine.hangs


def _close(rung: Rung) -> None:
    engine, rung.engine = rung.engine, None
    if engine is None:
        return
    try:
        engine.close()
    except EngineError as exc:
        _log.warning("engine %s did not close cleanly: %s", engine.name, exc)
