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

_VERSION = 4
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
# The last end of a study whose `ended` record is in the journal, as all before it; no row before any was asked for.
_ENDS = ("CREATE TABLE ended (seq INTEGER NOT NULL) STRICT",)
_MODELS = (
    # The last end of a study that a model is done with, as all before it; no row before the model was there. model:
    # what StudyEnds calls it.
    "CREATE TABLE done_end (model TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "INSERT INTO done_end SELECT 'draft', seq FROM drafted",
    "DROP TABLE drafted",
    # Of each reader: from which object on it reads, and which of the judged ones it has read with their study.
    "CREATE TABLE read_after (model TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE read_object (model TEXT, seq INTEGER, PRIMARY KEY (model, seq)) STRICT, WITHOUT ROWID",
)
_STEPS = {1: _RUNS, 2: _DRAFTS, 3: _ENDS, 4: _MODELS}  # what makes each version out of the one before


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
            self._database.execute("DELETE FROM begun WHERE substr(key, 1, 7) = CAST('reader ' AS BLOB)")
            self._database.execute("DELETE FROM judged_object")
            self._database.execute("DELETE FROM read_object")
            self._database.execute("UPDATE read_after SET seq = 0")
            self._database.execute("UPDATE done_end SET seq = 0")
            self._database.execute("UPDATE ended SET seq = 0")

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
            self._database.execute("DELETE FROM read_object WHERE seq < ?", (first_object,))
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

    def done_end(self, model: str) -> int | None:
        """The number of the last end of a study that this model is done with; None before begin_model()."""
        row = self._one("SELECT seq FROM done_end WHERE model = ?", model)
        return None if row is None else int(row[0])

    def first_done_end(self) -> int | None:
        """Of the model that has come least far; None where no model has to do with ends of studies."""
        row = self._one("SELECT min(seq) FROM done_end")
        return None if row is None or row[0] is None else int(row[0])

    def begin_model(self, model: str, after: int) -> None:
        """Ends of studies with a number above this are work of this model."""
        with self._changing():
            self._database.execute("INSERT INTO done_end VALUES (?, ?)", (model, after))

    def done_with_end(self, work: Keyed, model: str, seq: int) -> None:
        """What the model makes of that end of a study is durable in the journal."""
        with self._changing():
            self._database.execute("DELETE FROM begun WHERE key = ?", (work.key,))
            self._database.execute("UPDATE done_end SET seq = ?2 WHERE model = ?1 AND seq < ?2", (model, seq))

    def keep_readers(self, models: Sequence[str]) -> None:
        """These readers are there from now on, and nothing waits for any other. A new one reads runs that are judged
        from now on; in a new book that is all of them."""
        given = {*models}
        with self._changing():
            known = {model for (model,) in self._database.execute("SELECT model FROM read_after")}
            for model in known - given:
                for table in ("read_after", "read_object", "done_end"):
                    self._database.execute(f"DELETE FROM {table} WHERE model = ?", (model,))
            (newest,) = self._database.execute("SELECT coalesce(max(seq), 0) FROM judged_object").fetchone()
            for model in given - known:
                self._database.execute("INSERT INTO read_after VALUES (?, ?)", (model, newest))

    def unread(self, model: str) -> tuple[int, str] | None:
        """The first judged object that this reader has not read with its study yet, and its pass; None where there is
        none. Objects that could not be judged are not among them."""
        row = self._one(
            "SELECT seq, pass_id FROM judged_object WHERE pass_id <> '' "
            "AND seq > (SELECT seq FROM read_after WHERE model = ?1) "
            "AND seq NOT IN (SELECT seq FROM read_object WHERE model = ?1) ORDER BY seq LIMIT 1",
            model,
        )
        return None if row is None else (int(row[0]), str(row[1]))

    def note_read(self, model: str, objects: Sequence[int]) -> None:
        """What this reader makes of these objects so far is durable in the journal."""
        with self._changing():
            self._database.executemany(
                "INSERT OR IGNORE INTO read_object VALUES (?, ?)", [(model, seq) for seq in objects]
            )

    def ended(self) -> int | None:
        """The number of the last end of a study that the journal has as a record; None before begin_ends()."""
        row = self._one("SELECT seq FROM ended")
        return None if row is None else int(row[0])

    def begin_ends(self, after: int) -> None:
        """Ends of studies with a number above this become records."""
        with self._changing():
            self._database.execute("INSERT INTO ended VALUES (?)", (after,))

    def note_ended(self, seq: int) -> None:
        """The record of that end of a study is durable in the journal."""
        with self._changing():
            self._database.execute("UPDATE ended SET seq = ?1 WHERE seq < ?1", (seq,))

    def work_failed(self, work: Keyed) -> int:
        """It failed for a reason of ours and is to be tried again later. Returns how often it has failed."""
        with self._changing():
            self._database.execute("UPDATE begun SET under_way = 0, failures = failures + 1 WHERE key = ?", (work.key,))
            (failures,) = self._database.execute("SELECT failures FROM begun WHERE key = ?", (work.key,)).fetchone()
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

    def _one(self, query: str, *values: bytes | int | str) -> tuple[Any, ...] | None:
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
