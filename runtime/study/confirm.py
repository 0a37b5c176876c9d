"""Judges each waiting run once, at full speed, into the study's journal: the confirmed results.

A run that is cut short (a stop, a kill, a received run that goes first) is taken up where it was: the journal knows its
pass. Not for: which run is next (run_queue.py), what a frame's verdict is (line/), what is made of studies
(endings.py, reading.py, drafting.py).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from cathrt.runtime.alert import Outcome, Refusal, RunSummary
from cathrt.runtime.config import Config
from cathrt.runtime.errors import CathrtError, EngineError, EngineLostError, SourceError
from cathrt.runtime.frame import Frame, LostFrame, Run
from cathrt.runtime.identity import record_id
from cathrt.runtime.journal.head import noted_head
from cathrt.runtime.journal.process_start import process_start
from cathrt.runtime.journal.records import values_of
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.line.openings import each_opened
from cathrt.runtime.line.pipeline import Line
from cathrt.runtime.line.replay import Replayed, replay
from cathrt.runtime.ports import Source
from cathrt.runtime.sources.decoder.process import NotStartedError
from cathrt.runtime.sources.decoder.run_reply import KilledError, SilentError
from cathrt.runtime.sources.decoder.sandbox import opening_of
from cathrt.runtime.study.intake_book import IntakeBook, IntakeError
from cathrt.runtime.study.patience import Patience
from cathrt.runtime.study.run_queue import RunQueue
from cathrt.runtime.study.waiting import WaitingRun

_log = logging.getLogger(__name__)

POLL_S = 0.05  # between two looks at a store that has nothing new
MOST_CRASHES = 3  # ends of the process at one run, at the same frame; then the run is set aside
RETRY_AFTER_S = (2.0, 30.0, 300.0)  # before each further judging of a run that failed for a reason of ours
_LOOK_EVERY = 8  # frames of a file between two looks whether a received run waits
_PROGRESS = 64  # frames that a file gets further before it gives way again, however many runs are received
_ENGINE_S = 120.0  # longest to open the engines anew; before they are open the first time, the process is starting
_STEP_S = 30.0  # longest for one frame's inference, or one sync of the journal, on a machine that is busy
# Refusals that another try may spare: the input may be whole.
_OURS = frozenset(error.__name__ for error in (EngineError, EngineLostError, KilledError, NotStartedError, SilentError))


class SetAsideError(SourceError):
    """A run at which the process has ended again and again."""


class _GivesWayError(Exception):
    """The run in hand is left before its next frame; the journal has what was judged."""


class _Ending(Enum):
    """DONE: judged, refused or set aside. LEFT: it goes on later. FAILED: for a reason of ours."""

    DONE = 1
    LEFT = 2
    FAILED = 3


Judged = Callable[[WaitingRun, RunSummary], None]


class StudyWork(Protocol):
    """What becomes of a study's confirmed runs: its end is noted, it is read, it is drafted."""

    def go_on(self) -> bool:
        """Do one piece of work, and leave it soon once a received run waits. Returns whether there was any."""


