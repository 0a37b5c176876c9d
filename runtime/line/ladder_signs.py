"""What speaks against the rung that judges, over a sliding window: errors and missed frames. A few µs a frame.

Not for: what follows from it (live_ladder.py).
"""

from __future__ import annotations

from collections import deque

from cathrt.runtime.alert import JUDGED, Outcome, Verdict
from cathrt.runtime.config import LadderConfig
from cathrt.runtime.line.judge import COVERED

_FEWEST_FRAMES = 4  # of which a share means something
_ONLY_ERRORS = 2  # times ladder.errors, in a row


class Signs:
    """The signs against the rung that judges one model now; begun anew when another one does. Not thread-safe.

    Each is the moment of its first sign (monotonic clock, ns), or None.
    """

    def __init__(self, config: LadderConfig) -> None:
        self._config = config
        self._errors: deque[int] = deque(maxlen=config.errors)
        self._frames: deque[tuple[int, bool]] = deque()
        self._missed = 0
        self._in_a_row: list[int] = []

    def saw(self, verdict: Verdict, now_ns: int) -> None:
        """Take note of how a frame ended in time."""
        missed = missed_its_time(verdict)
        if missed or verdict.outcome in JUDGED:
            self._frames.append((now_ns, missed))
            self._missed += missed
        since_ns = now_ns - round(self._config.missed_s * 1e9)
        while self._frames and self._frames[0][0] < since_ns:
            self._missed -= self._frames.popleft()[1]

    def erred(self, now_ns: int) -> None:
        """Take note that the engine erred on a frame."""
        self._errors.append(now_ns)
        if len(self._in_a_row) < _ONLY_ERRORS * self._config.errors:
            self._in_a_row.append(now_ns)

    def answered(self) -> None:
        """Take note that it did not."""
        self._in_a_row.clear()

    def errors(self, now_ns: int) -> int | None:
        """ladder.errors frames failed within ladder.errors_s."""
        full = len(self._errors) == self._config.errors
        return self._errors[0] if full and now_ns - self._errors[0] <= self._config.errors_s * 1e9 else None

    @property
    def only_errors(self) -> int | None:
        """So many frames failed in a row that the engine is of no use at all."""
        return self._in_a_row[0] if len(self._in_a_row) == _ONLY_ERRORS * self._config.errors else None

    @property
    def overload(self) -> int | None:
        """More than ladder.missed_share of the frames of ladder.missed_s came too late."""
        number = len(self._frames)
        if number < _FEWEST_FRAMES or self._missed <= self._config.missed_share * number:
            return None
        return next(at_ns for at_ns, missed in self._frames if missed)


def missed_its_time(verdict: Verdict) -> bool:
    """Whether a frame was judged too late, or not at all because newer ones overran it."""
    if verdict.outcome is Outcome.DROPPED:
        return verdict.reason != COVERED
    return verdict.outcome is Outcome.LATE
