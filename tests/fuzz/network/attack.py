"""An attack on one door for so long: cases from a seed, a well-behaved peer each second, and what must hold at the end.

Not for: what a case is (doors.py).
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.fuzz.network.conversation import End, in_words
from tests.fuzz.network.doors import DOORS, Attackers, Open
from tests.fuzz.network.victim import Held, Victim

THREADS = 4
MOST_GROWTH_MB = 32.0  # after the warm-up
_LOOK_S = 1.0
_WARM_UP = 0.2  # of the time: caches fill
_REST_S = 45.0  # connections time out, threads end
_MOST_FINDINGS = 20


@dataclass
class Report:
    """What an attack came to. findings: each with the numbers of the cases that were on. Without one, all is well.

    served: looks of the well-behaved peer that went well; slowest_s: the longest of them.
    """

    door: str
    seed: int
    seconds: float = 0.0
    cases: int = 0
    ends: Counter[End] = field(default_factory=Counter)
    served: int = 0
    slowest_s: float = 0.0
    rss_growth_mb: float = 0.0
    descriptors_growth: int = 0
    threads_growth: int = 0
    findings: list[str] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        return {
            "bench": "network_fuzz", "case": self.door, "impl": "cathrt", "seed": self.seed,
            "seconds": round(self.seconds, 1), "cases": self.cases, "ends": in_words(self.ends),
            "served": self.served, "slowest_s": round(self.slowest_s, 2),
            "rss_growth_mb": round(self.rss_growth_mb, 1), "descriptors_growth": self.descriptors_growth,
            "threads_growth": self.threads_growth, "findings": self.findings,
        }  # fmt: skip


class Attack:
    """One attack; to be carried out once."""

    def __init__(self, door: str, seed: int, first: int = 1) -> None:
        self.report = Report(door, seed)
        self._lock = threading.Lock()
        self._attackers = Attackers(door, seed, self._ended, first - 1)
        self._over = threading.Event()
        self._looked_at = first
        self._found: set[str] = set()

    def carry_out(self, folder: Path, seconds: float, most_cases: int | None = None) -> Report:
        """For so long, or so many cases."""
        with DOORS[self.report.door](folder, self._attackers) as opened:
            began = time.monotonic()
            self._attack(opened, seconds, most_cases)
            self.report.seconds = time.monotonic() - began
        self.report.cases = self._attackers.cases
        return self.report

    def _attack(self, opened: Open, seconds: float, most_cases: int | None) -> None:
        victim, until = opened.victim, time.monotonic() + seconds
        victim.notice_places()
        at_rest, warm = victim.held(), None
        threads = [threading.Thread(target=self._repeat, args=(opened,), daemon=True) for _ in range(THREADS)]
        for thread in threads if opened.case is not None else ():
            thread.start()
        while time.monotonic() < until and (most_cases is None or self._attackers.cases < most_cases):
            if warm is None and time.monotonic() > until - seconds * (1.0 - _WARM_UP):
                warm = victim.held()
            if not self._look(opened):
                break
            self._over.wait(_LOOK_S)
        self._over.set()
        for thread in threads if opened.case is not None else ():
            thread.join(_REST_S)
        if victim.process.poll() is None:
            self._rest(victim, at_rest, warm or at_rest, comes_back=opened.case is not None)
            self._look(opened)
            if strangers := victim.strangers():
                self._find(f"appeared where nothing may be written: {strangers}")

    def _repeat(self, opened: Open) -> None:
        assert opened.case is not None
        while not self._over.is_set():
            number, random = self._attackers.draw()
            try:
                self._ended(number, opened.case(random))
            except OSError:
                self._ended(number, "not let in")

    def _look(self, opened: Open) -> bool:
        """Whether it is worth going on: what the victim says, whether it lives, whether a good peer is served."""
        code = opened.victim.process.poll()
        for trace in opened.victim.new_traces():
            self._find(trace)
        if code is not None:
            self._find(f"the process has ended with {code}")
            return False
        began = time.monotonic()
        try:
            opened.peer()
        except (OSError, AssertionError, ValueError, EOFError) as exc:
            self._find(f"a well-behaved peer was not served: {type(exc).__name__}: {exc}")
        else:
            self.report.served += 1
        self.report.slowest_s = max(self.report.slowest_s, time.monotonic() - began)
        self._looked_at = max(1, self._attackers.cases - 2 * THREADS)
        return len(self.report.findings) < _MOST_FINDINGS

    def _rest(self, victim: Victim, before: Held, warm: Held, *, comes_back: bool) -> None:
        """Wait until it holds what it held, as far as it comes to that."""
        until = time.monotonic() + _REST_S
        while comes_back and time.monotonic() < until:
            held = victim.held()
            if held.descriptors <= before.descriptors:
                break
            time.sleep(0.5)
        try:
            held = victim.held()
        except psutil.NoSuchProcess:
            return
        self.report.rss_growth_mb = held.rss_mb - warm.rss_mb
        self.report.descriptors_growth = held.descriptors - before.descriptors
        self.report.threads_growth = held.threads - before.threads
        if self.report.rss_growth_mb > MOST_GROWTH_MB:
            self._find(f"memory grew by {self.report.rss_growth_mb:.1f} MB after the warm-up")
        if comes_back and self.report.descriptors_growth > 0:
            self._find(f"descriptors more than before: {dict(held.links - before.links)}")

    def _ended(self, _number: int, end: End) -> None:
        with self._lock:
            self.report.ends[end] += 1

    def _find(self, what: str) -> None:
        """Once each."""
        if what not in self._found:
            self._found.add(what)
            self.report.findings.append(f"cases {self._looked_at} to {self._attackers.cases}: {what}")
