"""Studies that have ended, as records of the journal: each once all its runs are judged, whether drafts are written or
not. From then on what they amount to is due outside (runtime/objects/due.py).

Not for: when a study has ended (listener/), drafts (drafting.py).
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from cathrt.runtime.alert import NOTICES, RunSummary, StudyEnded
from cathrt.runtime.failpoints import failpoint
from cathrt.runtime.identity import record_id
from cathrt.runtime.journal.lookups import stored_record
from cathrt.runtime.journal.records import record_from_body
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.listener.study_end import StudyEnd
from cathrt.runtime.models import record_parts
from cathrt.runtime.study.intake_book import IntakeBook

_log = logging.getLogger(__name__)

_LOOK_S = 0.5  # between two looks at a store that had no new end


class EndedStudies(Protocol):
    """What is needed of a store (listener/store_reader.py)."""

    def study_ends(self, after: int = 0) -> list[StudyEnd]: ...
    def pseudonym_of(self, study_instance_uid: str) -> str: ...


class Endings:
    """A study whose objects name more than one patient is left out: a person has to settle that first.

    Not thread-safe. Raises StoreError, IntakeError, JournalError.

    What has ended before this version was there is left out where the book knows judged objects: it is old.
    """

    def __init__(
        self,
        store: EndedStudies,
        book: IntakeBook,
        journal: Journal,
        wall: Callable[[], float] = time.time,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """wall: seconds since 1970."""
        self._store, self._book, self._journal, self._wall, self._now_s = store, book, journal, wall, now_s
        self._waiting: deque[StudyEnd] = deque()
        self._look_at_s, self._looked_after = now_s(), 0
        if book.ended() is None:
            book.begin_ends(self._newest() if book.place().seq else 0)

    def go_on(self) -> bool:
        """Note the next study that has ended. Returns whether there was one."""
        end = self._next()
        if end is None:
            return False
        if end.flags:
            flags = ", ".join(end.flags)
            _log.warning("an ended study is %s: no objects of it are due until that is settled", flags)
        else:
            record = self._record(end)
            if stored_record(self._journal.path, record.id) is None:
                self._journal.append(record)
                self._journal.sync()
            failpoint("study.ended")
        self._book.note_ended(end.seq)
        return True

    def _next(self) -> StudyEnd | None:
        place = self._book.ended() or 0
        if place < self._looked_after:  # another store
            self._waiting.clear()
        while self._waiting and self._waiting[0].seq <= place:
            self._waiting.popleft()
        if not self._waiting and self._now_s() >= self._look_at_s:
            self._waiting.extend(self._store.study_ends(after=place))
            self._looked_after, self._look_at_s = place, self._now_s() + (0.0 if self._waiting else _LOOK_S)
        if not self._waiting or not self._is_judged(self._waiting[0]):
            return None
        return self._waiting[0]

    def _is_judged(self, end: StudyEnd) -> bool:
        return self._book.place().seq >= max(end.objects, default=0) and not {*end.objects} & {*self._book.owed()}

    def _record(self, end: StudyEnd) -> StudyEnded:
        study, summaries = self._store.pseudonym_of(end.study_instance_uid), []
        passes = self._book.passes_of(end.objects)
        for _, pass_id in passes:
            for row in self._journal.stored(pass_id):
                record = record_from_body(row.body, record_parts()) if row.type == "run" else None
                if isinstance(record, RunSummary):
                    summaries.append(record)
        return StudyEnded(
            id=record_id(study, "ended", str(end.revision)),
            study=study,
            revision=end.revision,
            run_ids=tuple(dict.fromkeys(summary.run_id for summary in summaries)),
            unjudged=sum(not pass_id for _, pass_id in passes),
            after_study_s=max(0.0, self._wall() - end.ended_at),
            notice=max([NOTICES[0], *(summary.notice for summary in summaries)], key=NOTICES.index),
        )

    def _newest(self) -> int:
        seq = 0
        while ends := self._store.study_ends(after=seq):
            seq = ends[-1].seq
        return seq
