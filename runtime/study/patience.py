"""Says that the process works while its main thread waits for something that has a time limit of its own.

Opening a run may take limits.first_frame_s, far longer than a process may be silent. A step that takes longer than it
was given time for is seen from outside, as the process then falls silent. Not for: stopping anything.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_EVERY_S = 0.25


class Patience:
    """allow(seconds): the step that now begins may take so long; each call counts from its own time."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._until_s = now_s()

    def allow(self, seconds: float) -> None:
        self._until_s = self._now_s() + seconds

    @property
    def lasts(self) -> bool:
        return self._now_s() < self._until_s


@contextmanager
def beating(beat: Callable[[], None]) -> Iterator[Patience]:
    """While the block runs, beat for as long as the step in hand may take."""
    patience, ended = Patience(), threading.Event()

    def go_on() -> None:
        while not ended.wait(_EVERY_S):
            if patience.lasts:
                beat()

    thread = threading.Thread(target=go_on, name="cathrt-patience", daemon=True)
    thread.start()
    try:
        yield patience
    finally:
        ended.set()
        thread.join()
