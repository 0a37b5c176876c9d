"""Ends of studies that a model has to do with: one after another, as they were noted, each once its runs are judged.

Not for: when a study has ended (listener/), what a model makes of it (drafting.py, reading.py).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from cathrt.runtime.identity import record_id
from cathrt.runtime.listener.study_end import StudyEnd
from cathrt.runtime.study.intake_book import IntakeBook

DRAFTS = "draft"  # what the intake book calls the writer of drafts
LOOK_S = 0.5  # between two looks at a store that had no new end


class EndsStore(Protocol):
    """What is needed of a store (listener/store_reader.py)."""

    def study_ends(self, after: int = 0) -> list[StudyEnd]: ...
    def pseudonym_of(self, study_instance_uid: str) -> str: ...


@dataclass(frozen=True, slots=True)
class WaitingEnd:
    """The end of a study, and the model that has to do with it. study: a name of ours for the study."""

    end: StudyEnd
    study: str
    model: str = DRAFTS

    @property
    def key(self) -> bytes:
        """Which one it is in the intake book."""
        return f"{self.model} {self.end.seq}".encode()

    @property
    def id(self) -> str:
        """Of the draft's record: one for each study and revision."""
        return record_id(self.study, self.model, str(self.end.revision))


class StudyEnds:
    """Takes ends after the book's place. Not thread-safe. Raises StoreError, IntakeError."""

    def __init__(
        self, store: EndsStore, book: IntakeBook, now_s: Callable[[], float] = time.monotonic, *, model: str = DRAFTS
    ) -> None:
        """model: what the book calls the one that has to do with them.

        A book that knows judged objects and not the model is that of a box without it so far: what has ended by now is
        none of its work. A new book, or a lost one, begins with the store's first end, as runs do.
        """
        self._store, self._book, self._now_s, self.model = store, book, now_s, model
        self._waiting: deque[StudyEnd] = deque()
        self._looked_after, self._look_at_s = 0, now_s()
        if book.done_end(model) is None:
            book.begin_model(model, self._newest() if book.place().seq else 0)

    def next(self) -> WaitingEnd | None:
        """The end to do now; None while there is none, or runs of it are not judged yet."""
        place = self._book.done_end(self.model) or 0
        if place < self._looked_after:  # another store
            self._waiting.clear()
        while self._waiting and self._waiting[0].seq <= place:
            self._waiting.popleft()
        if not self._waiting and (place != self._looked_after or self._now_s() >= self._look_at_s):
            self._waiting.extend(self._store.study_ends(after=place))
            self._looked_after, self._look_at_s = place, self._now_s() + LOOK_S
        if not self._waiting or not self._is_judged(self._waiting[0]):
            return None
        end = self._waiting[0]
        return WaitingEnd(end, self._store.pseudonym_of(end.study_instance_uid), self.model)

    def _is_judged(self, end: StudyEnd) -> bool:
        return self._book.place().seq >= max(end.objects, default=0) and not {*end.objects} & {*self._book.owed()}

    def _newest(self) -> int:
        seq = 0
        while ends := self._store.study_ends(after=seq):
            seq = ends[-1].seq
        return seq
