"""The journal: the one durable truth. A record is on the disk before any sink sees it.

The line appends without waiting; one writer thread commits in groups, then shows each group to the sinks in order.
Not for: the transactions (journal/books.py), the file and its checks (journal/file.py, check.py), reading it in
another process (journal/reader.py) or afterwards (journal/report.py).
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from cathrt.runtime.alert import Alert, PassStart, Record, RunSummary, StoredRecord, Verdict
from cathrt.runtime.config import JournalConfig
from cathrt.runtime.errors import JournalError, SinkError
from cathrt.runtime.failpoints import failpoint
from cathrt.runtime.journal.books import Books, Entry
from cathrt.runtime.journal.errors import translated
from cathrt.runtime.journal.file import open_for_reading, open_for_writing, real_path
from cathrt.runtime.journal.head import Head, note_anchor
from cathrt.runtime.journal.records import RecordParts, body_from_record, prepare_records
from cathrt.runtime.journal.shown_sinks import ShownSink
from cathrt.runtime.journal.stats import Costs, JournalStats
from cathrt.runtime.ports import Sink

QUEUE_RECORDS = 4096  # over two minutes at 30 records/s, 3 MB; a disk that stalls longer holds the line up


class Journal:
    """One journal file, open for writing. append() may be called from any thread; sinks are called from the writer's.

    A record whose id is stored already is not stored again: the stored one is shown instead. What is shown is what is
    stored, but for an alert's `late`: that says whether it was live when it was shown. No record is shown twice by one
    Journal object. A sink that raises SinkError is set aside until the journal is opened again; rows and other sinks go
    on, and sync() and close() raise it. The sinks stay the caller's to close.

    unproved: the last row that was not checked at the opening; 0: all were.
    """

    def __init__(
        self,
        path: Path,
        config: JournalConfig,
        sinks: Sequence[Sink] = (),
        *,
        queue_records: int = QUEUE_RECORDS,
        newest: int | None = None,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Open or make the journal at `path` and start its writer; time grows with the rows there are to check.

        newest: check only so many rows now; the caller has the others checked beside (unproved, whole.py).
        now_ns: the clock by which alerts become late.
        Raises JournalError: in use, torn, tampered with, no journal, cannot be written.
        """
        prepare_records(RecordParts())
        self.path = path
        self._group_ns = int(config.group_commit_ms * 1e6)
        self._queue_records = queue_records
        self._now_ns = now_ns
        opened = open_for_writing(path, newest)
        self.unproved = opened.unproved
        self._books = Books(opened)
        self._sinks = [ShownSink(type(sink).__name__, sink) for sink in sinks]

        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)  # the writer waits for it
        self._progress = threading.Condition(self._lock)  # callers wait for it
        self._queue: deque[Entry] = deque()
        self._group: Sequence[Entry] = ()  # taken from the queue, not yet shown
        self._commit_now = False
        self._closing = False
        self._closed = False
        self._stopped = False
        self._failure: BaseException | None = None
        self._appended = self._shown = 0
        self._costs = Costs()
        self._writer = threading.Thread(target=self._write, name="journal", daemon=True)
        self._writer.start()

    def append(self, record: Record) -> None:
        """Hand a record in. Returns at once, unless `queue_records` are waiting for the disk.

        Raises JournalError if the writer has stopped: this record is neither durable nor shown. Raises ValueError if
        the record cannot be written as JSON (records.py).
        """
        entry = Entry(record, body_from_record(record), time.monotonic_ns())
        failpoint("journal.enqueue")
        with self._lock:
            self._refuse_if_stopped()
            if len(self._queue) >= self._queue_records:
                self._wait_for_room()
            self._queue.append(entry)
            self._appended += 1
            if not entry.waits:
                self._commit_now = True
            if self._commit_now or len(self._queue) in (1, self._queue_records):
                self._work.notify()

    def sync(self) -> None:
        """Wait until everything appended so far is durable and every sink has it.

        Raises JournalError if it is not durable; SinkError if it is, but a sink did not take it.
        """
        with self._lock:
            target = self._appended
            self._commit_now = True
            self._work.notify()
            while self._shown < target and not self._stopped:
                self._progress.wait()
            self._refuse_if_stopped()
        self._raise_sink_failures()

    def stored(self, pass_id: str) -> tuple[StoredRecord, ...]:
        """The durable records of one pass, oldest first: what a line that takes up a killed pass must keep to.

        Waits for the disk only if records of that very pass are on their way. Raises JournalError as append() does.
        """
        with self._lock:
            while not self._stopped and any(_is_of(entry.record, pass_id) for entry in (*self._group, *self._queue)):
                self._commit_now = True
                self._work.notify()
                self._progress.wait()
            self._refuse_if_stopped()
        return self._books.of_pass(pass_id)

    def prune(self, through: int) -> None:
        """Remove the rows up to number `through`, in slices, while nothing waits to be committed. Returns at once.

        That they may go is noted, durably and in the caller's thread, before the first of them goes. The last row
        stays. Raises JournalError: no such row, or it cannot be noted.
        """
        anchor = self._anchor_at(through)
        if anchor is not None:
            note_anchor(real_path(self.path), anchor)
        with self._lock:
            self._refuse_if_stopped()
            self._books.pruner.ask(through)
            self._work.notify()

    @property
    def pruned(self) -> int:
        """Rows that this object has removed."""
        return self._books.pruner.removed

    @property
    def prune_failure(self) -> str:
        """Why the last pruning stopped before its end; empty if it did not."""
        return self._books.pruner.failure

    def stats(self) -> JournalStats:
        """Counts and times so far."""
        with self._lock:
            return self._costs.stats(self._appended)

    def close(self) -> None:
        """Write and show what is waiting, then close the file. A second call does nothing. Raises as sync() does."""
        with self._lock:
            if self._closed:
                return
            self._closed = self._closing = True
            self._work.notify()
        self._writer.join()
        try:
            failpoint("journal.close")
        finally:
            self._books.close()
        with self._lock:
            self._refuse_if_failed()
        self._raise_sink_failures()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
            return
        try:
            self.close()
        except (JournalError, SinkError) as second:
            error.add_note(f"closing the journal also failed: {second}")

    # The caller's side.

    def _anchor_at(self, through: int) -> Head | None:
        """The row up to which is pruned; None if it is pruned already."""
        connection = open_for_reading(self.path)
        try:
            with translated(self.path):
                (last,) = connection.execute("SELECT max(seq) FROM record").fetchone()
                found = connection.execute("SELECT chain FROM record WHERE seq = ?", (through,)).fetchone()
        finally:
            connection.close()
        if last is None or through >= last:
            raise JournalError(f"{self.path}: asked to prune up to row {through}, expected one before the last, {last}")
        return None if found is None else Head(through, found[0])

    # The caller's side, with the lock held.

    def _wait_for_room(self) -> None:
        started = time.monotonic_ns()
        while len(self._queue) >= self._queue_records and not self._stopped:
            self._progress.wait()
        self._costs.blocked(time.monotonic_ns() - started)
        self._refuse_if_stopped()

    def _refuse_if_stopped(self) -> None:
        self._refuse_if_failed()
        if self._closing:
            raise JournalError(f"{self.path}: the journal is closed: open it again to append")

    def _refuse_if_failed(self) -> None:
        cause = self._failure
        if cause is None:
            return
        what = str(cause) if isinstance(cause, JournalError) else f"{self.path}: {type(cause).__name__}: {cause}"
        raise JournalError(
            f"{what} [the journal has stopped: {self._appended - self._shown} of {self._appended} records appended "
            "were not shown; the same replay into it completes it]"
        ) from cause

    def _raise_sink_failures(self) -> None:
        failed = [sink for sink in self._sinks if sink.failure is not None]
        if failed:
            listed = "; ".join(f"{sink.name}: {sink.failure}" for sink in failed)
            raise SinkError(f"{listed} (every record is in the journal {self.path})") from failed[0].failure

    # The writer's side: everything below runs in the writer's thread.

    def _write(self) -> None:
        try:
            while (group := self._next_group()) != []:
                if group is None:
                    self._books.prune()
                    self._books.checkpoint_if_due()
                    continue
                committed = self._books.commit(group)
                if committed.rows:
                    with self._lock:
                        self._costs.committed(len(group), committed.rows, committed.insert_ns, committed.sync_ns)
                self._show(group, committed.to_show)
                self._books.checkpoint_if_due()
        except JournalError as exc:
            self._failure = exc
        finally:
            with self._lock:
                # Any other exception is a bug, ours or a sink's: it goes on to the thread's excepthook as well.
                self._failure = self._failure or sys.exception()
                self._stopped = True
                self._progress.notify_all()

    def _next_group(self) -> list[Entry] | None:
        """Wait until a group is due and take it; empty once the journal is closing and all is written.

        None: nothing is due yet, and a slice of pruning is.
        """
        with self._lock:
            while not self._queue and not self._closing:
                self._commit_now = False
                rest_s = self._books.pruner.wait_s
                if rest_s == 0.0:
                    return None
                self._work.wait(rest_s)
            while not (self._commit_now or self._closing or len(self._queue) >= self._queue_records):
                left_ns = self._queue[0].appended_ns + self._group_ns - time.monotonic_ns()
                if left_ns <= 0:
                    break
                rest_s = self._books.pruner.wait_s
                if rest_s == 0.0:
                    return None
                self._work.wait(left_ns / 1e9 if rest_s is None else min(left_ns / 1e9, rest_s))
            self._group = group = list(self._queue)
            self._queue.clear()
            self._commit_now = False
            self._progress.notify_all()
            return group

    def _show(self, group: Sequence[Entry], to_show: Sequence[StoredRecord]) -> None:
        failpoint("journal.before_emit")
        for number, shown in enumerate(self._sinks):
            if number:
                failpoint("journal.between_sinks")
            shown.deliver(to_show, self._now_ns)
        failpoint("journal.after_emit")
        shown_ns = time.monotonic_ns()
        with self._lock:
            self._shown += len(group)
            self._group = ()
            self._costs.shown(shown_ns - entry.appended_ns for entry in group if not entry.waits)
            self._progress.notify_all()


def _is_of(record: Record, pass_id: str) -> bool:
    return isinstance(record, PassStart | Verdict | Alert | RunSummary) and record.pass_id == pass_id
