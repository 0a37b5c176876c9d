"""Writes a draft at each end of a study, and looks at key frames before it, while no received run waits.

A received run that comes goes first: the draft is left within a token and goes on afterwards. Each study and revision
is drafted once, over stops and kills: the journal knows its record. Not for: which study is next (study_ends.py), what
a draft says (models/).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from cathrt.runtime.alert import Draft, RunSummary, StudyDraft, StudyFindings
from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import CathrtError, ConfigError, EngineError, ManifestError, SourceError
from cathrt.runtime.failpoints import failpoint
from cathrt.runtime.journal.head import noted_head
from cathrt.runtime.journal.lookups import stored_record
from cathrt.runtime.journal.records import record_from_body
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.model_kind import FrameOfRun, StudyRun, Writer
from cathrt.runtime.models import record_parts
from cathrt.runtime.ports import Opening
from cathrt.runtime.sources.decoder.process import NotStartedError
from cathrt.runtime.sources.decoder.run_reply import KilledError, SilentError
from cathrt.runtime.sources.decoder.sandbox import opening_of
from cathrt.runtime.study.intake_book import IntakeBook, IntakeError
from cathrt.runtime.study.model_thread import LeftError, ModelThread
from cathrt.runtime.study.received_runs import Store, opening_of_object
from cathrt.runtime.study.study_ends import DRAFTS, StudyEnds, WaitingEnd
from cathrt.runtime.study.study_runs import frame_of, gravest_notice, study_run, without_frame
from cathrt.runtime.study.waiting import WaitingRun

_log = logging.getLogger(__name__)

MOST_CRASHES = 3  # ends of the process at one draft; then it is withheld
RETRY_AFTER_S = (2.0, 30.0, 300.0)  # before each further try at a draft that failed for a reason of ours
_MOST_UNSEEN = 64  # runs whose key frames wait to be looked at; of older ones the draft looks itself
# What another try may spare.
OURS = (EngineError, ManifestError, ConfigError, KilledError, NotStartedError, SilentError)


@dataclass(frozen=True, slots=True)
class _Looking:
    """Loading the networks and looking at pictures before any draft, as work that may end the process."""

    key: bytes = b"looking"


@dataclass(frozen=True, slots=True)
class _Confirmed:
    """The study's runs as the journal has them, each once, in the order of their arrival. objects: which of the store's
    each is, by run_id. unjudged: runs that the journal has as refusals."""

    summaries: tuple[RunSummary, ...]
    objects: dict[str, int]
    unjudged: int


@dataclass(slots=True)
class Drafts:
    """One thread uses it. close() it at the end.

    writer: of the drafts; all of it that takes long is done in `thread`. wall: seconds since 1970. readings: of a study
    at this revision of its end, by models whose findings a draft may state.
    """

    writer: Writer
    ends: StudyEnds
    store: Store
    book: IntakeBook
    journal: Journal
    limits: LimitsConfig
    thread: ModelThread
    wall: Callable[[], float] = time.time
    now_s: Callable[[], float] = time.monotonic
    readings: Callable[[str, int], Sequence[StudyFindings]] = lambda study, ended: ()
    _unseen: deque[tuple[WaitingRun, StudyRun]] = field(default_factory=lambda: deque(maxlen=_MOST_UNSEEN))
    _prepared: bool = False
    _failures: int = 0  # in a row, outside drafts
    _not_before_s: float = 0.0

    def judged(self, run: WaitingRun, summary: RunSummary) -> None:
        """A run of the store is confirmed: its key frames are looked at when there is time."""
        if run.received is not None:
            self._unseen.append((run, study_run(summary)))

    def go_on(self) -> bool:
        """Do one piece of work: write the draft that is due, or load the networks, or look at one run's key frames.

        Returns whether there was any. Raises JournalError, StoreError, IntakeError.
        """
        if self.now_s() < self._not_before_s:
            return False
        waiting = self.ends.next()
        if waiting is not None:
            self._draft(waiting)
            return True
        return self._look()

    def close(self) -> None:
        """Give the networks back. Idempotent."""
        self.thread.close(self.writer.close)

    # Drafts.

    def _draft(self, waiting: WaitingEnd) -> None:
        if stored_record(self.journal.path, waiting.id) is not None:
            self.book.done_with_end(waiting, DRAFTS, waiting.end.seq)
            return
        confirmed = self._confirmed(waiting)
        if (reason := self._why_not(waiting)) is not None:
            self._keep(waiting, confirmed, self.writer.withheld(reason))
            return
        self.book.begin(waiting, self._rows())
        try:
            draft = self._tried(waiting, confirmed)
            if draft is not None:
                self._keep(waiting, confirmed, draft)
        except LeftError:
            self.book.put_back(waiting)
        except CathrtError:  # the journal's disk, the store
            with suppress(IntakeError):
                self.book.put_back(waiting)
            raise

    def _why_not(self, waiting: WaitingEnd) -> str | None:
        """Why there is to be no draft, whatever the pictures show."""
        if waiting.end.flags:
            return f"{', '.join(waiting.end.flags)}: whose study this is has to be settled first"
        if self.book.crashes(waiting) >= MOST_CRASHES:
            return f"the process ended {MOST_CRASHES} times while the draft was written: report what happens"
        return None

    def _confirmed(self, waiting: WaitingEnd) -> _Confirmed:
        objects: dict[str, int] = {}
        summaries: list[RunSummary] = []
        passes = self.book.passes_of(waiting.end.objects)
        for seq, pass_id in passes:
            for row in self.journal.stored(pass_id):
                record = record_from_body(row.body, record_parts()) if row.type == "run" else None
                if isinstance(record, RunSummary) and record.run_id not in objects:
                    objects[record.run_id] = seq
                    summaries.append(record)
        return _Confirmed(tuple(summaries), objects, sum(not pass_id for _, pass_id in passes))

    def _tried(self, waiting: WaitingEnd, confirmed: _Confirmed) -> Draft | None:
        """None where it failed and is written again later. Raises LeftError."""
        try:
            return self._written(waiting, confirmed)
        except OURS as exc:
            return self._failed(waiting, exc)

    def _written(self, waiting: WaitingEnd, confirmed: _Confirmed) -> Draft:
        """Raises LeftError."""
        known = [study_run(summary) for summary in confirmed.summaries]
        while wanted := self.writer.lacks(known):
            self._see(wanted[0], partial(self._opening, confirmed.objects[wanted[0].run_id]), known)
        leave = threading.Event()
        found = [one.reading.findings for one in self.readings(waiting.study, waiting.end.revision)]
        draft = self.thread.do(lambda: self.writer.write(waiting.study, known, leave, self.thread.told, found), leave)
        if draft is None:
            raise LeftError
        return draft

    def _failed(self, waiting: WaitingEnd, exc: CathrtError) -> Draft | None:
        """The draft that says so, after the last try; None where there is another one."""
        self.thread.do(self.writer.close)
        failures = self.book.work_failed(waiting)
        if failures <= len(RETRY_AFTER_S):
            wait_s = RETRY_AFTER_S[failures - 1]
            self._not_before_s = self.now_s() + wait_s
            _log.warning("the draft of study %s failed: %s: it is written again in %g s", waiting.study, exc, wait_s)
            return None
        _log.warning("the draft of study %s failed %d times: it is withheld", waiting.study, failures)
        why = "a key frame could not be read again" if isinstance(exc, SourceError) else exc  # that one names the run
        return self.writer.withheld(f"{type(exc).__name__}: {why}")

    def _keep(self, waiting: WaitingEnd, confirmed: _Confirmed, draft: Draft) -> None:
        """Make it durable, then note that it is."""
        record = StudyDraft(
            id=waiting.id,
            study=waiting.study,
            revision=waiting.end.revision,
            run_ids=tuple(confirmed.objects),
            unjudged=confirmed.unjudged,
            after_study_s=max(0.0, self.wall() - waiting.end.ended_at),
            draft=draft,
            notice=gravest_notice(self.writer, confirmed.summaries, self.readings(waiting.study, waiting.end.revision)),
        )
        failpoint("study.drafted")
        self.journal.append(record)
        self.journal.sync()
        failpoint("study.draft_durable")
        self.book.done_with_end(waiting, DRAFTS, waiting.end.seq)
        self.book.forget(_Looking())

    # Key frames.

    def _look(self) -> bool:
        """Load the networks, or look at the key frames of one run. Returns whether there was anything to do."""
        if (self._prepared and not self._unseen) or self.book.crashes(_Looking()) >= MOST_CRASHES:
            return False
        self.book.begin(_Looking(), self._rows())
        try:
            if self._prepared:
                run, of_study = self._unseen[0]
                for wanted in self.writer.lacks([of_study]):
                    self._see(wanted, partial(opening_of, run.input, self.limits), [of_study])
                self._unseen.popleft()
            else:
                self.thread.do(self.writer.prepare)
                self._prepared = True
            self._failures = 0
            self.book.forget(_Looking())
        except LeftError:
            self.book.put_back(_Looking())
        except OURS as exc:
            self.thread.do(self.writer.close)
            self.book.put_back(_Looking())
            wait_s = RETRY_AFTER_S[min(self._failures, len(RETRY_AFTER_S) - 1)]
            self._failures += 1
            if self._failures > len(RETRY_AFTER_S):  # it is left to the drafts
                self._prepared = True
                self._unseen.clear()
            self._not_before_s = self.now_s() + wait_s
            _log.warning("drafts cannot be made ready: %s", exc)
        return True

    def _see(self, which: FrameOfRun, open_: Callable[[], Opening], known: list[StudyRun]) -> None:
        """Have the writer look at a frame; one that cannot be read again is left out of `known`. Raises LeftError."""
        self.thread.told()
        try:
            run, frame = frame_of(open_(), which.frame_index, self.thread.give_way)
            self.thread.do(lambda: self.writer.see(which, run, frame))
        except (KilledError, NotStartedError, SilentError):
            raise
        except SourceError as exc:
            _log.warning("a draft goes without key frame %d: %s", which.frame_index, exc)
            known[:] = [without_frame(one, which.frame_index) if one.run_id == which.run_id else one for one in known]

    def _opening(self, seq: int) -> Opening:
        return opening_of_object(self.store, seq, self.limits)

    def _rows(self) -> int:
        noted = noted_head(self.journal.path)
        return 0 if noted is None else noted.seq
