"""Time that a test holds by the hand. Not for: what must happen by the machine's clock."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class ManualClock:
    """Time that passes only when somebody waits for it, or the test says so."""

    now: int = 0

    def now_ns(self) -> int:
        return self.now

    def wait_until(self, deadline_ns: int) -> None:
        self.now = max(self.now, deadline_ns)

    def advance(self, seconds: float) -> None:
        self.now += round(seconds * 1e9)
