"""Counts verdicts for a progress bar: how many frames are judged, of how many announced so far.

Not for: drawing the bar (commands/options.py) or anything that must be kept.
"""

from __future__ import annotations

from collections.abc import Callable

from cathrt.runtime.alert import StoredRecord
from cathrt.runtime.frame import Run


class ProgressSink:
    """Calls advance(frames done, frames announced) for every verdict and every run opened."""

    def __init__(self, advance: Callable[[int, int], None]) -> None:
        self._advance = advance
        self._done = 0
        self._announced = 0

    def opened(self, run: Run) -> None:
        """A run begins: its frames join the total. A run that cannot tell its length adds what it turns out to have."""
        self._announced += run.frame_count or 0
        self._advance(self._done, self._announced)

    def emit(self, stored: StoredRecord) -> None:
        if stored.type == "verdict":
            self._done += 1
            self._advance(self._done, max(self._announced, self._done))

    def close(self) -> None: ...
