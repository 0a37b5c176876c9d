"""Which rung of the degradation ladder judges: a state machine on a clock. Down at once, up only after being well.

Rungs are numbers, 0 the best. Not for: engines (live_ladder.py) and what speaks against a rung (ladder_signs.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cathrt.runtime.alert import EngineReason
from cathrt.runtime.config import LadderConfig

PROBES = 3  # that a rung must pass in turn before it comes back
_ALONE_S = 1.0  # the same wait where no rung is left
_MOST_FALLS = 20


@dataclass(slots=True)
class _Rung:
    """out: why it does not judge; None where it may. ready: its probes are passed. falls: since it last lasted.

    in_ns: when it came back last; 0: never.
    """

    out: EngineReason | None = None
    ready: bool = False
    passed: int = 0
    falls: int = 0
    in_ns: int = 0
    due_ns: int = 0


class Ladder:
    """The rungs of one model. Not thread-safe.

    A rung that fell waits ladder.back_after_s, twice as long for each fall soon after it had come back. In that time it
    must pass PROBES probes; one that fails makes the wait anew and longer. Where no rung is left the wait begins at a
    second and one probe is enough.
    """

    def __init__(self, rungs: int, config: LadderConfig, now_ns: Callable[[], int]) -> None:
        self._rungs = [_Rung() for _ in range(rungs)]
        self._config = config
        self._now_ns = now_ns

    @property
    def in_force(self) -> int | None:
        """The rung that judges: the best one that is in; None: no live AI."""
        return next((number for number, rung in enumerate(self._rungs) if rung.out is None), None)

    def is_in(self, number: int) -> bool:
        """Whether that rung may judge."""
        return self._rungs[number].out is None

    def why_out(self, number: int) -> EngineReason | None:
        """Why it does not judge; None where it may."""
        return self._rungs[number].out

    def put_out(self, number: int, why: EngineReason) -> None:
        """That rung does not judge any more. One that is out already is so for the newest reason."""
        rung, now_ns = self._rungs[number], self._now_ns()
        if rung.out is None:
            lasted = not rung.in_ns or now_ns - rung.in_ns > self._config.most_back_s * 1e9
            rung.falls = 0 if lasted else min(rung.falls + 1, _MOST_FALLS)
        rung.out, rung.ready, rung.passed = why, False, 0
        rung.due_ns = now_ns + self._step_ns(rung)
        if self.in_force is None:
            for other in self._rungs:
                other.due_ns = min(other.due_ns, now_ns + self._step_ns(other))

    def due(self) -> int | None:
        """The best rung that is to be probed now."""
        now_ns = self._now_ns()
        waiting = (number for number, rung in enumerate(self._rungs) if rung.out is not None and not rung.ready)
        return next((number for number in waiting if self._rungs[number].due_ns <= now_ns), None)

    def probed(self, number: int, *, well: bool) -> None:
        """What a probe of a rung said."""
        rung = self._rungs[number]
        if rung.out is None:
            return
        if well:
            rung.passed += 1
            rung.ready = rung.passed >= PROBES or self.in_force is None
        else:
            rung.passed, rung.falls = 0, min(rung.falls + 1, _MOST_FALLS)
        rung.due_ns = self._now_ns() + self._step_ns(rung)

    @property
    def ready(self) -> tuple[int, ...]:
        """Rungs that may come back, as soon as somebody takes them in."""
        return tuple(number for number, rung in enumerate(self._rungs) if rung.ready)

    def take_in(self, number: int) -> None:
        """That rung may judge again."""
        rung = self._rungs[number]
        rung.out, rung.ready, rung.in_ns = None, False, self._now_ns()

    def _step_ns(self, rung: _Rung) -> int:
        """From one probe to the next."""
        alone = self.in_force is None
        wait_s = (_ALONE_S if alone else self._config.back_after_s) * 2.0**rung.falls
        return round(min(wait_s, self._config.most_back_s) * 1e9 / (1 if alone else PROBES))
