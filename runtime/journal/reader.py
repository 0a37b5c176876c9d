"""Following a journal from another process: its durable rows, in order, in transactions of one batch each.

A reader keeps its own place, in a file of its own, so the writer knows nothing of its readers and waits for none.
Not for: the books of whole passes (journal/report.py), sinks in the writer's process (journal/writer.py).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cathrt.runtime.alert import StoredRecord
from cathrt.runtime.errors import JournalError
from cathrt.runtime.failpoints import failpoint
from cathrt.runtime.journal.check import Row, anchor_in
from cathrt.runtime.journal.errors import PrunedError, translated
from cathrt.runtime.journal.file import open_for_reading, real_path
from cathrt.runtime.journal.head import Head, HeadFile, head_path, link, noted_head
from cathrt.runtime.journal.lateness import as_shown
from cathrt.runtime.journal.lock import HoldingConnection, Lock
from cathrt.runtime.ports import Sink

BATCH_ROWS = 256  # about 300 kB: a transaction of a millisecond or two
POLL_MS = 20.0  # between two looks at the head file of a journal that has nothing new


@dataclass(frozen=True, slots=True)
class Followed:
    """One durable row as a reader gets it. place: where the reader is once it has taken the row."""

    stored: StoredRecord
    place: Head


class JournalReader:
    """Reads one journal beside the process that writes it, or while none does. Not thread-safe.

    It reads no further than the journal's head is noted, which the writer does after each sync: a row that is in the
    file already and might be lost in a power cut is not read. Between two calls it holds no transaction, so a reader
    that stands still does not make the journal's log grow.
    """

    def __init__(self, path: Path) -> None:
        """The journal need not exist yet. Nothing is opened before the first read."""
        self.path = path
        self._connection: HoldingConnection | None = None

    def follow(self, after: Head, stop: threading.Event, poll_ms: float = POLL_MS) -> Iterator[Followed]:
        """Yield each durable row after the place `after`, in order, and wait for more.

        Ends once `stop` is set and what is durable has been yielded. Raises JournalError as read() does. From the start
        on (row 0), the first row is the oldest that is there: those before it may have been pruned.
        """
        place = after
        while True:
            last_look = stop.is_set()
            batch = self.read(place)
            for followed in batch:
                yield followed
                place = followed.place
            if len(batch) == BATCH_ROWS:
                continue
            if last_look:
                return
            stop.wait(poll_ms / 1000.0)

    def read(self, after: Head) -> list[Followed]:
        """The durable rows after the place `after`, at most BATCH_ROWS; none if nothing is new or no journal is there.

        Raises JournalError: `after` is a place in another journal, a row is not what was written, rows that were
        durable are gone, the file is no journal or cannot be read. PrunedError: rows behind `after` were pruned.
        """
        with translated(self.path):
            try:
                return self._read(after)
            except _NotedRowMissingError:
                self.close()  # the head file was read half written, or files were put in place: look once more
                return self._read(after)

    def place_at(self, seq: int) -> Head | None:
        """The place behind row `seq`; None if the journal has no such row, or is not there yet. Row 0 is the start.

        For readers that keep a row's number, or its number and a part of its hash: they compare. The row may be one
        that is not noted as durable: after a power cut the note lags. Raises JournalError: no journal, unreadable.
        PrunedError: it was pruned, and rows behind it too.
        """
        if seq == 0:
            return Head()
        with translated(self.path):
            connection = self._connected(Head())
            if connection is None:
                return None
            found = connection.execute("SELECT chain FROM record WHERE seq = ?", (seq,)).fetchall()
            anchor = anchor_in(connection)
        if not found and anchor.seq >= seq:
            self._require_unpruned(seq, anchor)
            return anchor
        return Head(seq, found[0][0]) if found else None

    def start(self) -> Head:
        """The place before the oldest row that is there: behind what was pruned. Raises JournalError as end() does."""
        with translated(self.path):
            connection = self._connected(Head())
            return Head() if connection is None else anchor_in(connection)

    def end(self) -> Head:
        """The place behind the last row that is noted as durable; the start if there is none, or no journal yet.

        Raises JournalError: no journal, unreadable. That the row is there is checked when the next one is read.
        """
        with translated(self.path):
            connection = self._connected(Head())
            return Head() if connection is None else self._noted() or Head()

    def close(self) -> None:
        """Close the file. A later read opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self, after: Head) -> HoldingConnection | None:
        """The connection, made anew if another file has the journal's name now; None if there is no journal yet."""
        if self._connection is not None and self._connection.file is not None:
            if self._connection.file.is_at(self.path):
                return self._connection
            self.close()
        if not self.path.exists():
            if after.seq:
                raise JournalError(
                    f"{self.path}: no such file, expected the journal that this reader has read up to row {after.seq}: "
                    "put it back, or let the reader start from the first row"
                )
            return None
        self._connection = open_for_reading(self.path)
        return self._connection

    def _noted(self) -> Head | None:
        """How far the journal is durable; None if its writer has not said so yet."""
        noted = noted_head(real_path(self.path))
        # The head file is made before the journal, so one that is missing beside a journal was lost.
        if noted is None and not head_path(real_path(self.path)).exists():
            raise JournalError(
                f"{self.path}: {head_path(self.path).name} is missing, expected beside it, since rows are read only as "
                "far as it notes them as durable: put it back, or open the journal once for writing"
            )
        return noted

    def _read(self, after: Head) -> list[Followed]:
        connection = self._connected(after)
        noted = None if connection is None else self._noted()
        failpoint("reader.noted")
        if connection is None or noted is None or noted == after:
            return []
        chains, rows, anchor = _in_one_transaction(connection, after, noted)
        failpoint("reader.fetched")
        if chains.get(noted.seq) != noted.chain:
            raise _NotedRowMissingError(
                f"{self.path}: row {noted.seq}: {head_path(self.path).name} notes it as durable, and the file lacks it "
                "or holds another one: keep the files for examination and start a new journal"
            )
        self._require_unpruned(after.seq, anchor)
        if chains.get(after.seq) != after.chain:
            raise JournalError(
                f"{self.path}: row {after.seq} is not the one that this reader has read: another journal is in its "
                "place: put the old one back, or let the reader start from the first row"
            )
        place, followed = after if after.seq else anchor, []
        for row in rows:  # none where the note lags behind what was read: a power cut, and no writer since
            if (row.seq, row.chain) != (place.seq + 1, link(place.chain, row.kind, row.id, row.body)):
                raise JournalError(
                    f"{self.path}: row {place.seq + 1} is missing or is not what was written: "
                    "keep the file for examination and start a new journal"
                )
            place = Head(row.seq, row.chain)
            followed.append(Followed(StoredRecord(row.seq, row.id.decode(), row.kind.decode(), row.body), place))
        return followed

    def _require_unpruned(self, seq: int, anchor: Head) -> None:
        """Whoever has read nothing yet begins with the oldest row; whoever goes on must not skip any unawares."""
        if 0 < seq < anchor.seq:
            raise PrunedError(
                f"{self.path}: rows {seq + 1} to {anchor.seq} were pruned before this reader, which has read up to row "
                f"{seq}, took them: begin without a place for the oldest row there is, or with the newest; a backup "
                "may have them"
            )


