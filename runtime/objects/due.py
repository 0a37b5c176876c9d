"""When a study's objects are due, and what they are made of: the journal's records of the study's ends, drafts and
readings, the summaries of its runs, the received objects that these judged, and what people have decided about them.

Not for: making objects (objects/dicom, objects/fhir, objects/hl7), sending them (outlets/).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cathrt.runtime.alert import Record, ReviewFinished, StoredRecord
from cathrt.runtime.decisions.book import decisions_in
from cathrt.runtime.errors import CathrtError
from cathrt.runtime.journal.lookups import records_of_type
from cathrt.runtime.journal.records import body_with, record_from_body, values_of
from cathrt.runtime.listener.store_reader import StoreReader
from cathrt.runtime.models import record_parts
from cathrt.runtime.objects.results import StudyResults, results_from
from cathrt.runtime.objects.reviewed import reviewed_results


class NotDueError(CathrtError):
    """No object may, or can any more, be made of a record."""

    exit_code = 4


@dataclass(frozen=True, slots=True)
class Evidence:
    """journal: of confirmed results. store: of received objects, a folder. decisions: the journal of what people
    decided; None where there is none. Any thread may use it."""

    journal: Path
    store: Path
    decisions: Path | None = None

    def results(self, record: Mapping[str, Any]) -> StudyResults | None:
        """What the study of a record amounts to, at that revision of its end; None for a provisional reading.

        Of a finished review it is the edition that the review makes, from the records that were on the screen.
        Raises NotDueError where the study is not to leave, or runs of it are gone; JournalError, StoreError,
        SourceError.
        """
        if record["type"] == "review":
            return self._reviewed(record)
        revision = revision_of(record)
        if revision is None:
            return None
        ends = self._of_study(record, "ended")
        end = next((one for one in ends if one["revision"] == revision), None)
        if end is None:
            raise NotDueError(
                f"study {record['study']}, revision {revision}: the journal has no end of it: its objects name more "
                "than one patient, or it ended before this version"
            )
        later = [*self._of_study(record, "study"), *self._of_study(record, "draft")]
        if record["id"] not in {one["id"] for one in (*ends, *later)}:
            later.append(dict(record))  # a dead letter whose row is gone
        told = [one for one in (*ends, *later) if (revision_of(one) or 0) <= revision and revision_of(one) is not None]
        run_ids = {run_id for one in told if one["type"] != "study" for run_id in one["run_ids"]}
        summaries = self._summaries(run_ids)
        if missing := [run_id for run_id in end["run_ids"] if run_id not in summaries]:
            raise NotDueError(f"study {record['study']}: run {missing[0]} is not in the journal any more")
        records = [*summaries.values(), *sorted(told, key=lambda one: (revision_of(one) or 0, one["type"] != "study"))]
        return results_from(map(_parsed, records), StoreReader(self.store))

    def is_newest(self, record: Mapping[str, Any]) -> bool:
        """Whether there is no later end of the study, and no later review of it. Raises JournalError.

        What a model adds to a revision once a person has finished its review waits for the next review.
        """
        revision = revision_of(record) or 0
        if any(one["revision"] > revision for one in self._of_study(record, "ended")):
            return False
        later = [one for one in self._reviews(record["study"]) if one.revision >= revision]
        return not later or later[-1].id == record["id"]

    def last_reviewed(self, study: str, revision: int) -> StudyResults | None:
        """The edition of the last finished review of a revision; None where there is none. Raises as results() does."""
        reviews = [one for one in self._reviews(study) if one.revision == revision]
        if not reviews:
            return None
        last = reviews[-1]
        return self._reviewed({"study": last.study, "revision": last.revision, "id": last.id})

    def _reviewed(self, record: Mapping[str, Any]) -> StudyResults:
        of_people = decisions_in(self.decisions).by_id if self.decisions is not None else {}
        of_revision = [one for one in self._reviews(record["study"]) if one.revision == record["revision"]]
        ids = [one.id for one in of_revision]
        if record["id"] not in ids:
            raise NotDueError(f"study {record['study']}: its review is not in the journal of decisions any more")
        reviews = of_revision[: ids.index(record["id"]) + 1]
        return reviewed_results([(one, self._shown_in(one)) for one in reviews], of_people)

    def _shown_in(self, review: ReviewFinished) -> StudyResults:
        """The undecided results that were on the screen."""
        shown = frozenset(review.shown)
        rows = [row for type_ in ("run", "study", "ended", "draft") for row in records_of_type(self.journal, type_)]
        records = [_parsed(_body(row)) for row in rows if row.id in shown]
        if missing := shown.difference(one.id for one in records):
            raise NotDueError(
                f"study {review.study}: {len(missing)} records that its review rests on are not in the journal any more"
            )
        return results_from(records, StoreReader(self.store))

    def _reviews(self, study: str) -> tuple[ReviewFinished, ...]:
        if self.decisions is None:
            return ()
        return decisions_in(self.decisions).of(study).reviews

    def _of_study(self, record: Mapping[str, Any], type_: str) -> list[dict[str, Any]]:
        rows = records_of_type(self.journal, type_)
        return [body for body in map(_body, rows) if body["study"] == record["study"]]

    def _summaries(self, run_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """By run; the last judging of a run counts."""
        wanted = frozenset(run_ids)
        rows = (row for row in records_of_type(self.journal, "run") if values_of(row.body, "run_id")[0] in wanted)
        return {body["run_id"]: body for body in map(_body, rows)}


def revision_of(record: Mapping[str, Any]) -> int | None:
    """Of which end of its study a record is; None for a provisional reading."""
    revision: int | None = record["ended"] if record["type"] == "study" else record["revision"]
    return revision


def _body(row: StoredRecord) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(row.body)
    return found


def _parsed(body: Mapping[str, Any]) -> Record:
    return record_from_body(body_with(b"{}", **body), record_parts())
