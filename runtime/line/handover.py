"""Hands the records of a line to a reader in another thread, and stops the line where the reader leaves.

Not for: what a program calls (api.py), or readers in another process (journal/reader.py).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator

from cathrt.runtime.alert import Record, StoredRecord
from cathrt.runtime.frame import Frame, LostFrame, Run
from cathrt.runtime.journal.records import RecordParts, record_from_body
from cathrt.runtime.line.openings import each_opened
from cathrt.runtime.ports import Opening, Source

MOST_WAITING = 1024  # records that a slow reader may leave unread before the journal's writer waits for it


class LeftError(Exception):
    """The reader has left the loop: the line stops where it is."""


class Handover:
    """The sink through which records reach the reader's thread, in order, at most MOST_WAITING of them unread."""

    def __init__(self, parts: RecordParts) -> None:
        self._parts = parts
        self._waiting: deque[Record] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self.left = False

    def emit(self, stored: StoredRecord) -> None:
        record = record_from_body(stored.body, self._parts)
        with self._changed:
            while len(self._waiting) >= MOST_WAITING and not self.left:
                self._changed.wait()
            if not self.left:
                self._waiting.append(record)
                self._changed.notify_all()

    def close(self) -> None:
        """Nothing is held back and nothing is owned."""

    def records(self) -> Iterator[Record]:
        while True:
            with self._changed:
                while not self._waiting and not self._ended:
                    self._changed.wait()
                if not self._waiting:
                    return
                record = self._waiting.popleft()
                self._changed.notify_all()
            yield record

    def end(self) -> None:
        """No record will come any more."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def leave(self) -> None:
        """Nobody will read any more."""
        with self._changed:
            self.left = True
            self._changed.notify_all()


class _UntilLeft:
    """A source that breaks off before its next frame once the reader has left."""

    def __init__(self, source: Source, handover: Handover) -> None:
        self._source = source
        self._handover = handover

    @property
    def run(self) -> Run:
        return self._source.run

    def frames(self) -> Iterator[Frame | LostFrame]:
        for item in self._source.frames():
            if self._handover.left:
                raise LeftError
            yield item

    def close(self) -> None:
        self._source.close()


def until_left(runs: Iterable[Opening], handover: Handover) -> Iterator[Opening]:
    """The same runs; LeftError takes the place of the next run or frame once the reader has left."""
    for run in each_opened(runs, lambda _, source: _UntilLeft(source, handover)):
        if handover.left:
            raise LeftError
        yield run
