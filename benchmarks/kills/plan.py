"""Which process is killed when, and how long the box takes to judge again.

A kill of live, or of the supervisor with all three, may come at any moment of its life: mostly once live has judged
since the last one, and now and then while it still starts. Kills of study and gateway go on meanwhile.
Not for: what must hold afterwards (judge.py).
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from benchmarks.kills.box import SUPERVISOR, VICTIMS, KilledBox
from benchmarks.kills.users import wait_for

STOPS_LIVE = ("live", SUPERVISOR)
_WEIGHTS = {"live": 35, "study": 30, "gateway": 30, SUPERVISOR: 5}
_LONGEST_PAUSE_S = 1.5
_IN_ITS_START = 0.15  # share of the kills of live that do not wait for it to judge
_PATIENCE_S = 120.0
_LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill as planned. pause_s: before it, from the moment at which the process may be killed."""

    number: int
    victim: str
    pause_s: float
    in_its_start: bool


def planned(seed: int, number: int) -> Kill:
    """The kill of that number: the same for the same seed, wherever a run of the benchmark was broken off."""
    drawn = random.Random(f"{seed}/{number}")
    (victim,) = drawn.choices(VICTIMS, [_WEIGHTS[each] for each in VICTIMS])
    return Kill(number, victim, drawn.uniform(0.0, _LONGEST_PAUSE_S), drawn.random() < _IN_ITS_START)


@dataclass(slots=True)
class Killed:
    """A kill that was carried out. took_s: until the process was started anew.

    first_verdict_s, all_sources_s: of a kill that stops live: until the first durable verdict of any source, and until
    each source has one. cut_short: it was stopped again before that, and these were not measured.
    """

    number: int
    victim: str
    took_s: float = 0.0
    first_verdict_s: float | None = None
    all_sources_s: float | None = None
    cut_short: bool = False

    @property
    def measured(self) -> bool:
        """Whether nothing more is to come of it."""
        return self.victim not in STOPS_LIVE or self.all_sources_s is not None or self.cut_short


class Killer:
    """Kills as planned, and measures."""

    def __init__(self, box: KilledBox) -> None:
        self._box = box
        self._last: Killed | None = None  # the last that stopped live, while a source has no verdict since
        self._last_ns = 0

    def kill(self, kill: Kill) -> Killed:
        """Carry it out. What it returns gets its measures when they are there. Raises SystemExit."""
        began = time.monotonic()
        if kill.victim in STOPS_LIVE and not kill.in_its_start:
            self.await_judging()
        pid = self._living(kill.victim)
        self._look_on(kill.pause_s)
        if self._box.living(kill.victim) != pid:  # it has ended by itself: the plan meets its successor
            pid = self._living(kill.victim)
        killed, now_ns = Killed(kill.number, kill.victim), time.monotonic_ns()
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        if kill.victim in STOPS_LIVE:
            if self._last is not None:
                self._last.cut_short = True
            self._last, self._last_ns = killed, now_ns
        if kill.victim == SUPERVISOR:
            self._box.wait_until_killed()
            self._box.start()
        self._await(lambda: self._box.living(kill.victim) not in (None, pid), f"{kill.victim} was not started anew")
        killed.took_s = round(time.monotonic() - began, 3)
        return killed

    def await_judging(self) -> None:
        """Until each source has a verdict from after the last kill. Raises SystemExit where none comes."""
        self._await(self._judges, "no verdict came")

    def _living(self, victim: str) -> int:
        self._await(lambda: self._box.living(victim) is not None, f"{victim} was not started")
        pid = self._box.living(victim)
        return self._living(victim) if pid is None else pid

    def _look_on(self, pause_s: float) -> None:
        """Pause, and notice verdicts meanwhile."""
        ends = time.monotonic() + pause_s
        while time.monotonic() < ends:
            self._judges()
            time.sleep(min(_LOOK_S, max(0.0, ends - time.monotonic())))

    def _judges(self) -> bool:
        """Whether all sources have judged since the last kill; the times since then are noted as they come."""
        verdicts_ns = self._box.judged_ns().values()
        if (last := self._last) is None:
            return min(verdicts_ns) > 0
        after_s = [round((at_ns - self._last_ns) / 1e9, 3) for at_ns in verdicts_ns if at_ns > self._last_ns]
        if after_s and last.first_verdict_s is None:
            last.first_verdict_s = min(after_s)
        if len(after_s) < len(verdicts_ns):
            return False
        last.all_sources_s = max(after_s)
        self._last = None
        return True

    def _await(self, what: Callable[[], bool], trouble: str) -> None:
        def come() -> bool:
            self._judges()
            return what()

        if not wait_for(come, _PATIENCE_S):
            raise SystemExit(f"kills: {trouble} within {_PATIENCE_S:g} s: see {self._box.folder}/err")
