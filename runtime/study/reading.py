"""Encodes each run of a study once, soon after it is confirmed, and has the study read: provisionally after each run,
and at each end of the study.

A received run that comes goes first: what is in hand is left, and goes on afterwards. Over stops and kills no clip is
encoded again that was kept, no reading is lost, and none comes twice. Not for: which study is next (study_ends.py),
what a reading says (models/).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from cathrt.runtime.alert import RunSummary, StudyFindings
from cathrt.runtime.bundle.manifest import NO_BETTER
from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import CathrtError, SourceError
from cathrt.runtime.failpoints import failpoint
from cathrt.runtime.journal.head import noted_head
from cathrt.runtime.journal.lookups import stored_record
from cathrt.runtime.journal.records import record_from_body, values_of
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.model_kind import Features, Reader, RunFacts
from cathrt.runtime.models import record_parts
from cathrt.runtime.ports import Opening
from cathrt.runtime.study.clips_read import (
    Asked,
    Clips,
    clip_frames,
    clips_of,
    facts_of,
    reading_id,
    reading_of,
    rests_on,
)
from cathrt.runtime.study.drafting import MOST_CRASHES, OURS, RETRY_AFTER_S
from cathrt.runtime.study.feature_store import FeatureStore, pixels_sha256
from cathrt.runtime.study.intake_book import IntakeBook, IntakeError, Keyed
from cathrt.runtime.study.model_thread import LeftError, ModelThread
from cathrt.runtime.study.received_runs import Store, opening_of_object
from cathrt.runtime.study.study_ends import EndsStore, StudyEnds, WaitingEnd
from cathrt.runtime.study.waiting import WaitingRun

_log = logging.getLogger(__name__)


class ReadingStore(Store, EndsStore, Protocol):
    """What is needed of a store (listener/store_reader.py)."""


@dataclass(frozen=True, slots=True)
class _Work:
    """Work that may end the process, by its name in the intake book."""

    key: bytes


_Known = tuple[str, RunFacts]  # name of its study; what is known of a run


@dataclass(slots=True)
class StudyReader:
    """A reader, what the books call it, and the ends of studies that it has to do with."""

    reader: Reader
    ends: StudyEnds
    prepared: bool = False

    @property
    def name(self) -> str:
        return self.ends.model


def study_readers(
    readers: Sequence[Reader], store: EndsStore, book: IntakeBook, now_s: Callable[[], float] = time.monotonic
) -> tuple[StudyReader, ...]:
    """Those that are there from now on. Raises StoreError, IntakeError."""
    names = [f"reader {reader.bundle.manifest_sha256[:16]}" for reader in readers]
    book.keep_readers(names)
    return tuple(
        StudyReader(reader, StudyEnds(store, book, now_s, model=name))
        for reader, name in zip(readers, names, strict=True)
    )


@dataclass(slots=True)
class Readings:
    """Fits confirm.StudyWork. One thread uses it; close() it at the end.

    thread: what takes long of readers is done in it. wall: seconds since 1970.
    """

    readers: Sequence[StudyReader]
    store: ReadingStore
    features: FeatureStore
    book: IntakeBook
    journal: Journal
    limits: LimitsConfig
    thread: ModelThread
    wall: Callable[[], float] = time.time
    now_s: Callable[[], float] = time.monotonic
    _may_be_unread: bool = True
    _not_before_s: float = 0.0

    def judged(self, run: WaitingRun, _summary: RunSummary) -> None:
        """A run of the store is confirmed: it is read with its study when there is time."""
        self._may_be_unread = self._may_be_unread or run.received is not None

    def go_on(self) -> bool:
        """Read the study that has ended, or the one whose run was confirmed, or load a reader's networks.

        Returns whether there was any of it. Raises JournalError, StoreError, IntakeError, FeatureStoreError.
        """
        if self.now_s() < self._not_before_s:
            return False
        return self._read_next_end() or self._read_next_run() or self._prepare()

    def close(self) -> None:
        """Give the networks back. Idempotent."""
        for one in self.readers[:-1]:
            with suppress(RuntimeError):  # closed before
                self.thread.do(one.reader.close)
        self.thread.close(self.readers[-1].reader.close)

    # Ends of studies.

    def _read_next_end(self) -> bool:
        for one in self.readers:
            waiting = one.ends.next()
            if waiting is not None:
                self._do(one, waiting, partial(self._read_end, one, waiting), partial(self._read_end, one, waiting))
                return True
        return False

    def _read_end(self, one: StudyReader, waiting: WaitingEnd, failure: str | None = None) -> None:
        """failure: why it is withheld whatever the runs show. Raises LeftError and errors of ours."""
        end = waiting.end
        passes = self.book.passes_of(end.objects)
        opens = failure is None  # what has failed again and again may be the opening
        noted = [self._known(seq, pass_id, opens=opens) for seq, pass_id in passes if pass_id]
        known = [found for found in noted if found is not None]
        facts = [of_run for _, of_run in known]
        if end.flags:
            failure = f"{', '.join(end.flags)}: whose study this is has to be settled first"
        elif self.book.crashes(waiting) >= MOST_CRASHES:
            failure = f"the process ended {MOST_CRASHES} times while the study was read: report what happens"
        self.features.note_settled(waiting.study, settled=not end.flags)
        asked = Asked(waiting.study, False, end.revision, len(passes) - len(known), failure)
        self._read(one, waiting, asked, facts, max(0.0, self.wall() - end.ended_at))
        self.book.note_read(one.name, [of_run.arrival for of_run in facts])
        self.book.done_with_end(waiting, one.name, end.seq)

    def of_end(self, study: str, ended: int) -> Sequence[StudyFindings]:
        """What the readers found at this revision of the study's end, in their order, for a draft to state.

        Without those of a model that is no better than chance, and without what was withheld. Raises JournalError.
        """
        found = []
        for one in self.readers:
            manifest = one.reader.bundle.manifest
            revision = self.features.last_revision(one.reader.bundle.manifest_sha256, study)
            stored = stored_record(self.journal.path, reading_id(one.reader, study, revision)) if revision else None
            record = None if stored is None else record_from_body(stored.body, record_parts())
            if not isinstance(record, StudyFindings) or manifest.worth == NO_BETTER:
                continue
            if record.ended == ended and record.reading.withheld is None:
                found.append(record)
        return found

    # Runs of studies that go on.

    def _read_next_run(self) -> bool:
        if not self._may_be_unread:
            return False
        for one in self.readers:
            unread = self.book.unread(one.name)
            if unread is not None:
                work = _Work(f"{one.name} run {unread[0]}".encode())
                give_up = partial(self._pass_over, one, unread[0])
                self._do(one, work, partial(self._read_run, one, work, *unread), give_up)
                return True
        self._may_be_unread = False
        return False

    def _read_run(self, one: StudyReader, work: Keyed, seq: int, pass_id: str) -> None:
        """Raises LeftError and errors of ours."""
        found = self._known(seq, pass_id)
        if found is not None and self.features.is_settled(found[0]) and self.book.crashes(work) < MOST_CRASHES:
            study = found[0]
            runs = self.features.runs_of_study(study)
            newest = dict(self.book.passes_of([run.arrival for run in runs]))
            known = [run for run in runs if newest.get(run.arrival) == run.pass_id]
            if any(run.place is not None for run in one.reader.chosen(known)):
                self._read(one, work, Asked(study, True), known, None)
        self.book.note_read(one.name, [seq])

    def _pass_over(self, one: StudyReader, seq: int, _why: str) -> None:
        """Its study is read again at its next run, or at its end."""
        self.book.note_read(one.name, [seq])

    # Networks.

    def _prepare(self) -> bool:
        for one in self.readers:
            work = _Work(f"{one.name} networks".encode())
            if not one.prepared and self.book.crashes(work) < MOST_CRASHES:
                self._do(one, work, partial(self._load, one), partial(self._leave_unloaded, one))
                return True
        return False

    def _load(self, one: StudyReader) -> None:
        self.thread.do(one.reader.prepare)
        one.prepared = True

    def _leave_unloaded(self, one: StudyReader, _why: str) -> None:
        one.prepared = True  # the next reading tries it

    # One piece of work, and what may become of it.

    def _do(self, one: StudyReader, work: Keyed, do: Callable[[], None], give_up: Callable[[str], None]) -> None:
        """give_up: in its place, after the last try that failed for a reason of ours, which it is told."""
        self.book.begin(work, self._rows())
        try:
            do()
            self.book.forget(work)
        except LeftError:
            self.book.put_back(work)
        except OURS as exc:
            self.thread.do(one.reader.close)
            failures = self.book.work_failed(work)
            if failures > len(RETRY_AFTER_S):
                _log.warning("%s failed %d times: %s: it is left", work.key.decode(), failures, exc)
                give_up(f"{type(exc).__name__}: {exc}")
                self.book.forget(work)
                return
            wait_s = RETRY_AFTER_S[failures - 1]
            self._not_before_s = self.now_s() + wait_s
            _log.warning("%s failed: %s: it is tried again in %g s", work.key.decode(), exc, wait_s)
        except CathrtError:  # the journal's disk, the store
            with suppress(IntakeError):
                self.book.put_back(work)
            raise

    def _read(
        self, one: StudyReader, work: Keyed, asked: Asked, known: Sequence[RunFacts], after_study_s: float | None
    ) -> None:
        """Read the study of these runs, once: where the journal has the very same reading, nothing is done."""
        reader, manifest = one.reader, one.reader.bundle.manifest_sha256
        if asked.withheld is None:
            clips = clips_of(reader, known, partial(self._features, reader, work))
        else:
            clips = Clips(reader.chosen(known), (), ())
        same = rests_on(reader, asked, clips.runs)
        if self.features.revision_of(manifest, asked.study, same) is not None:
            return
        revision, is_there = self._revision(reader, asked.study, same)
        if not is_there:
            notices = [of_run.notice for of_run in known]
            record = self.thread.do(partial(reading_of, reader, asked, clips, revision, notices, after_study_s))
            failpoint("study.read")
            self.journal.append(record)
            self.journal.sync()
            failpoint("study.reading_durable")
        self.features.note_reading(manifest, asked.study, revision, same)
        failpoint("study.reading_noted")

    def _revision(self, reader: Reader, study: str, same: str) -> tuple[int, bool]:
        """The next one, and whether the journal has it, with the same that is to be read.

        The file of features may lag behind the journal, or be lost; what the journal has is then noted again.
        """
        manifest = reader.bundle.manifest_sha256
        revision = self.features.last_revision(manifest, study) + 1
        while (stored := stored_record(self.journal.path, reading_id(reader, study, revision))) is not None:
            (before,) = values_of(stored.body, "rests_on")
            if before == same:
                return revision, True
            self.features.note_reading(manifest, study, revision, before)
            revision += 1
        return revision, False

    # Clips.

    def _features(self, reader: Reader, work: Keyed, of_run: RunFacts) -> Features:
        """Kept ones, or the clip is encoded now. Raises SourceError, LeftError, and errors of ours."""
        found = self.features.of_run(of_run.run_id, reader.encoder)
        if found is not None:
            return found
        clip = _Work(f"clip {of_run.run_id} {reader.encoder[:16]}".encode())
        if self.book.crashes(clip) >= MOST_CRASHES:
            raise SourceError(f"the process ended {MOST_CRASHES} times while it was encoded: report what happens")
        self.book.put_back(work)  # an end of the process is the clip's fault now
        self.book.begin(clip, self._rows())
        try:
            found = self._encoded(reader, of_run)
        except (LeftError, CathrtError):
            self.book.put_back(clip)
            raise
        self.book.forget(clip)
        self.book.begin(work, self._rows())
        return found

    def _encoded(self, reader: Reader, of_run: RunFacts) -> Features:
        run, frames = clip_frames(self._opening(of_run.arrival), reader, self.thread.give_way)
        if run.run_id != of_run.run_id:
            raise SourceError(f"object {of_run.arrival} of the store is not the run that was judged")
        pixels = pixels_sha256(run, frames)
        found = self.features.of_pixels(pixels, reader.encoder)
        encoded = None
        if found is None:
            leave = threading.Event()
            encoded = found = self.thread.do(lambda: reader.encode(run, frames, leave), leave)
            if found is None:
                raise LeftError
            failpoint("study.encoded")
        self.features.keep(of_run.run_id, pixels, reader.encoder, encoded)
        failpoint("study.features_kept")
        return found

    def _known(self, seq: int, pass_id: str, *, opens: bool = True) -> _Known | None:
        """What is known of an object's run; None where it is of no study, or cannot be opened any more."""
        found = self.features.run_of_pass(pass_id)
        if found is not None or not opens:
            return found
        summary = self._summary(pass_id)
        if summary is None:
            return None
        self.thread.told()
        try:
            with closing(self._opening(seq).open()) as source:
                run = source.run
        except OURS:
            raise
        except SourceError as exc:
            _log.warning("a study is read without a run: %s", exc)
            return None
        if run.dicom is None:
            return None
        study, facts = self.store.pseudonym_of(run.dicom.study_instance_uid), facts_of(run, summary, seq)
        self.features.note_run(study, facts)
        return study, facts

    def _summary(self, pass_id: str) -> RunSummary | None:
        for row in self.journal.stored(pass_id):
            record = record_from_body(row.body, record_parts()) if row.type == "run" else None
            if isinstance(record, RunSummary):
                return record
        return None

    def _opening(self, seq: int) -> Opening:
        return opening_of_object(self.store, seq, self.limits)

    def _rows(self) -> int:
        noted = noted_head(self.journal.path)
        return 0 if noted is None else noted.seq
