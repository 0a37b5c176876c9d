"""What the study process has judged and what it was doing when it ended: one small SQLite file beside the journal.

It moves on only once a run, or a draft, is durable in the journal. Judging a run again is harmless, since the journal
knows its pass; so a book that lags, or is lost, costs time and nothing else. Not for: results (the journal).
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cathrt.runtime.errors import CathrtError
from cathrt.runtime.outside.disk import transaction
from cathrt.runtime.study.waiting import Stamp, WaitingRun

_VERSION = 2
_RUNS = (
    # The last object of the store that was judged or passed over, as all before it.
    "CREATE TABLE place (seq INTEGER NOT NULL, content_sha256 TEXT NOT NULL) STRICT",
    "INSERT INTO place VALUES (0, '')",
    "CREATE TABLE owed (seq INTEGER PRIMARY KEY) STRICT",  # objects before the place that are to be judged again
    """
    CREATE TABLE judged_file (
        key BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    # journal_rows: of the journal when it was begun. under_way: 1 from then until it has ended in any way but a crash.
    """
    CREATE TABLE begun (
        key BLOB PRIMARY KEY, journal_rows INTEGER NOT NULL, under_way INTEGER NOT NULL, crashes INTEGER NOT NULL,
        failures INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
)
_DRAFTS = (
    # Under which pass the journal has the run that an object of the store is; "" for one that could not be judged.
    "CREATE TABLE judged_object (seq INTEGER PRIMARY KEY, pass_id TEXT NOT NULL) STRICT",
    # The last end of a study that was drafted, as all before it; no row before drafts were asked for.
    "CREATE TABLE drafted (seq INTEGER NOT NULL) STRICT",
)
_STEPS = {1: _RUNS, 2: _DRAFTS}  # what makes each version out of the one before


class Keyed(Protocol):
    """Work that may end the process: a run, a draft. key: which one it is."""

    @property
    def key(self) -> bytes: ...


class IntakeError(CathrtError):
    """The intake book cannot be used."""

    exit_code = 8


@dataclass(frozen=True, slots=True)
class StorePlace:
    """How far the store is judged. content_sha256: of that object, by which another store is noticed; "" at 0."""

    seq: int
    content_sha256: str


class IntakeBook:
    """The open book. Every change is on the disk when its method returns. Thread-safe. Raises IntakeError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        with self._translated():
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            try:
                self._open()
            except BaseException:
                self._database.close()
                raise

    def _open(self) -> None:
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        with self._changing():
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
            if version > _VERSION:
                raise IntakeError(f"{self._path} has version {version}, expected at most {_VERSION}: {_REMOVE}")
            for step in range(version + 1, _VERSION + 1):
                for statement in _STEPS[step]:
                    self._database.execute(statement)
            self._database.execute(f"PRAGMA user_version={_VERSION}")

    def place(self) -> StorePlace:
        """Where in the store to go on."""
        row = self._one("SELECT seq, content_sha256 FROM place")
        assert row is not None
        return StorePlace(*row)

    def restart(self) -> None:
        """Go on with the first object of the store: it is another store than before."""
        with self._changing():
            self._database.execute("UPDATE place SET seq = 0, content_sha256 = ''")
            self._database.execute("DELETE FROM owed")
            self._database.execute("DELETE FROM begun WHERE substr(key, 1, 9) = CAST('received ' AS BLOB)")
            self._database.execute("DELETE FROM begun WHERE substr(key, 1, 6) = CAST('draft ' AS BLOB)")
            self._database.execute("DELETE FROM judged_object")
            self._database.execute("UPDATE drafted SET seq = 0")

    def owed(self) -> list[int]:
        """Numbers of objects before the place that are to be judged again."""
        with self._translated(), self._lock:
            return [seq for (seq,) in self._database.execute("SELECT seq FROM owed ORDER BY seq")]

    def forget_owed(self, seq: int) -> None:
        """The object is not in the store any more."""
        with self._changing():
            self._database.execute("DELETE FROM owed WHERE seq = ?", (seq,))

    def is_judged(self, key: bytes, stamp: Stamp) -> bool:
        """Whether the file was judged as it is."""
        row = self._one("SELECT size, mtime_ns, inode FROM judged_file WHERE key = ?", key)
        return row is not None and Stamp(*row) == stamp

    def judged_files(self, after: bytes, most: int) -> list[bytes]:
        """Keys of files that were judged, behind `after`, in order."""
        query = "SELECT key FROM judged_file WHERE key > ? ORDER BY key LIMIT ?"
        with self._translated(), self._lock:
            return [key for (key,) in self._database.execute(query, (after, most))]

    def forget_judged(self, files: Sequence[bytes], first_object: int) -> int:
        """These files, and objects of the store before that number, are gone for good. Returns how many it knew."""
        with self._changing():
            known = self._database.executemany("DELETE FROM judged_file WHERE key = ?", [(key,) for key in files])
            objects = self._database.execute("DELETE FROM judged_object WHERE seq < ?", (first_object,))
            return known.rowcount + objects.rowcount

    def begin(self, work: Keyed, journal_rows: int) -> None:
        """It is about to be done. journal_rows: durable ones now, by which progress is told."""
        with self._changing():
            self._database.execute(
                "INSERT INTO begun VALUES (?, ?, 1, 0, 0) "
                "ON CONFLICT (key) DO UPDATE SET journal_rows = excluded.journal_rows, under_way = 1",
                (work.key, journal_rows),
            )

    def put_back(self, work: Keyed) -> None:
        """It was stopped on purpose, and goes on later."""
        with self._changing():
            self._database.execute("UPDATE begun SET under_way = 0 WHERE key = ?", (work.key,))

    def end(self, run: WaitingRun, pass_id: str | None = None) -> None:
        """Its result is durable in the journal: under that pass, or, for "", as a refusal. None: it is passed over."""
        with self._changing():
            self._database.execute("DELETE FROM begun WHERE key = ?", (run.key,))
            if run.received is not None:
                self._database.execute("DELETE FROM owed WHERE seq = ?", (run.received.seq,))
                self._move_place(run)
                if pass_id is not None:
                    self._database.execute(
                        "INSERT OR REPLACE INTO judged_object VALUES (?, ?)", (run.received.seq, pass_id)
                    )
            elif run.stamp is not None:
                self._database.execute(
                    "INSERT OR REPLACE INTO judged_file VALUES (?, ?, ?, ?)",
                    (run.key, run.stamp.size, run.stamp.mtime_ns, run.stamp.inode),
                )

    def failed(self, run: WaitingRun) -> int:
        """It failed for a reason of ours and is to be judged again later. Returns how often it has failed."""
        with self._changing():
            self._database.execute("UPDATE begun SET under_way = 0, failures = failures + 1 WHERE key = ?", (run.key,))
            if run.received is not None:
                self._database.execute("INSERT OR IGNORE INTO owed VALUES (?)", (run.received.seq,))
                self._move_place(run)
            (failures,) = self._database.execute("SELECT failures FROM begun WHERE key = ?", (run.key,)).fetchone()
            return int(failures)

    def passes_of(self, objects: Sequence[int]) -> list[tuple[int, str]]:
        """Of these objects of the store those that are runs, and under which pass the journal has each; "" for one that
        could not be judged."""
        found = [(seq, self._one("SELECT pass_id FROM judged_object WHERE seq = ?", seq)) for seq in objects]
        return [(seq, row[0]) for seq, row in found if row is not None]

    def drafted(self) -> int | None:
        """The number of the last end of a study that was drafted; None before begin_drafting()."""
        row = self._one("SELECT seq FROM drafted")
        return None if row is None else int(row[0])

    def begin_drafting(self, after: int) -> None:
        """Ends of studies with a number above this are to be drafted."""
        with self._changing():
            self._database.execute("INSERT INTO drafted VALUES (?)", (after,))

    def end_draft(self, draft: Keyed, seq: int) -> None:
        """The draft of that end of a study is durable in the journal."""
        with self._changing():
            self._database.execute("DELETE FROM begun WHERE key = ?", (draft.key,))
            self._database.execute("UPDATE drafted SET seq = ?1 WHERE seq < ?1", (seq,))

    def draft_failed(self, draft: Keyed) -> int:
        """It failed for a reason of ours and is to be written again later. Returns how often it has failed."""
        with self._changing():
            self._database.execute(
                "UPDATE begun SET under_way = 0, failures = failures + 1 WHERE key = ?", (draft.key,)
            )
            (failures,) = self._database.execute("SELECT failures FROM begun WHERE key = ?", (draft.key,)).fetchone()
            return int(failures)

    def forget(self, work: Keyed) -> None:
        """It is done, and nothing of it is to be remembered."""
        with self._changing():
            self._database.execute("DELETE FROM begun WHERE key = ?", (work.key,))

    def count_crash(self, journal_rows: int) -> None:
        """At the start of the process: what was under way has crashed it, or was killed with it.

        journal_rows: durable ones now. One that has grown since the run was begun shows that the run got further than
        the time before, so the count begins anew: only a run at which the process ends again and again, at the same
        frame, is to be set aside. (The start of its pass is a row, which it adds once.)
        """
        with self._changing():
            self._database.execute(
                "UPDATE begun SET under_way = 0, crashes = CASE WHEN ? > journal_rows + 1 THEN 1 ELSE crashes + 1 END "
                "WHERE under_way = 1",
                (journal_rows,),
            )

    def crashes(self, work: Keyed) -> int:
        """How often in a row the process has ended while it did this and got no further."""
        row = self._one("SELECT crashes FROM begun WHERE key = ?", work.key)
        return 0 if row is None else int(row[0])

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._database.close()

    def _move_place(self, run: WaitingRun) -> None:
        assert run.received is not None
        self._database.execute(
            "UPDATE place SET seq = ?1, content_sha256 = ?2 WHERE seq < ?1",
            (run.received.seq, run.received.content_sha256),
        )

    def _one(self, query: str, *values: bytes | int) -> tuple[Any, ...] | None:
        with self._translated(), self._lock:
            row: tuple[Any, ...] | None = self._database.execute(query, values).fetchone()
            return row

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """All of the block's changes or none."""
        with self._translated(), self._lock, transaction(self._database):
            yield

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as exc:
            raise IntakeError(f"{self._path}: {exc}: make room on the disk; if the file is damaged, {_REMOVE}") from exc


_REMOVE = "remove it: all inputs are then looked at again, and what the journal holds is not judged twice"
