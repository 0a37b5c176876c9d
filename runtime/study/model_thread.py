"""The thread that has the networks of models on studies, so that the study's own thread looks out for received runs
meanwhile. Not for: what they do (drafting.py, reading.py).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from cathrt.runtime.study.patience import Patience

POLL_S = 0.05  # between two looks whether a received run waits
# Longest to load the networks, to look at a picture, to encode a clip, or from token to token, on a busy machine.
_STEP_S = 600.0
_T = TypeVar("_T")


class LeftError(Exception):
    """A received run waits, or the process is to end: what is in hand goes on later."""


class ModelThread:
    """One thread asks it for one thing at a time."""

    def __init__(
        self, stop: threading.Event, patience: Patience, received_waits: Callable[[], bool], name: str = "cathrt-study"
    ) -> None:
        """stop: set where the process is to end well. received_waits: whether a received run does; called here."""
        self._stop, self._patience, self._received_waits = stop, patience, received_waits
        self._thread = ThreadPoolExecutor(1, name)

    def do(self, work: Callable[[], _T], leave: threading.Event | None = None) -> _T:
        """Have it done and wait for it. leave: set once a received run waits, or the process is to end."""
        self.told()
        done = self._thread.submit(work)
        while not done.done():
            with suppress(TimeoutError):
                return done.result(POLL_S)
            if leave is not None and self._must_leave():
                leave.set()
        return done.result()

    def told(self) -> None:
        """The work comes on. From any thread."""
        self._patience.allow(_STEP_S)

    def give_way(self) -> None:
        """Between two steps of work that is done in the study's own thread. Raises LeftError."""
        self.told()
        if self._must_leave():
            raise LeftError

    def close(self, last: Callable[[], None]) -> None:
        """Do this, and then no more. Idempotent."""
        with suppress(RuntimeError):  # closed before
            self._thread.submit(last).result()
        self._thread.shutdown()

    def _must_leave(self) -> bool:
        return self._stop.is_set() or self._received_waits()
