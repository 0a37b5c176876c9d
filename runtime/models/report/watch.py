"""When an answer must end before it is whole: the caller stopped it, or its time is over. And pauses for others.

Not for: the number of tokens (model.py).
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Literal


def nothing() -> None:
    """Neither gives way nor checks anything."""


class Watch:
    """Begins to count when it is made. most_s: of computing; time in give_way() is not counted."""

    def __init__(self, now_ns: Callable[[], int], give_way: Callable[[], None], most_s: float, stop: Event) -> None:
        self._now_ns, self._give_way, self._stop = now_ns, give_way, stop
        self._started_ns = now_ns()
        self._most_ns = most_s * 1e9
        self.paused_ns = 0
        self.ended: Literal["time", "stopped"] | None = None

    def may_go_on(self) -> bool:
        """Give way, then say whether the next run may begin. What it found is in `ended`."""
        paused_at_ns = self._now_ns()
        self._give_way()
        self.paused_ns += self._now_ns() - paused_at_ns
        if self._stop.is_set():
            self.ended = "stopped"
        elif self.computed_ns() >= self._most_ns:
            self.ended = "time"
        return self.ended is None

    def computed_ns(self) -> int:
        """Since the beginning, without pauses."""
        return self._now_ns() - self._started_ns - self.paused_ns
