"""The machine's own stalls: times at which even a process of real-time priority was not woken.

Without the right to such a priority, whatever else the machine is busy with counts as a stall, too; `real_time` says
which it was. Not for: how a stall is noticed (benchmarks/measure.py).
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.measure import Heartbeat

_PRIORITY = 50  # above the generators


@dataclass(frozen=True, slots=True)
class Stalls:
    """In order and apart from each other; readings of the monotonic clock, ns."""

    began_ns: tuple[int, ...] = ()
    ended_ns: tuple[int, ...] = ()

    @classmethod
    def of(cls, stalls: Iterable[tuple[int, int]]) -> Stalls:
        ordered = sorted(stalls)
        return cls(tuple(began for began, _ in ordered), tuple(ended for _, ended in ordered))

    def meet(self, began_ns: int, ended_ns: int) -> bool:
        """Whether one of them overlaps this time."""
        place = bisect_right(self.ended_ns, began_ns)
        return place < len(self.began_ns) and self.began_ns[place] < ended_ns


def real_time_heartbeat() -> tuple[Heartbeat, bool]:
    """A heartbeat, and whether it has real-time priority. A new process inherits the priority of the one that asks."""
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_PRIORITY))
    except PermissionError:
        return Heartbeat(), False
    try:
        return Heartbeat(), True
    finally:
        os.sched_setscheduler(0, *before)
