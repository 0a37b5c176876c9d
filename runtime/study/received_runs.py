"""The store's objects that are runs, in the order in which they came. Not for: reading them."""

from __future__ import annotations

import logging
from collections import deque
from pathlib import Path
from typing import Protocol

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.listener.object_store import Received, State
from cathrt.runtime.ports import Opening
from cathrt.runtime.sources.decoder.sandbox import opening_of
from cathrt.runtime.sources.dicom.header import SECONDARY_CAPTURES, X_RAY_MODALITIES
from cathrt.runtime.study.intake_book import IntakeBook
from cathrt.runtime.study.waiting import WaitingRun, run_from_received

_log = logging.getLogger(__name__)

_IMAGES = X_RAY_MODALITIES.keys() | SECONDARY_CAPTURES


class Store(Protocol):
    """What is needed of a store (listener/store_reader.py)."""

    def received(self, after: int = 0) -> list[Received]: ...
    def path_of(self, received: Received) -> Path: ...


def opening_of_object(store: Store, seq: int, limits: LimitsConfig) -> Opening:
    """Of an object that was judged. Raises SourceError where it is not there any more, StoreError."""
    found = store.received(after=seq - 1)[:1]
    if not found or found[0].seq != seq:
        raise SourceError(f"object {seq} of the store is not there any more")
    return opening_of(run_from_received(found[0], store.path_of(found[0])).input, limits)


class ReceivedRuns:
    """Takes objects after the book's place. Not thread-safe. Raises StoreError, IntakeError."""

    def __init__(self, store: Store, book: IntakeBook) -> None:
        self._store, self._book = store, book
        self._waiting: deque[Received] = deque()
        self._newest = book.place().seq
        self._known = self._owed_taken = False

    def take_owed(self) -> list[WaitingRun]:
        """Those that failed for a reason of ours in an earlier process: once, when the store is there."""
        self._look()
        if not self._known or self._owed_taken:
            return []
        self._owed_taken = True
        runs: list[WaitingRun] = []
        for seq in self._book.owed():
            found = self._store.received(after=seq - 1)[:1]
            if found and found[0].seq == seq:
                runs.append(self._run(found[0]))
            else:
                self._book.forget_owed(seq)
        return runs

    def next(self) -> WaitingRun | None:
        """The next run; None while there is none. What is no image is passed over, and the place moves on."""
        self._look()
        while self._waiting:
            received = self._waiting.popleft()
            run = self._run(received)
            why_not = _why_not(received)
            if why_not is None:
                return run
            _log.warning("received object %s is passed over: %s", run.name, why_not)
            self._book.end(run)
            self._look()
        return None

    def any_waits(self) -> bool:
        """Whether next() would return a run."""
        self._look()
        return any(_why_not(received) is None for received in self._waiting)

    def _look(self) -> None:
        self._known = self._known or self._is_known()
        if self._known and not self._waiting:
            self._waiting.extend(self._store.received(after=self._newest))
            if self._waiting:
                self._newest = self._waiting[-1].seq

    def _run(self, received: Received) -> WaitingRun:
        return run_from_received(received, self._store.path_of(received))

    def _is_known(self) -> bool:
        """Whether the book's place counts in this store; False while there is none, or nothing in it.

        Where the object at that place is not the one that was there, this is another store, and its first object is
        next.
        """
        place = self._book.place()
        if place.seq == 0:
            return True
        at_place = self._store.received(after=place.seq - 1)[:1]
        if not at_place and not self._store.received(after=0):
            return False
        same = at_place and (at_place[0].seq > place.seq or at_place[0].content_sha256 == place.content_sha256)
        if not same:
            _log.warning("the store is another one than before: it is judged from its first object")
            self._book.restart()
            self._newest = 0
        return True


def _why_not(received: Received) -> str | None:
    """Why an object is not judged; None for a run."""
    if received.state is not State.STORED:
        return "another object of its UID came before it"
    if received.arrival.sop_class_uid not in _IMAGES:
        return f"SOP class {received.arrival.sop_class_uid} is no image"
    return None
