"""What waits between a tap's thread and its reader: in order, and few pictures at a time.

Not thread-safe: tap_thread.py holds the lock. Not for: anything about connections.
"""

from __future__ import annotations

from collections import deque

from cathrt.runtime.ports import Missing
from cathrt.runtime.sources.capture.sighting import Sighting

_MOST_WAITING = 10_000  # pictures and what is left of overrun ones: minutes of a reader that does not come


class Inbox:
    """At most `pictures` of them wait. One more overruns the oldest, of which a Missing stays in its place.

    A reader that comes late for the oldest gets a newer one that waits, and a Missing for each that it is too late for.
    """

    def __init__(self, pictures: int) -> None:
        self._most_pictures = pictures
        self._waiting: dict[int, Sighting | Missing] = {}  # by number; the numbers have no gap
        self._pictures: deque[int] = deque()  # which of them are pictures
        self._first = self._next = 0

    @property
    def full(self) -> bool:
        """Nothing more may be put until something was taken."""
        return len(self._waiting) >= _MOST_WAITING

    def put(self, item: Sighting | Missing) -> None:
        """Add the newest."""
        if isinstance(item, Sighting):
            if len(self._pictures) == self._most_pictures:
                self._overrun(f"overrun: {self._most_pictures} newer pictures were waiting")
            self._pictures.append(self._next)
        self._waiting[self._next] = item
        self._next += 1

    def take(self, too_late_ns: int) -> Sighting | Missing | None:
        """The oldest; None where nothing waits. Too late: for pictures captured before that, where newer ones wait."""
        if self._first == self._next:
            return None
        while len(self._pictures) > 1 and self._captured_ns(self._pictures[0]) < too_late_ns:
            self._overrun("overrun: it had waited too long, and a newer picture was waiting")
        item = self._waiting.pop(self._first)
        if isinstance(item, Sighting):
            self._pictures.popleft()
        self._first += 1
        return item

    def _captured_ns(self, number: int) -> int:
        sighting = self._waiting[number]
        assert isinstance(sighting, Sighting)
        return sighting.picture.captured_ns

    def _overrun(self, reason: str) -> None:
        oldest = self._pictures.popleft()
        self._waiting[oldest] = Missing(self._captured_ns(oldest), reason, failed=False)
