"""A state folder with a store and a watched folder, and a study on it whose engine reads brightness.

Not for: the demonstration bundle (tests/processes/test_study.py).
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cathrt.runtime.alert import Refusal, RunSummary, StoredRecord, StudyDraft, StudyFindings
from cathrt.runtime.config import Config, LimitsConfig, StudyConfig
from cathrt.runtime.journal.records import record_from_body
from cathrt.runtime.journal.report import JournalReport, verify_journal
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.line.pipeline import Line
from cathrt.runtime.listener.object_store import Arrival, ObjectStore
from cathrt.runtime.listener.spool import SpoolLimits
from cathrt.runtime.listener.store_reader import StoreReader
from cathrt.runtime.listener.studies import Ending, Kind, StudyEvent
from cathrt.runtime.listener.study_book import StudyBook
from cathrt.runtime.listener.study_end import Evidence
from cathrt.runtime.model_kind import Reader, Writer
from cathrt.runtime.models import record_parts
from cathrt.runtime.processes.state_folder import StateFolder
from cathrt.runtime.study.confirm import Confirming, Judged, StudyWork
from cathrt.runtime.study.drafting import Drafts
from cathrt.runtime.study.feature_store import FeatureStore
from cathrt.runtime.study.intake_book import IntakeBook
from cathrt.runtime.study.model_thread import ModelThread
from cathrt.runtime.study.patience import Patience
from cathrt.runtime.study.reading import Readings, study_readers
from cathrt.runtime.study.received_runs import ReceivedRuns
from cathrt.runtime.study.run_queue import RunQueue
from cathrt.runtime.study.study_ends import StudyEnds
from cathrt.runtime.study.watched_folder import WatchedFolder
from tests import lines
from tests.passes import rows
from tests.sources.dicom_bytes import Value, text, xa_file
from tests.study.waiting_runs import XA

Compute = Callable[[Mapping[str, np.ndarray], Mapping[str, np.ndarray]], None]
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"


def xa_run(uid: str, frames: int = 3, **changes: Value) -> bytes:
    """A small run of its own content, of pictures that differ. changes: further elements, as xa_file() takes them."""
    return xa_file(frames=frames, _00080018=text("UI", uid), **changes)


class Sender:
    """Puts objects into a store, as the listener does."""

    def __init__(self, folder: Path) -> None:
        self._store = ObjectStore(folder, SpoolLimits(64 << 20, 1 << 20))

    def end_study(self, study: str, *objects: int, revision: int = 1, flags: tuple[str, ...] = ()) -> None:
        """Note an end of a study of which these objects have come since the one before."""
        book = StudyBook(self._store.index)
        events = book.note([StudyEvent(0, Kind.OBJECT, study, object_seq=seq) for seq in objects])
        assert book.note_end(Ending(study, revision, (Evidence.BUTTON,), events[-1].seq, flags)) is not None

    def send(self, uid: str, content: bytes, sop_class: str = XA) -> None:
        file = self._store.spool.open()
        file.write(content)
        self._store.spool.take(file)
        self._store.place(file, Arrival(uid, sop_class, EXPLICIT_LITTLE, "ANGIO", "127.0.0.1"))

    def close(self) -> None:
        self._store.close()


class _StopAfter:
    """A sink that ends the study once so many runs have their summary or refusal, and so many drafts and readings are
    there."""

    def __init__(self, runs: int, drafts: int, readings: int, stop: threading.Event) -> None:
        self._runs, self._drafts, self._readings, self._stop = runs, drafts, readings, stop

    def emit(self, stored: StoredRecord) -> None:
        self._runs -= stored.type in ("run", "refusal")
        self._drafts -= stored.type == "draft"
        self._readings -= stored.type == "study"
        if self._runs <= 0 and self._drafts <= 0 and self._readings <= 0:
            self._stop.set()

    def close(self) -> None:
        pass


@dataclass
class Study:
    """One study's state, used by one process after another."""

    state: StateFolder
    watched: Path
    sender: Sender
    compute: Compute = lines.brightness
    limits: LimitsConfig = LimitsConfig()  # noqa: RUF009 - frozen
    watchers: tuple[threading.Thread, ...] = ()
    writer: Writer | None = None  # of drafts
    readers: tuple[Reader, ...] = ()
    patience: Patience = field(default_factory=Patience)
    opened: int = 0  # times that engines were opened

    @property
    def journal(self) -> Path:
        return self.state.study_journal

    @property
    def intake(self) -> Path:
        return self.state.path / "study-intake.db"

    @contextmanager
    def line(self) -> Iterator[Line]:
        self.opened += 1
        yield lines.line(self.compute)

    def confirm(self, runs: int, stop: threading.Event | None = None, drafts: int = 0, readings: int = 0) -> None:
        """A process that judges until so many runs have a summary or a refusal, and so many drafts and readings are
        there, or stop is set."""
        stop = stop or threading.Event()
        config = Config(study=StudyConfig(watched_folders=(str(self.watched),), settle_s=0.01), limits=self.limits)
        sinks, store = (_StopAfter(runs, drafts, readings, stop),), StoreReader(self.state.store)
        with (
            closing(IntakeBook(self.intake)) as book,
            Journal(self.journal, config.journal, sinks) as journal,
            ExitStack() as stack,
        ):
            folder = WatchedFolder(self.watched, 0.0, book.is_judged)
            queue = RunQueue(ReceivedRuns(store, book), [folder], book)
            for run in folder.look():
                queue.files.put(run)
            work: list[StudyWork] = []
            judged: list[Judged] = []
            reading = None
            if given := study_readers(self.readers, store, book):
                reading = Readings(
                    readers=given,
                    store=store,
                    features=stack.enter_context(closing(FeatureStore(self.state.features))),
                    book=book,
                    journal=journal,
                    limits=config.limits,
                    thread=ModelThread(stop, self.patience, queue.received_waits),
                )
                stack.callback(reading.close)
                work.append(reading)
                judged.append(reading.judged)
            if self.writer is not None:
                writing = Drafts(
                    writer=self.writer,
                    ends=StudyEnds(store, book),
                    store=store,
                    book=book,
                    journal=journal,
                    limits=config.limits,
                    thread=ModelThread(stop, self.patience, queue.received_waits),
                )
                if reading is not None:
                    writing.readings = reading.of_end
                stack.callback(writing.close)
                work.append(writing)
                judged.append(writing.judged)
            Confirming(queue, book, journal, config, stop, self.patience, self.watchers, work, judged).run(self.line)

    def put(self, name: str, content: bytes) -> Path:
        path = self.watched / name
        path.write_bytes(content)
        return path

    @property
    def summaries(self) -> list[RunSummary]:
        return [record for record in self.records() if isinstance(record, RunSummary)]

    @property
    def refusals(self) -> list[Refusal]:
        return [record for record in self.records() if isinstance(record, Refusal)]

    @property
    def drafts(self) -> list[StudyDraft]:
        return [record for record in self.records() if isinstance(record, StudyDraft)]

    @property
    def readings(self) -> list[StudyFindings]:
        return [record for record in self.records() if isinstance(record, StudyFindings)]

    def ended(self) -> list[str]:
        """What has a summary or a refusal, in order."""
        return [record.source for record in self.records() if isinstance(record, RunSummary | Refusal)]

    def records(self) -> list[Any]:
        return records_of(self.journal)


@contextmanager
def study_in(folder: Path) -> Iterator[Study]:
    """A new study in a folder."""
    state = StateFolder(folder / "state")
    state.store.mkdir(parents=True)
    watched = folder / "watched"
    watched.mkdir()
    with closing(Sender(state.store)) as sender:
        yield Study(state, watched, sender)


def records_of(journal: Path) -> list[Any]:
    """Every record, in order."""
    from cathrt.runtime.journal.head import Head
    from cathrt.runtime.journal.reader import JournalReader

    reader, place, found = JournalReader(journal), Head(), []
    while batch := reader.read(place):
        found += [record_from_body(one.stored.body, record_parts()) for one in batch]
        place = batch[-1].place
    reader.close()
    return found


def report_of(journal: Path) -> JournalReport:
    return verify_journal(journal, record_parts())


def require_each_once(journal: Path, uids: list[str]) -> None:
    """Each of these has exactly one complete pass, and there is no other and no anomaly."""
    report = report_of(journal)
    assert Counter(one.source for one in report.passes) == Counter(uids)
    assert all(one.frames is not None and not one.anomalies for one in report.passes)
    ids = [id_ for _, id_ in rows(journal)]
    assert len(ids) == len(set(ids))
