"""A state folder with one study that people may decide about, and a desk on it.

Not for: HTTP (tests/web/study).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import count
from pathlib import Path
from typing import Any

from cathrt.runtime.alert import Correction, Record, RunSummary, StudyFindings, Thing
from cathrt.runtime.decisions.asked import AskedDecision, AskedReview, AskedSignature, Person
from cathrt.runtime.decisions.book import DecisionBook
from cathrt.runtime.decisions.confirmed import ConfirmedStudies, StudyNow, told_result
from cathrt.runtime.decisions.desk import DecisionDesk, text_sha256
from cathrt.runtime.decisions.review import review_due
from cathrt.runtime.decisions.standing import records_of
from cathrt.runtime.listener.object_store import Arrival, ObjectStore
from cathrt.runtime.listener.store_reader import StoreReader
from cathrt.runtime.processes.state_folder import StateFolder
from tests.listener.listening import LIMITS
from tests.objects.dicom.generated_studies import ANSWERS, CHARACTER_SETS, XA, GeneratedStudy, generated_study
from tests.passes import AT_ONCE, reading, start, verdict, write

JAPANESE = CHARACTER_SETS[4]
STUDY = "study a"
SATO, MORI = Person("sato", "佐藤 花子"), Person("mori", "Mori")
TOKYO = timezone(timedelta(hours=9))
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
_ids = count(1)


def read_by_model(study: GeneratedStudy, revision: int = 1) -> StudyFindings:
    """What a model reads in the study, with an answer of each form."""
    made = reading()
    runs = tuple(replace(made.runs[0], run_id=run.run_id) for run in study.results.evidence[:1])
    return replace(
        made,
        id=f"reading {revision}",
        study=STUDY,
        revision=revision,
        ended=revision,
        runs=runs,
        reading=replace(made.reading, bundle="reader", findings=ANSWERS),
    )


def state_with_study(folder: Path, kind: str = "drafted", seed: int = 3, *, read: bool = True) -> StateFolder:
    """Runs in the store; verdicts, summaries, the end, a draft and a reading in study.journal."""
    folder.mkdir(parents=True, exist_ok=True)
    state, study = StateFolder(folder), generated_study(folder.parent / f"made {seed}", seed, kind, JAPANESE)
    with closing(ObjectStore(state.store, LIMITS)) as store:
        for uid, path in study.store.paths.items():
            file = store.spool.open()
            file.write(path.read_bytes())
            store.spool.take(file)
            store.place(file, Arrival(uid, XA, EXPLICIT_LITTLE, "ANGIO", "127.0.0.1"))
    records: list[Record] = []
    for record in study.records:
        if isinstance(record, RunSummary):
            records.append(replace(start(record.source), source=record.source))
            records += [verdict(index, record.source) for index in range(record.frames)]
        records.append(record)
    write(state.study_journal, [*records, *([read_by_model(study)] if read else [])])
    return state


class Deciding:
    """A desk, and the decisions of tests on it. time: of the next decision; each takes a second."""

    def __init__(self, state: StateFolder, book: DecisionBook) -> None:
        self.state, self.book = state, book
        self.time = datetime(2026, 12, 1, 18, 0, tzinfo=TOKYO)
        self.desk = DecisionDesk(book, ConfirmedStudies(state.study_journal, StoreReader(state.store)), self._wall)

    def _wall(self) -> datetime:
        self.time += timedelta(seconds=1)
        return self.time

    @property
    def now(self) -> StudyNow:
        """The study."""
        found = self.desk.studies.study(STUDY)
        assert found is not None
        return found

    def key_frame(self, run: int = 0, place: int = 0) -> Thing:
        """A key frame of the model."""
        told = told_result(self.now.runs[run])
        assert told is not None
        return Thing("key_frame", run_id=self.now.runs[run].run_id, frame_index=told.marked_frames[place])

    def side(self, run: int = 0) -> Thing:
        """The artery of a run."""
        return Thing("side", run_id=self.now.runs[run].run_id)

    def unmarked(self, run: int = 0) -> int:
        """A frame that is no key frame."""
        told = told_result(self.now.runs[run])
        assert told is not None
        return next(index for index in range(self.now.runs[run].frames) if index not in told.marked_frames)

    def asked(self, thing: Thing, what: Any = "accepted", correction: Correction | None = None, **given: Any) -> Any:
        """A decision as a page sends it that shows what is there now."""
        standing = self.desk.of(STUDY).standing(thing)
        made: dict[str, Any] = {
            "id": f"decision {next(_ids):06}",
            "study": STUDY,
            "revision": self.now.revision,
            "thing": thing,
            "what": what,
            "correction": correction,
            "shown": records_of(thing, self.now),
            "follows": None if standing is None else standing.id,
            "text": "",
        }
        return AskedDecision(**{**made, **given})

    def decide(self, thing: Thing, what: Any = "accepted", correction: Correction | None = None, **given: Any) -> Any:
        """The record of a decision by Sato, or by whoever is given as `by`."""
        by = given.pop("by", SATO)
        return self.desk.decide(self.asked(thing, what, correction, **given), by).record

    def signature(self, **given: Any) -> AskedSignature:
        """As a page sends it that shows the draft."""
        record = self.now.draft
        assert record is not None
        made: dict[str, Any] = {
            "id": f"signature {next(_ids):06}",
            "study": STUDY,
            "revision": record.revision,
            "draft_id": record.id,
            "text_sha256": text_sha256(record.draft.text),
            "text_ja_sha256": text_sha256(record.draft.text_ja),
            "text": "",
        }
        return AskedSignature(**{**made, **given})

    def review(self, **given: Any) -> AskedReview:
        """As a page sends it that shows what is due."""
        due = review_due(self.now, self.desk.of(STUDY))
        made: dict[str, Any] = {
            "id": f"review {next(_ids):06}",
            "study": STUDY,
            "revision": self.now.revision,
            "decisions": due.decisions,
            "signoffs": due.signoffs,
            "shown": due.shown,
            "follows": due.follows,
            "text": "",
        }
        return AskedReview(**{**made, **given})

    def finish(self, by: Person = SATO, **given: Any) -> Any:
        """The record of a finished review."""
        return self.desk.finish(self.review(**given), by).record


@contextmanager
def deciding(state: StateFolder) -> Iterator[Deciding]:
    """A desk on a state folder, until the end of the block."""
    with closing(DecisionBook(state.gateway_journal, AT_ONCE)) as book:
        yield Deciding(state, book)