@dataclass(frozen=True, slots=True)
class Confirming:
    """What stays the same from run to run.

    stop: set where the process is to end well. watchers: the threads that look at folders. on_studies: what is done
    while no received run waits, and before files: a piece of the first that has any to do. judged: is told of each run
    that is confirmed.
    """

    queue: RunQueue
    book: IntakeBook
    journal: Journal
    config: Config
    stop: threading.Event
    patience: Patience
    watchers: Sequence[threading.Thread] = ()
    on_studies: Sequence[StudyWork] = ()
    judged: Sequence[Judged] = ()

    def run(self, open_line: Callable[[], AbstractContextManager[Line]]) -> None:
        """Judge what waits, until stop is set. open_line: loads the engines. Raises CathrtError.

        After a run that failed for a reason of ours the engines are opened anew; one that is lost is then noticed.
        """
        self.book.count_crash(self._rows())
        self.journal.append(process_start("study"))
        self.journal.sync()  # a run that is begun counts the rows behind it
        while not self.stop.is_set():
            with open_line() as line:
                self._until_failure(line)
                self.patience.allow(_ENGINE_S)

    def _until_failure(self, line: Line) -> None:
        positions: dict[bytes, int] = {}  # how far a file has come that gave way
        while not self.stop.is_set():
            self.patience.allow(_STEP_S)
            run = self.queue.next_urgent()
            if run is None and any(work.go_on() for work in self.on_studies):
                continue
            run = run or self.queue.next_file()
            if run is None:
                if not all(watcher.is_alive() for watcher in self.watchers):
                    raise RuntimeError("a watched folder is not looked at any more: its thread has said why")
                self.stop.wait(POLL_S)
            elif self._judged(run, line, positions) is _Ending.FAILED:
                return

    def _judged(self, run: WaitingRun, line: Line, positions: dict[bytes, int]) -> _Ending:
        if self.book.crashes(run) >= MOST_CRASHES:
            self._set_aside(run, line)
            return _Ending.DONE
        self.book.begin(run, self._rows())
        try:
            opening = opening_of(run.input, self.config.limits)
            watched = each_opened([opening], lambda _, source: _Watched(source, self, run, positions))
            self.patience.allow(self.config.limits.first_frame_s + _STEP_S)
            replayed = replay(watched, line, self.journal)
        except _GivesWayError:
            self.book.put_back(run)
            if not self.stop.is_set():
                self.queue.go_on_later(run)
            return _Ending.LEFT
        except CathrtError:  # the journal's disk, not this run
            with suppress(IntakeError):
                self.book.put_back(run)
            raise
        positions.pop(run.key, None)
        return self._ended(run, replayed)

    def _ended(self, run: WaitingRun, replayed: Replayed) -> _Ending:
        failed, ours = self._failed(replayed)
        if failed and not run.is_as_found():
            self.book.put_back(run)
            self.queue.look_again(run)
            return _Ending.LEFT
        if ours:
            failures = self.book.failed(run)
            if failures <= len(RETRY_AFTER_S):
                wait_s = RETRY_AFTER_S[failures - 1]
                _log.warning("%s failed for a reason of ours: it is judged again in %g s", run.name, wait_s)
                self.queue.try_later(run, wait_s)
                return _Ending.FAILED
            _log.warning("%s failed %d times for a reason of ours: its last verdicts stand", run.name, failures)
        summary = replayed.summaries[-1] if replayed.summaries else None
        self.book.end(run, "" if summary is None else summary.pass_id)
        if summary is not None:
            for told in self.judged:
                told(run, summary)
        return _Ending.DONE

    def _failed(self, replayed: Replayed) -> tuple[bool, bool]:
        """Whether the run was refused or frames of it failed; and whether that was for a reason of ours."""
        if replayed.refusals:
            return True, any(refusal.error in _OURS for refusal in replayed.refusals)
        if not any(summary.verdicts[Outcome.FAILED] for summary in replayed.summaries):
            return False, False
        stored = (row for summary in replayed.summaries for row in self.journal.stored(summary.pass_id))
        return True, any(row.type == "verdict" and values_of(row.body, "retry") == (True,) for row in stored)

    def _set_aside(self, run: WaitingRun, line: Line) -> None:
        message = (
            f"{run.name}: the process ended {MOST_CRASHES} times while it was judged, at the same frame: set aside; "
            "judge it with cathrt replay, and report what happens"
        )
        _log.error("%s", message)
        refusal = Refusal(
            id=record_id("refusal", run.name, message),
            source=run.name,
            error=SetAsideError.__name__,
            message=message,
            notice=line.notice,
        )
        self.journal.append(refusal)
        self.journal.sync()
        self.book.end(run, "")

    def _rows(self) -> int:
        """Durable rows of the journal."""
        noted = noted_head(self.journal.path)
        return 0 if noted is None else noted.seq


class _Watched:
    """The source of the run in hand, left before its next frame where the process stops or a received run waits.

    Only files give way, and only once they got further than the time before.
    """

    def __init__(self, source: Source, confirming: Confirming, run: WaitingRun, positions: dict[bytes, int]) -> None:
        self._source, self._confirming, self._run, self._positions = source, confirming, run, positions

    @property
    def run(self) -> Run:
        return self._source.run

    def frames(self) -> Iterator[Frame | LostFrame]:
        limits, patience = self._confirming.config.limits, self._confirming.patience
        for item in self._source.frames():
            patience.allow(limits.first_frame_s + _STEP_S)
            if self._confirming.stop.is_set():
                raise _GivesWayError
            if self._gives_way(item.index):
                self._positions[self._run.key] = item.index
                raise _GivesWayError
            yield item

    def _gives_way(self, index: int) -> bool:
        if self._run.received is not None or index % _LOOK_EVERY:
            return False
        before = self._positions.get(self._run.key)
        return (before is None or index >= before + _PROGRESS) and self._confirming.queue.received_waits()

    def close(self) -> None:
        self._source.close()
