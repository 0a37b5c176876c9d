"""Taps that a test holds by the hand."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import numpy as np

from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Grayscale
from cathrt.runtime.ports import Missing, Picture

PATIENCE_S = 60.0  # for what comes at once on an idle machine


def picture(value: int = 0, *, captured_ns: int = 0, source_ms: float | None = None, size: int = 4) -> Picture:
    pixels = np.full((size, size), value, np.uint8)
    pixels.setflags(write=False)
    return Picture(pixels, Grayscale(8), captured_ns, source_ms)


class ScriptedTap:
    """Gives what the test puts in. next() waits for it; close() ends that wait unless the tap is deaf."""

    def __init__(self, *items: Picture | Missing | BaseException, deaf: bool = False) -> None:
        self.name = "scripted"
        self._items = deque(items)
        self._deaf = deaf
        self._changed = threading.Condition()
        self._asked = self._closed = 0

    def put(self, *items: Picture | Missing | BaseException) -> None:
        with self._changed:
            self._items.extend(items)
            self._changed.notify_all()

    def next(self) -> Picture | Missing:
        with self._changed:
            self._asked += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._items or (self._closed and not self._deaf))
            if not self._items:
                raise SourceError("scripted: closed")
            item = self._items.popleft()
        if isinstance(item, BaseException):
            try:
                raise item
            finally:
                del item  # or it would hold itself, and the tap, until garbage is collected
        return item

    def close(self) -> None:
        with self._changed:
            self._closed += 1
            self._changed.notify_all()

    def wait_asked(self, times: int) -> None:
        """Until next() was called so often: what it gave before has been dealt with."""
        self._wait_for(lambda: self._asked >= times)

    def wait_closed(self) -> None:
        self._wait_for(lambda: self._closed > 0)

    def _wait_for(self, come: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(come, PATIENCE_S)


class Openings:
    """Opens one tap after the other; an error among them is raised. After the last one, opening waits until ended."""

    def __init__(self, *taps: ScriptedTap | BaseException | Callable[[], ScriptedTap]) -> None:
        self._taps = deque(taps)
        self._changed = threading.Condition()
        self._opened = 0
        self.ended = threading.Event()

    def __call__(self) -> ScriptedTap:
        with self._changed:
            self._opened += 1
            self._changed.notify_all()
            tap = self._taps.popleft() if self._taps else None
        if tap is None:
            self.ended.wait()
            raise SourceError("no further tap")
        if isinstance(tap, BaseException):
            raise tap
        return tap if isinstance(tap, ScriptedTap) else tap()

    def wait_opened(self, times: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._opened >= times, PATIENCE_S)

    def wait_for_another(self) -> None:
        """Until an opening that begins from now on has ended."""
        self.wait_opened(self._opened + 2)
