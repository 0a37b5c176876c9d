"""Follows the store's index and the procedure steps, and notes the end of each study.

Not for: the rules (studies.py) and the tables (study_book.py).
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence, Set

from cathrt.runtime.errors import CathrtError
from cathrt.runtime.listener.data_sets import ObjectFront, PatientKey, object_front
from cathrt.runtime.listener.object_store import ObjectStore, Received
from cathrt.runtime.listener.sop_classes import DOSE_REPORT
from cathrt.runtime.listener.studies import EndRules, Kind, Studies, StudyEvent
from cathrt.runtime.listener.study_book import StudyBook
from cathrt.runtime.listener.study_end import StudyEnd

_log = logging.getLogger(__name__)

_BATCH = 64  # objects looked at before ends are looked for
_TICK_S = 0.5


class UnknownStudyError(CathrtError):
    """No object of the study is in the store."""


class StudyWatch:
    """Thread-safe. look() does what there is to do; run() does so until stop(), in a thread of the caller's.

    receiving: senders of objects that are on their way in. told: called for each end once it is durable.
    clock: seconds, never going back.
    """

    def __init__(
        self,
        store: ObjectStore,
        rules: EndRules,
        told: Callable[[StudyEnd], None],
        receiving: Callable[[], Set[str]] = frozenset,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises sqlite3.Error."""
        self.book = StudyBook(store.index)
        self.key = PatientKey(self.book.patient_key())
        self._store = store
        self._told = told
        self._receiving = receiving
        self._clock = clock
        self._studies = Studies(rules)
        self._lock = threading.RLock()
        self._wake, self._stop = threading.Event(), threading.Event()
        self._applied = self.book.last_event()
        for uid in self.book.unfinished():
            self._load(uid, self._applied)

    def note(self, events: Sequence[StudyEvent]) -> None:
        """Keep what happened; durable on return. Raises sqlite3.Error: then nothing was kept."""
        with self._lock:
            self._catch_up()
            left = {uid: event for event in events for uid in self._studies.left_behind(event)}
            self.book.note(
                [*events, *(StudyEvent(0, Kind.NEW_PATIENT, uid, sender=by.sender) for uid, by in left.items())]
            )
            self._catch_up()
        self._wake.set()

    def end_study(self, study_instance_uid: str) -> None:
        """A person says that the study has ended. Raises UnknownStudyError, sqlite3.Error."""
        press_button(self.book, study_instance_uid)
        self._wake.set()

    def look(self) -> None:
        """Take in what is new, and note the ends that are due. Raises sqlite3.Error, OSError, CathrtError."""
        while objects := self.book.new_objects(_BATCH):
            for received in objects:
                self.note([self._event(received)])
        ended = []
        with self._lock:
            self._catch_up()
            now = self._clock()
            for ending in self._studies.due(now, self._receiving()):
                end = self.book.note_end(ending)
                self._studies.end(ending)
                ended += [] if end is None else [end]
            self._studies.forget(now)
        for end in ended:
            self._told(end)

    def run(self) -> None:
        """look() whenever something comes, and now and then, until stop()."""
        while not self._stop.is_set():
            try:
                self.look()
            except (sqlite3.Error, OSError, CathrtError) as exc:  # what is not noted is looked at again
                _log.error("study ends cannot be noted (%s): tried again", exc)
                self._stop.wait(_TICK_S)
            self._wake.wait(_TICK_S)
            self._wake.clear()

    def wake(self) -> None:
        """Something came."""
        self._wake.set()

    def stop(self) -> None:
        """End run(). Idempotent."""
        self._stop.set()
        self._wake.set()

    def _catch_up(self) -> None:
        """Apply what is in the book and was not applied yet: ours, and the button of another process."""
        now = self._clock()
        for event in self.book.events(self._applied):
            if event.study_instance_uid:
                if not self._studies.knows(event.study_instance_uid):
                    self._load(event.study_instance_uid, event.seq - 1)
                self._studies.apply(event, now)
            self._applied = event.seq

    def _load(self, uid: str, up_to: int) -> None:
        history = self.book.history(uid)
        events = [event for event in history.events if event.seq <= up_to]
        self._studies.load(uid, events, history.ends, self._clock())

    def _event(self, received: Received) -> StudyEvent:
        arrival = received.arrival
        front = self._front(received)
        if not front.study_instance_uid:
            _log.warning("object %s names no study that can be used: no study end waits for it", received.seq)
        return StudyEvent(
            0,
            Kind.DOSE_REPORT if arrival.sop_class_uid == DOSE_REPORT else Kind.OBJECT,
            front.study_instance_uid,
            patient=front.patient,
            sender=sender_name(arrival.calling_ae, arrival.address),
            object_seq=received.seq,
            flags=front.flags,
        )

    def _front(self, received: Received) -> ObjectFront:
        try:
            return object_front(self._store.path_of(received.state, received.content_sha256), self.key)
        except OSError as exc:
            _log.error("object %s of the store cannot be read (%s): check the disk", received.seq, exc)
            return ObjectFront("", "", ("file_unreadable",))


def sender_name(calling_ae: str, address: str) -> str:
    """Who sends: an AE title alone can be claimed by anybody."""
    return f"{calling_ae}@{address}"


def press_button(book: StudyBook, study_instance_uid: str) -> None:
    """A person says that the study has ended; also from another process. Raises UnknownStudyError, sqlite3.Error."""
    if not book.has_objects(study_instance_uid):
        raise UnknownStudyError(
            f"study {study_instance_uid!r}: no object of it is in the store, expected one at least: check the UID"
        )
    book.note([StudyEvent(0, Kind.BUTTON, study_instance_uid)])
