"""The store's index, index.db: its tables, and how one schema becomes the next. One process at a time writes to it.

Not for: what the rows mean (object_store.py, study_book.py, commitment_book.py) and reading beside the writer
(store_reader.py).
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cathrt.runtime.errors import CathrtError
from cathrt.runtime.outside.disk import transaction

VERSION = 2
NAME = "index.db"
_BUSY_S = 10.0  # longest that another connection may hold the write lock

OBJECT_COLUMNS = (
    "sop_instance_uid, sop_class_uid, transfer_syntax_uid, calling_ae, address, content_sha256, size, received_at, "
    "state"
)
_OBJECTS = """
CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, sop_instance_uid TEXT NOT NULL, sop_class_uid TEXT NOT NULL,
    transfer_syntax_uid TEXT NOT NULL, calling_ae TEXT NOT NULL, address TEXT NOT NULL, content_sha256 TEXT NOT NULL,
    size INTEGER NOT NULL, received_at REAL NOT NULL, state TEXT NOT NULL, UNIQUE (sop_instance_uid, content_sha256)
) STRICT
"""
_STUDIES = (
    "CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT",
    # What the end of a study is known by, in order. object_seq: of an object; no row of its own for one that is set
    # apart. patient: keyed hash of the Patient ID, which is kept nowhere.
    """
    CREATE TABLE study_events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, study_instance_uid TEXT NOT NULL,
        patient TEXT NOT NULL, sender TEXT NOT NULL, object_seq INTEGER UNIQUE, step_uid TEXT NOT NULL,
        flags TEXT NOT NULL, noted_at REAL NOT NULL
    ) STRICT
    """,
    "CREATE INDEX study_events_by_study ON study_events (study_instance_uid, object_seq)",
    "CREATE INDEX study_events_by_step ON study_events (step_uid, seq) WHERE step_uid <> ''",
    # event_seq: of the last event that the end takes into account.
    """
    CREATE TABLE study_ends (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, study_instance_uid TEXT NOT NULL, revision INTEGER NOT NULL,
        evidence TEXT NOT NULL, ended_at REAL NOT NULL, event_seq INTEGER NOT NULL, flags TEXT NOT NULL,
        UNIQUE (study_instance_uid, revision)
    ) STRICT
    """,
)
_COMMITMENTS = (
    # instances: SOP class and SOP Instance UID of each, a line each; empty once the peer has its answer.
    """
    CREATE TABLE commitments (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, peer_ae TEXT NOT NULL, address TEXT NOT NULL,
        transaction_uid TEXT NOT NULL, request_sha256 TEXT NOT NULL, instances TEXT NOT NULL, count INTEGER NOT NULL,
        state TEXT NOT NULL, attempts INTEGER NOT NULL, failed INTEGER NOT NULL, reason TEXT NOT NULL,
        requested_at REAL NOT NULL, UNIQUE (peer_ae, transaction_uid)
    ) STRICT
    """,
    "CREATE INDEX commitments_by_state ON commitments (state)",
)
# What makes each version out of the one before.
_STEPS: dict[int, Sequence[str]] = {1: (_OBJECTS,), 2: (*_STUDIES, *_COMMITMENTS)}


class StoreError(CathrtError):
    """The store cannot be used."""

    exit_code = 8


class Index:
    """A connection that several threads share, one at a time."""

    def __init__(self, folder: Path) -> None:
        """Open it, make it, or bring it to this version. Raises StoreError or sqlite3.Error."""
        self._lock = threading.RLock()
        self._database = sqlite3.connect(folder / NAME, check_same_thread=False, isolation_level=None, timeout=_BUSY_S)
        try:
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            with self.transaction() as rows:
                _bring_up_to_date(rows, folder / NAME)
        except BaseException:
            self._database.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the block's changes or none, on the disk once it ends. Raises sqlite3.Error. May not be nested."""
        with self._lock, transaction(self._database):
            yield self._database

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """The rows of a query. Raises sqlite3.Error."""
        with self._lock:
            return self._database.execute(query, values).fetchall()

    def close(self) -> None:
        """Close it. Idempotent."""
        with self._lock:
            self._database.close()


def _bring_up_to_date(rows: sqlite3.Connection, path: Path) -> None:
    (version,) = rows.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise StoreError(
            f"{path} has version {version}, expected at most {VERSION}: "
            "use the version of cathrt that made it, or another folder"
        )
    for step in range(version + 1, VERSION + 1):
        for statement in _STEPS[step]:
            rows.execute(statement)
    if version < 2:
        rows.execute("INSERT INTO secrets VALUES ('patient', ?)", (secrets.token_bytes(32),))
    rows.execute(f"PRAGMA user_version={VERSION}")
