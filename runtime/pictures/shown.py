"""Pictures on their way to the line, which are also put into a ring while somebody watches.

A picture is put when the line comes back for the next one: its verdict is made then, and nothing waits. Not for: the
ring (writer.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from cathrt.runtime.ports import Missing, Picture
from cathrt.runtime.sources.capture.sighting import Sighting, Silence

_OVERDUE_NS = 500_000_000  # so long nothing is put while pictures wait for the line


class Ring(Protocol):
    """What is needed of a ring (writer.py)."""

    @property
    def is_wanted(self) -> bool: ...
    def put(self, picture: Picture) -> bool: ...


class Pictures(Protocol):
    """Where pictures come from (TapThread)."""

    def take(self, wait_s: float | None) -> Sighting | Missing | Silence | None: ...


class ShownPictures:
    """The same pictures. For the line's thread alone."""

    def __init__(self, pictures: Pictures, ring: Ring, now_ns: Callable[[], int]) -> None:
        self._pictures, self._ring, self._now_ns = pictures, ring, now_ns
        self._newest: Picture | None = None  # what the ring does not have yet
        self._put_ns = 0

    def take(self, wait_s: float | None) -> Sighting | Missing | Silence | None:
        """The next one. The newest before it is put first, unless a picture waits: that one must not wait longer."""
        item = None
        if self._newest is not None and self._ring.is_wanted:
            item = self._pictures.take(0.0)
            if item is None or self._now_ns() - self._put_ns > _OVERDUE_NS:
                self._ring.put(self._newest)
                self._newest, self._put_ns = None, self._now_ns()
        if item is None:
            item = self._pictures.take(wait_s)
        if isinstance(item, Sighting):
            self._newest = item.picture
        return item
