"""The results that a person names: a run, or a study, out of a state folder's journal and store.

Not for: when objects are due by themselves (due.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cathrt.runtime.alert import Record, RunSummary, StudyDraft, StudyEnded, StudyFindings
from cathrt.runtime.errors import SourceError
from cathrt.runtime.journal.lookups import records_of_type
from cathrt.runtime.journal.records import record_from_body
from cathrt.runtime.listener.store_reader import StoreReader
from cathrt.runtime.models import record_parts
from cathrt.runtime.objects.due import Evidence
from cathrt.runtime.objects.evidence_header import header_of
from cathrt.runtime.objects.results import StudyResults, results_from

RecordT = TypeVar("RecordT", RunSummary, StudyDraft, StudyEnded, StudyFindings)


@dataclass(frozen=True, slots=True)
class Confirmed:
    """All that a journal of confirmed results has. runs: by run_id, the last judging of each."""

    runs: dict[str, RunSummary]
    ends: tuple[StudyEnded | StudyDraft, ...]
    readings: tuple[StudyFindings, ...]
    store: StoreReader
    evidence: Evidence


def confirmed_in(journal: Path, store: Path, decisions: Path | None = None) -> Confirmed:
    """decisions: the journal of what people decided. Raises JournalError; SourceError where there is no such journal of
    results."""
    if not journal.exists():
        raise SourceError(
            f"{journal}: no such file, expected the confirmed results of a `cathrt run` that has received runs"
        )
    ends: list[StudyEnded | StudyDraft] = [
        *_records(journal, "ended", StudyEnded),
        *_records(journal, "draft", StudyDraft),
    ]
    return Confirmed(
        runs={one.run_id: one for one in _records(journal, "run", RunSummary)},
        ends=tuple(sorted(ends, key=lambda end: (end.revision, end.type == "draft"))),
        readings=tuple(_records(journal, "study", StudyFindings)),
        store=StoreReader(store),
        evidence=Evidence(journal, store, decisions),
    )


def chosen(confirmed: Confirmed, name: str) -> StudyResults:
    """name: a run, by run_id or SOP Instance UID; or a study, by Study Instance UID or the name it has in records.

    A study that has ended has its newest revision, as the last finished review of it has it; one that has not, or a
    single run, has revision 0. Raises SourceError where there is nothing of that name, or its runs are gone.
    """
    for run in confirmed.runs.values():
        if name in (run.run_id, run.source):
            return results_from([run], confirmed.store)
    study = name if any(end.study == name for end in confirmed.ends) else confirmed.store.pseudonym_of(name)
    ends = [end for end in confirmed.ends if end.study == study]
    if ends and (reviewed := confirmed.evidence.last_reviewed(str(study), ends[-1].revision)) is not None:
        return reviewed
    if ends:
        runs = [confirmed.runs[run_id] for end in ends for run_id in end.run_ids if run_id in confirmed.runs]
        readings = [one for one in confirmed.readings if one.study == study]
        records: Sequence[Record] = [*{run.run_id: run for run in runs}.values(), *readings, *ends]
        return results_from(records, confirmed.store)
    running = [run for run in confirmed.runs.values() if _study_of(confirmed, run) == name]
    if not running:
        known = ", ".join(sorted({end.study for end in confirmed.ends})[:5]) or "none has ended"
        raise SourceError(
            "found no confirmed run and no study of that name, expected a run_id, a SOP Instance UID, a Study "
            f"Instance UID or a study's name in records (of those that have ended: {known})"
        )
    return results_from(running, confirmed.store)


def _records(journal: Path, type_: str, class_: type[RecordT]) -> list[RecordT]:
    parts = record_parts()
    found = [record_from_body(row.body, parts) for row in records_of_type(journal, type_)]
    return [record for record in found if isinstance(record, class_)]


def _study_of(confirmed: Confirmed, run: RunSummary) -> str | None:
    received = confirmed.store.stored(run.source)
    return None if received is None else str(header_of(confirmed.store.path_of(received)).get("StudyInstanceUID") or "")
