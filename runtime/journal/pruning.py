"""Removes rows at the front of a journal that is open for writing, in slices short enough for an alert to wait for one.

A slice is one small transaction of the journal's writer thread, made while nothing waits to be committed. It is not
synced by itself: one that a power cut takes back is made again. Freed pages are used again by new rows; where many are
free, they are given back to the disk, a few in a slice. Not for: which rows may go (runtime/retention/), and the note
of the anchor, which comes first (head.note_anchor).
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from cathrt.runtime.failpoints import failpoint
from cathrt.runtime.journal.head import Head

SLICE_MS = 4.0  # what a slice should take at most; the next one has fewer rows if it took longer
REST = 9  # times as long as a slice took, no slice follows: pruning has a tenth of the writer's time
_LEAST_REST_MS = 20.0
_FEWEST_ROWS, _MOST_ROWS = 4, 256
_PAGES = 32  # that are given back in one slice
_MANY_FREE = 1024  # pages; fewer are left for new rows
_FREE_PART = 4  # more than a fourth of the file free: given back


class Pruner:
    """What is left to prune, and when. Used by the writer's thread, but for ask().

    removed: rows so far. failure: why it stopped before its end; "" while it did not.
    """

    def __init__(
        self, connection: sqlite3.Connection, anchor: Head, now_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._connection, self._now_ns = connection, now_ns
        self._through, self._shrinks = 0, False
        self._rows, self._due_ns = _FEWEST_ROWS, 0
        self.anchor = anchor
        self.removed = 0
        self.failure = ""

    def ask(self, through: int) -> None:
        """Prune up to row `through`, and give free pages back if there are many. From any thread."""
        self._through, self._shrinks, self.failure = max(through, self._through), True, ""

    @property
    def wait_s(self) -> float | None:
        """How long until a slice is due; None where there is nothing to do."""
        if self.anchor.seq >= self._through and not self._shrinks:
            return None
        return max(0.0, (self._due_ns - self._now_ns()) / 1e9)

    def slice(self) -> int:
        """Do one slice. Returns how many rows it removed. What SQLite refuses ends it, and not the journal."""
        began_ns = self._now_ns()
        before = self.anchor.seq
        try:
            with _unsynced(self._connection):
                if self.anchor.seq < self._through:
                    self._remove()
                else:
                    self._give_back()
        except sqlite3.Error as exc:
            self._through, self._shrinks, self.failure = self.anchor.seq, False, str(exc)
        took_ns = self._now_ns() - began_ns
        self._due_ns = began_ns + took_ns + max(REST * took_ns, int(_LEAST_REST_MS * 1e6))
        slow, quick = took_ns > SLICE_MS * 1e6, took_ns < SLICE_MS * 1e6 / 2
        self._rows = min(_MOST_ROWS, max(_FEWEST_ROWS, self._rows // 2 if slow else self._rows * (1 + quick)))
        self.removed += self.anchor.seq - before
        return self.anchor.seq - before

    def _remove(self) -> None:
        database = self._connection
        database.execute("BEGIN IMMEDIATE")
        try:
            last = min(self.anchor.seq + self._rows, self._through)
            ((chain,),) = database.execute("SELECT chain FROM record WHERE seq = ?", (last,)).fetchall()
            database.execute("UPDATE meta SET anchor_seq = ?, anchor_chain = ?", (last, chain))
            failpoint("journal.anchor_moved")
            database.execute("DELETE FROM record WHERE seq <= ?", (last,))
            database.execute("DELETE FROM mark WHERE seq <= ?", (last,))
            failpoint("journal.front_removed")
            database.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # SQLite may have rolled it back itself
                database.execute("ROLLBACK")
            raise
        failpoint("journal.pruned")
        self.anchor = Head(last, chain)

    def _give_back(self) -> None:
        """A few free pages, if many are free. A journal that was made as an earlier schema has none to give."""
        pages, free, mode = (self._pragma(name) for name in ("page_count", "freelist_count", "auto_vacuum"))
        self._shrinks = bool(mode) and free > _MANY_FREE and free * _FREE_PART > pages
        if self._shrinks:
            # Each page is a row of the statement, of which execute() would take one.
            self._connection.executescript(f"PRAGMA incremental_vacuum({_PAGES});")
            failpoint("journal.given_back")

    def _pragma(self, name: str) -> int:
        return int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])


@contextmanager
def _unsynced(connection: sqlite3.Connection) -> Iterator[None]:
    """Transactions of this block are on the disk with the next one after it, and whole or not at all before."""
    connection.execute("PRAGMA synchronous=NORMAL")
    try:
        yield
    finally:
        connection.execute("PRAGMA synchronous=FULL")