class _NotedRowMissingError(JournalError):
    """The head file and the file do not agree; once is no proof, since the two are not read at one moment."""


class ReaderPlace:
    """How far a reader has come, kept in a file of the reader's own; one reader a file.

    Move it when what was taken is safe on the reader's side. After a crash the rows since the last move come again,
    with the same ids, and none is left out. A reader that keeps its place in the transaction that stores what it has
    taken needs no such file and gets each row exactly once.
    """

    def __init__(self, path: Path) -> None:
        """Raises JournalError: another reader has it, it cannot be read or written."""
        self._file = HeadFile(path, lock=Lock("reader", path))
        self._path = path
        self.place = self._file.noted or Head()

    def move(self, place: Head) -> None:
        """Note that everything up to `place` is taken. One small write, not synced. Raises JournalError."""
        with translated(self._path):
            self._file.write(place)
        self.place = place

    def close(self) -> None:
        """Give the file back."""
        self._file.close()


def deliver(
    followed: Iterable[Followed], sink: Sink, place: ReaderPlace, now_ns: Callable[[], int] = time.monotonic_ns
) -> None:
    """Hand each row to the sink and move the place behind it. Raises SinkError as the sink does: the place stays.

    now_ns: the clock by which alerts become late.
    """
    for each in followed:
        sink.emit(as_shown(each.stored, now_ns()))
        failpoint("reader.taken")
        place.move(each.place)
        failpoint("reader.moved")


def _in_one_transaction(
    connection: HoldingConnection, after: Head, noted: Head
) -> tuple[dict[int, bytes], list[Row], Head]:
    """The chains of rows `after` and `noted`, a batch of rows between them, and the anchor, as of one moment."""
    connection.execute("BEGIN")
    try:
        vouched = connection.execute("SELECT seq, chain FROM record WHERE seq IN (?, ?)", (after.seq, noted.seq))
        anchor = anchor_in(connection)
        chains = {0: Head().chain, anchor.seq: anchor.chain, **dict(vouched.fetchall())}
        failpoint("reader.in_transaction")
        rows = connection.execute(
            "SELECT seq, id, kind, body, chain FROM record WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
            (after.seq, noted.seq, BATCH_ROWS),
        ).fetchall()
    finally:
        connection.execute("ROLLBACK")
    return chains, [Row(*row) for row in rows], anchor
