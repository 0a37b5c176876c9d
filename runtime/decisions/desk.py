"""Where people's decisions are taken: checked against what is there now, written once, and answered once durable.

Not for: HTTP and who may decide (runtime/web/), the journal (book.py), what stands (standing.py).
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, TypeVar

from cathrt.runtime.alert import DraftSigned, PersonDecided, ReviewFinished
from cathrt.runtime.decisions.asked import (
    AskedDecision,
    AskedReview,
    AskedSignature,
    NotDurableError,
    Person,
    ReplacedError,
    UnknownStudyError,
)
from cathrt.runtime.decisions.book import DecisionBook
from cathrt.runtime.decisions.confirmed import ConfirmedStudies, StudyNow
from cathrt.runtime.decisions.review import review_due
from cathrt.runtime.decisions.said import UnfitError, model_said
from cathrt.runtime.decisions.standing import OfPerson, StudyDecisions, records_of
from cathrt.runtime.identity import record_id
from cathrt.runtime.journal.records import thing_faults

_AGAIN = "load the study again"

RecordT = TypeVar("RecordT", PersonDecided, DraftSigned, ReviewFinished)


@dataclass(frozen=True, slots=True)
class Taken(Generic[RecordT]):
    """repeated: it was stored before, and this time nothing was."""

    record: RecordT
    repeated: bool


def wall_time() -> datetime:
    """Now, by the wall clock, in the time zone of the box."""
    return datetime.now().astimezone()


class DecisionDesk:
    """Thread-safe; one decision at a time, so that of two about one thing the second is held against the first.

    All three raise UnknownStudyError, ReplacedError, UnfitError, NotDurableError, JournalError, StoreError.
    """

    def __init__(self, book: DecisionBook, studies: ConfirmedStudies, wall: Callable[[], datetime] = wall_time) -> None:
        self.book, self.studies, self._wall = book, studies, wall
        self._lock = threading.Lock()

    def decide(self, asked: AskedDecision, by: Person) -> Taken[PersonDecided]:
        """Write one decision."""
        with self._lock:
            now = self._study(asked.study)
            id_ = record_id(asked.study, "decision", asked.id)
            made = PersonDecided(
                id=id_,
                study=asked.study,
                revision=asked.revision,
                thing=asked.thing,
                what=asked.what,
                correction=asked.correction,
                said=None,
                shown=asked.shown,
                follows=asked.follows,
                by=by.user,
                by_name=by.name,
                at=self._at(),
                text=asked.text,
            )
            if (before := self._stored(made)) is not None:
                return Taken(before, repeated=True)
            said = model_said(self.studies.journal, now, asked.thing, asked.correction)
            made = replace(made, said=said)
            if faults := thing_faults(made):
                raise UnfitError("; ".join(faults))
            self._require_current(asked, now)
            self.book.write(made)
            return Taken(made, repeated=False)

    def sign(self, asked: AskedSignature, by: Person) -> Taken[DraftSigned]:
        """Write that a person has read a draft."""
        with self._lock:
            now = self._study(asked.study)
            made = DraftSigned(
                id=record_id(asked.study, "signoff", asked.id),
                study=asked.study,
                revision=asked.revision,
                draft_id=asked.draft_id,
                text_sha256=asked.text_sha256,
                text_ja_sha256=asked.text_ja_sha256,
                by=by.user,
                by_name=by.name,
                at=self._at(),
                text=asked.text,
            )
            if (before := self._stored(made)) is not None:
                return Taken(before, repeated=True)
            draft = now.draft
            if draft is None or draft.id != asked.draft_id or now.revision != asked.revision:
                raise ReplacedError(f"the draft that was shown is not the study's newest one: {_AGAIN}")
            if draft.draft.withheld is not None:
                raise UnfitError("the draft is withheld: there is no text to sign")
            if (text_sha256(draft.draft.text), text_sha256(draft.draft.text_ja)) != (
                asked.text_sha256,
                asked.text_ja_sha256,
            ):
                raise ReplacedError(f"the text that was shown is not that of the draft: {_AGAIN}")
            self.book.write(made)
            return Taken(made, repeated=False)

    def finish(self, asked: AskedReview, by: Person) -> Taken[ReviewFinished]:
        """Write that the review is finished: from now on its edition is due outside."""
        with self._lock:
            now = self._study(asked.study)
            if asked.revision < 1:
                raise UnfitError("the study has not ended: wait for its end")
            due = review_due(now, self.of(asked.study))
            made = ReviewFinished(
                id=record_id(asked.study, "review", asked.id),
                study=asked.study,
                revision=asked.revision,
                what=due.what,
                run_ids=() if now.end is None else now.end.run_ids,
                decisions=asked.decisions,
                signoffs=asked.signoffs,
                shown=asked.shown,
                follows=asked.follows,
                by=by.user,
                by_name=by.name,
                at=self._at(),
                text=asked.text,
            )
            if (before := self._stored(made)) is not None:
                return Taken(before, repeated=True)
            if now.revision != asked.revision:
                raise ReplacedError(
                    f"found revision {asked.revision}, expected {now.revision}: the study has a new end: {_AGAIN}"
                )
            shown = ({*asked.decisions}, {*asked.signoffs}, {*asked.shown}, asked.follows)
            if shown != ({*due.decisions}, {*due.signoffs}, {*due.shown}, due.follows):
                raise ReplacedError(f"something of the study was decided, read or written meanwhile: {_AGAIN}")
            if due.why:
                raise UnfitError(f"the review cannot be finished: {due.why}")
            self._require_runs(now)
            made = replace(made, decisions=due.decisions, signoffs=due.signoffs, shown=due.shown)
            self.book.write(made)
            return Taken(made, repeated=False)

    def of(self, study: str) -> StudyDecisions:
        """All that is durable about a study of that name."""
        return self.book.decisions.of(study)

    def _study(self, name: str) -> StudyNow:
        self.book.opened()  # or what was decided before is not known
        now = self.studies.study(name)
        if now is None:
            raise UnknownStudyError("found no study of that name, expected one of the list of studies: load it again")
        return now

    def _stored(self, made: RecordT) -> RecordT | None:
        """The record of that id, where it says the same; its moment and what the model had said are its own."""
        found = self.book.decisions.by_id.get(made.id)
        if found is None:
            return None
        if not _say_the_same(found, made):
            raise ReplacedError("the id was used for another decision: make a new one")
        return found  # type: ignore[return-value] # _say_the_same compares the types

    def _require_current(self, asked: AskedDecision, now: StudyNow) -> None:
        of_thing = {*records_of(asked.thing, now)}
        if not of_thing:
            raise UnfitError(f"found no such {asked.thing.kind} in this study, or the study has not ended: {_AGAIN}")
        if not of_thing <= {*asked.shown} or not {*asked.shown} <= now.ids:
            raise ReplacedError(f"what was shown was replaced by a newer record: {_AGAIN}")
        standing = self.of(asked.study).standing(asked.thing)
        if (standing.id if standing else None) != asked.follows:
            who = "" if standing is None else f" by {standing.by_name}"
            raise ReplacedError(f"it was decided about meanwhile{who}: {_AGAIN}")

    def _require_runs(self, now: StudyNow) -> None:
        of_end = () if now.end is None else now.end.run_ids
        counted = [run for run in now.runs if run.run_id in of_end]
        gone = [run for run in counted if self.studies.store.stored(run.source) is None]
        if gone:
            raise UnfitError(
                f"{len(gone)} received runs of the study are not in the store any more (retention.store_days): "
                "no objects can be made of it"
            )

    def _at(self) -> str:
        at = self._wall()
        if at.tzinfo is None:
            raise NotDurableError("the wall clock has no time zone: report this bug")
        return at.isoformat(timespec="milliseconds")


def text_sha256(text: str | None) -> str:
    """By which a text that was shown is known again."""
    return hashlib.sha256((text or "").encode()).hexdigest()


def _say_the_same(one: OfPerson, other: OfPerson) -> bool:
    """But for when, and what is looked up only then."""
    if type(one) is not type(other):
        return False
    if isinstance(one, PersonDecided) and isinstance(other, PersonDecided):
        return replace(one, at=other.at, said=other.said, by_name=other.by_name) == other
    if isinstance(one, ReviewFinished) and isinstance(other, ReviewFinished):
        same = replace(
            one, at=other.at, by_name=other.by_name, what=other.what, run_ids=other.run_ids,
            decisions=other.decisions, signoffs=other.signoffs, shown=other.shown,
        )  # fmt: skip
        lists = all({*getattr(one, n)} == {*getattr(other, n)} for n in ("decisions", "signoffs", "shown"))
        return same == other and lists
    return replace(one, at=other.at, by_name=other.by_name) == other
