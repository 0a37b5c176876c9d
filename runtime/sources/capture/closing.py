"""Closing what another thread may be reading.

Not for: calls that never return; tap_thread.py gives those up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Closing:
    """Closes a thing that bears no close while it is read: at once, or as soon as the reading call returns.

    close_now: may be called again when it is closed already.
    """

    def __init__(self, close_now: Callable[[], None]) -> None:
        self._close_now = close_now
        self._in_use, self._asked = threading.Lock(), threading.Event()

    @property
    def asked(self) -> bool:
        """Whether it is to be closed."""
        return self._asked.is_set()

    def wait(self, seconds: float) -> bool:
        """Whether it was to be closed within that time."""
        return self._asked.wait(seconds)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Around a call that reads."""
        try:
            with self._in_use:
                yield
        finally:
            if self._asked.is_set():
                self.close()

    def close(self) -> None:
        """From any thread; returns at once."""
        self._asked.set()
        if self._in_use.acquire(blocking=False):
            try:
                self._close_now()
            finally:
                self._in_use.release()
