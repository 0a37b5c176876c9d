"""The rows of a journal that is open for writing: one transaction for each group, marks of time, lookups of rows.

Not for: queue, threads and sinks (journal/writer.py), opening the file (journal/file.py), removing rows at its front
(journal/pruning.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cathrt.runtime.alert import PassStart, Record, StoredRecord, Verdict
from cathrt.runtime.failpoints import failpoint
from cathrt.runtime.journal.errors import translated
from cathrt.runtime.journal.file import OpenJournal, open_for_reading
from cathrt.runtime.journal.pruning import Pruner

CHECKPOINT_ROWS = 1000  # rows between checkpoints; each is made after showing, so that no alert waits for it
MARK_EVERY_S = 60.0  # of rows that come: by these marks the age of a row is known
_ROWS = "SELECT seq, id, kind, body FROM record"


@dataclass(frozen=True, slots=True)
class Entry:
    """A record handed in, with the bytes that are stored of it, and when that was (time.monotonic_ns)."""

    record: Record
    body: bytes
    appended_ns: int

    @property
    def waits(self) -> bool:
        """Whether it may wait for its group: nobody is shown these one by one."""
        return isinstance(self.record, Verdict | PassStart)


@dataclass(frozen=True, slots=True)
class Committed:
    """A group that is durable. to_show: what of it is to be shown, as stored. rows: new ones.

    insert_ns: SQL of the transaction. sync_ns: its COMMIT. Both 0 if every record was stored already.
    """

    to_show: list[StoredRecord]
    rows: int = 0
    insert_ns: int = 0
    sync_ns: int = 0


class Books:
    """The open file as the journal's writer thread uses it. Not thread-safe, but for of_pass()."""

    def __init__(self, opened: OpenJournal, wall: Callable[[], float] = time.time) -> None:
        """wall: seconds since 1970."""
        self._opened, self._connection, self._head = opened, opened.connection, opened.head
        self._wall, self._marked_s = wall, 0.0
        self.pruner = Pruner(opened.connection, opened.anchor)
        self._shown_again: set[int] = set()
        self._rows_since_checkpoint = 0

    def commit(self, group: Sequence[Entry]) -> Committed:
        """Make one group durable and note the head. Raises JournalError: then nothing of it is to be shown."""
        with translated(self._opened.path):
            return self._commit(group)

    def of_pass(self, pass_id: str) -> tuple[StoredRecord, ...]:
        """The durable records of one pass, oldest first. From any thread. Raises JournalError."""
        connection = open_for_reading(self._opened.path)
        try:
            with translated(self._opened.path):
                rows = connection.execute(f"{_ROWS} WHERE pass_id = ? ORDER BY seq", (pass_id,))
                return tuple(map(stored_from_row, rows))
        finally:
            connection.close()

    def checkpoint_if_due(self) -> None:
        """Move the log's rows into the file if there are many. Raises JournalError."""
        if self._rows_since_checkpoint < CHECKPOINT_ROWS:
            return
        with translated(self._opened.path):
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        self._rows_since_checkpoint = 0

    def prune(self) -> None:
        """Do one slice of what the pruner was asked for."""
        self._rows_since_checkpoint += self.pruner.slice()

    def close(self) -> None:
        """Close the file and give its locks back."""
        self._opened.close()

    def _commit(self, group: Sequence[Entry]) -> Committed:
        head = self._head
        to_show: list[StoredRecord] = []
        began = time.perf_counter_ns()
        self._connection.execute("BEGIN IMMEDIATE")
        failpoint("journal.before_insert")
        for entry in group:
            kind, id_ = entry.record.type, entry.record.id
            grown = head.next(kind.encode(), id_.encode(), entry.body)
            inserted = self._connection.execute(
                "INSERT INTO record (seq, id, kind, body, chain) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
                (grown.seq, id_, kind, entry.body.decode(), grown.chain),
            ).rowcount
            if inserted:
                head = grown
                to_show.append(StoredRecord(head.seq, id_, kind, entry.body))
            else:
                to_show += self._stored_before(id_)
            failpoint("journal.mid_transaction")
        rows = head.seq - self._head.seq
        if not rows:
            self._connection.execute("ROLLBACK")
            return Committed(to_show)
        self._connection.execute("UPDATE meta SET head_seq = ?, head_chain = ?", (head.seq, head.chain))
        if abs((now_s := self._wall()) - self._marked_s) >= MARK_EVERY_S:
            self._connection.execute("INSERT INTO mark VALUES (?, ?)", (head.seq, int(now_s)))
            self._marked_s = now_s
        failpoint("journal.before_commit")
        inserted_at = time.perf_counter_ns()
        self._connection.execute("COMMIT")
        synced_at = time.perf_counter_ns()
        failpoint("journal.after_commit")
        self._opened.head_file.write(head)
        self._opened.require_in_place()
        self._head = head
        self._rows_since_checkpoint += rows
        return Committed(to_show, rows, inserted_at - began, synced_at - inserted_at)

    def _stored_before(self, id_: str) -> list[StoredRecord]:
        """The stored record of that id, unless this object has shown it or is about to."""
        stored = stored_from_row(self._connection.execute(f"{_ROWS} WHERE id = ?", (id_,)).fetchone())
        if stored.seq > self._opened.head.seq or stored.seq in self._shown_again:
            return []
        self._shown_again.add(stored.seq)
        return [stored]


def stored_from_row(row: tuple[int, bytes, bytes, bytes]) -> StoredRecord:
    """A row as its sinks get it. row: seq, id, kind, body."""
    seq, id_, kind, body = row
    return StoredRecord(seq, id_.decode(), kind.decode(), body)
