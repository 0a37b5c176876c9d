"""Monotonic time as a parameter, so that tests control it. Not for: wall-clock time; no latency uses it."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Monotonic time as a parameter, so that tests own it."""

    def now_ns(self) -> int: ...
    def wait_until(self, deadline_ns: int) -> None: ...


class MonotonicClock:
    """The machine's CLOCK_MONOTONIC."""

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def wait_until(self, deadline_ns: int) -> None:
        while (left := deadline_ns - time.monotonic_ns()) > 0:
            time.sleep(left / 1e9)
