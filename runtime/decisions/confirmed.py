"""What the confirmed results of each study are at this moment: its runs, readings and draft, out of study.journal.

Kept in memory and read on from where it was, since many ask often. Not for: what people decided (standing.py), making
objects (runtime/objects/).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from cathrt.runtime.alert import Record, RunResult, RunSummary, StudyDraft, StudyEnded, StudyFindings
from cathrt.runtime.journal.front import extent_of
from cathrt.runtime.journal.lookups import records_between
from cathrt.runtime.journal.records import record_from_body
from cathrt.runtime.listener.store_reader import StoreReader
from cathrt.runtime.models import MODELS, record_parts

_TYPES = ("run", "ended", "study", "draft")
_LOOKED_AGAIN = 64  # newest runs of no known study: runs of watched folders never have one

_Revised = TypeVar("_Revised", StudyEnded, StudyDraft)


@dataclass(frozen=True, slots=True)
class StudyNow:
    """One study. study: our name for it. study_instance_uid: None where the store does not know it any more.

    end: the newest one; None before the study has ended. runs: those of the end, in its order, then runs that came
    after it. readings: of each model the newest one that is of this end, or a provisional one before any end. draft: of
    this end.
    """

    study: str
    study_instance_uid: str | None
    end: StudyEnded | None
    runs: tuple[RunSummary, ...]
    readings: tuple[StudyFindings, ...]
    draft: StudyDraft | None

    @property
    def revision(self) -> int:
        """Of the newest end; 0 before there is one."""
        return 0 if self.end is None else self.end.revision

    @property
    def rests_on(self) -> tuple[str, ...]:
        """Ids of all records that the objects of this end are made of, the end's first; () before there is one."""
        if self.end is None:
            return ()
        of_end = [run.id for run in self.runs if run.run_id in self.end.run_ids]
        return (
            self.end.id,
            *of_end,
            *(one.id for one in self.readings),
            *(() if self.draft is None else (self.draft.id,)),
        )

    @property
    def ids(self) -> frozenset[str]:
        """Of all records that may be on a screen now."""
        return frozenset({*self.rests_on, *(run.id for run in self.runs), *(one.id for one in self.readings)})

    def run(self, run_id: str | None) -> RunSummary | None:
        """The run of that id; None where the study has none."""
        return next((run for run in self.runs if run.run_id == run_id), None)

    def reading(self, bundle: str | None) -> StudyFindings | None:
        """The reading of that model; None where there is none, or it is withheld."""
        found = (one for one in self.readings if one.reading.bundle == bundle and one.reading.withheld is None)
        return next(found, None)


def told_result(run: RunSummary) -> RunResult | None:
    """Of a run, that of the model that tells which artery it is; else the first. None where no model gave one."""
    of_side = (one for one in run.results if MODELS[one.kind].side is not None)
    return next(of_side, run.results[0] if run.results else None)


def side_told(result: RunResult) -> Literal["left", "right", "unknown"]:
    """The coronary artery that the model names: "left", "right" or "unknown"."""
    side_of = MODELS[result.kind].side
    return (None if side_of is None else side_of(result)) or "unknown"


def side_score(result: RunResult) -> float | None:
    """The score of the likelier side; None where the model tells none."""
    score_of = MODELS[result.kind].side_score
    return None if score_of is None else score_of(result)


@dataclass(slots=True)
class _Filed:
    """What the journal has of one study. newest: the newest row of it. later: runs that the store says are of it."""

    newest: int = 0
    ends: list[StudyEnded] = field(default_factory=list)
    readings: list[StudyFindings] = field(default_factory=list)
    drafts: list[StudyDraft] = field(default_factory=list)
    later: dict[str, None] = field(default_factory=dict)  # run ids, in order


class ConfirmedStudies:
    """Thread-safe. Every call reads on in the journal first, in one short transaction."""

    def __init__(self, journal: Path, store: StoreReader) -> None:
        """journal: need not exist yet."""
        self.journal, self.store = journal, store
        self._lock = threading.Lock()
        self._begin_anew()

    def study(self, name: str) -> StudyNow | None:
        """The study of that name; None where there is none. Raises JournalError, StoreError."""
        with self._lock:
            self._read_on()
            return self._now(name)

    def studies(self) -> tuple[StudyNow, ...]:
        """All studies, those with the newest records first. Raises JournalError, StoreError."""
        with self._lock:
            self._read_on()
            names = sorted(self._filed, key=lambda name: -self._filed[name].newest)
            found = [self._now(name) for name in names]
            return tuple(one for one in found if one is not None)

    def _begin_anew(self) -> None:
        self._through = self._anchor = 0
        self._runs: dict[str, RunSummary] = {}  # the last judging of each run counts
        self._filed: dict[str, _Filed] = {}
        self._unplaced: deque[tuple[int, RunSummary]] = deque(maxlen=_LOOKED_AGAIN)
        self._uids: dict[str, str] = {}  # Study Instance UIDs by our name

    def _read_on(self) -> None:
        extent = extent_of(self.journal)
        if extent is None or extent.head < self._through or extent.anchor > self._anchor:
            self._begin_anew()  # another journal is in its place, or rows were pruned, which is seldom
        if extent is None:
            return
        self._anchor = extent.anchor
        waiting, self._unplaced = self._unplaced, deque(maxlen=_LOOKED_AGAIN)
        for seq, run in waiting:
            self._place(seq, run)
        if extent.head > self._through:
            for row in records_between(self.journal, max(self._through, extent.anchor), extent.head, _TYPES):
                self._file(row.seq, record_from_body(row.body, record_parts()))
            self._through = extent.head

    def _file(self, seq: int, record: Record) -> None:
        match record:
            case RunSummary():
                self._runs[record.run_id] = record
                self._place(seq, record)
            case StudyEnded():
                self._of(record.study, seq).ends.append(record)
            case StudyFindings():
                self._of(record.study, seq).readings.append(record)
            case StudyDraft():
                self._of(record.study, seq).drafts.append(record)

    def _place(self, seq: int, run: RunSummary) -> None:
        """File a run under its study; the store may come to know that a moment later."""
        uid = self.store.study_of(run.source)
        if uid is None:
            self._unplaced.append((seq, run))
            return
        name = self.store.pseudonym_of(uid)
        self._uids[name] = uid
        self._of(name, seq).later[run.run_id] = None

    def _of(self, study: str, seq: int) -> _Filed:
        filed = self._filed.setdefault(study, _Filed())
        filed.newest = max(filed.newest, seq)
        return filed

    def _now(self, name: str) -> StudyNow | None:
        filed = self._filed.get(name)
        if filed is None:
            return None
        end = _newest(filed.ends)
        of_end = () if end is None else end.run_ids
        run_ids = (*of_end, *(run_id for run_id in filed.later if run_id not in of_end))
        runs = tuple(self._runs[run_id] for run_id in run_ids if run_id in self._runs)
        if end is None and not runs:
            return None
        wanted = None if end is None else end.revision
        readings = {one.reading.bundle: one for one in filed.readings if one.ended == wanted}
        draft = _newest([one for one in filed.drafts if one.revision == wanted])
        return StudyNow(name, self._uids.get(name), end, runs, tuple(readings.values()), draft)


def _newest(found: Sequence[_Revised]) -> _Revised | None:
    return max(found, key=lambda one: one.revision, default=None)
