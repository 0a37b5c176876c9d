"""Counts verdicts for a progress bar: frames judged, frames to expect, frames a second, time left.

Not for: drawing the bar (commands/options.py) or anything that must be kept.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from cathrt.runtime.alert import StoredRecord
from cathrt.runtime.frame import Run

_WINDOW_S = 60.0  # the speed is that of the last minute: verdicts that an earlier process left come at once
_FIRST_WORDS_S = 2.0  # before that a speed says nothing


class ProgressSink:
    """Calls advance(frames done, frames to expect) for every verdict, every run opened and every input refused."""

    def __init__(self, advance: Callable[[int, int], None], inputs: int = 0) -> None:
        """inputs: how many there are; those that are not opened yet are taken to be as long as the others were."""
        self._advance = advance
        self._inputs = inputs
        self._done = 0
        self._announced = 0
        self._opened = 0
        self._refused = 0

    def opened(self, run: Run) -> None:
        """A run begins: its frames join the total. A run that cannot tell its length adds what it turns out to have."""
        self._announced += run.frame_count or 0
        self._opened += 1
        self._tell()

    def emit(self, stored: StoredRecord) -> None:
        if stored.type == "verdict":
            self._done += 1
            self._tell()
        elif stored.type == "refusal":
            self._refused += 1
            self._tell()

    def close(self) -> None: ...

    def _tell(self) -> None:
        waiting = max(0, self._inputs - self._opened - self._refused)
        expected = self._announced + round(waiting * self._announced / self._opened) if self._opened else 0
        self._advance(self._done, max(expected, self._done))


class Speed:
    """What to say of a count that grows: `1200 of about 5000 frames, 93 frames/s, 0:41 left`."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._began_s = now_s()
        self._seen: deque[tuple[float, int]] = deque([(self._began_s, 0)])  # at most one a second

    def words(self, done: int, expected: int) -> str:
        """Take note of the count and say it. expected: 0 while nothing is known."""
        now_s = self._now_s()
        if now_s - self._seen[-1][0] >= 1.0:
            self._seen.append((now_s, done))
        while len(self._seen) > 2 and now_s - self._seen[1][0] > _WINDOW_S:
            self._seen.popleft()
        words = f"{done} of about {expected} frames" if expected else f"{done} frames"
        since_s, before = self._seen[0]
        if now_s - self._began_s < _FIRST_WORDS_S or done <= before:
            return words
        per_s = (done - before) / (now_s - since_s)
        return f"{words}, {per_s:.3g} frames/s, {_clock((expected - done) / per_s)} left"


def _clock(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
