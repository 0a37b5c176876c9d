"""Reading a store beside the process that receives into it: what came in, and which studies have ended.

Not for: writing; a reader takes no lock that the writer waits for, and changes nothing.
"""

from __future__ import annotations

import hmac
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cathrt.runtime.listener.commitment_book import COLUMNS as COMMITMENT_COLUMNS
from cathrt.runtime.listener.commitment_book import Commitment, CommitmentState, commitment_from_row
from cathrt.runtime.listener.index import NAME, OBJECT_COLUMNS, VERSION, StoreError
from cathrt.runtime.listener.object_store import Received, State, object_path, received_from_row
from cathrt.runtime.listener.study_end import Evidence, StudyEnd

MOST_ROWS = 1000  # of one answer: a reader's transaction is short, so that the writer's log cannot grow behind it
_BUSY_S = 5.0


class StoreReader:
    """Follows one store. Each call is one short read-only transaction of its own; thread-safe.

    A store that is not there yet has nothing yet. Numbers (seq) start at 1, rise, and are never used twice: go on with
    the last one that you have taken. An answer has at most MOST_ROWS rows, the oldest first: ask until it is empty.
    """

    def __init__(self, folder: Path) -> None:
        """folder: the store. Nothing is opened here."""
        self._folder = folder
        self._path = folder / NAME

    def received(self, after: int = 0) -> list[Received]:
        """Objects with a number above `after`, in order of arrival. Those with state QUARANTINED are not to be judged.

        Raises StoreError where the store cannot be read.
        """
        with self._read() as index:
            rows = _rows(index, f"SELECT seq, {OBJECT_COLUMNS} FROM objects WHERE seq > ? ORDER BY seq LIMIT ?", after)
        return [received_from_row(row) for row in rows]

    def stored(self, sop_instance_uid: str) -> Received | None:
        """The object of this SOP Instance UID that counts; None where it never came, or was removed."""
        with self._read() as index:
            query = f"SELECT seq, {OBJECT_COLUMNS} FROM objects WHERE sop_instance_uid = ? AND state = ?"
            rows = [] if index is None else index.execute(query, (sop_instance_uid, State.STORED)).fetchall()
        return received_from_row(rows[0]) if rows else None

    def study_ends(self, after: int = 0) -> list[StudyEnd]:
        """Ends of studies with a number above `after`, in the order in which they were noted. Raises StoreError."""
        with self._read(version=2) as index:
            rows = _rows(
                index,
                "SELECT seq, study_instance_uid, revision, evidence, ended_at, flags, event_seq FROM study_ends "
                "WHERE seq > ? ORDER BY seq LIMIT ?",
                after,
            )
            return [
                StudyEnd(
                    seq=seq,
                    study_instance_uid=uid,
                    revision=revision,
                    evidence=tuple(map(Evidence, evidence.split())),
                    ended_at=ended_at,
                    objects=_objects(index, uid, event_seq),
                    flags=tuple(flags.split()),
                )
                for seq, uid, revision, evidence, ended_at, flags, event_seq in rows
            ]

    def pseudonym_of(self, study_instance_uid: str) -> str:
        """A name for a study that says nothing of it: a hash with the store's own secret. The same study has the same
        one in this store, and another one in any other. Raises StoreError where the store has no secret yet.
        """
        with self._read(version=2) as index:
            found = None
            if index is not None:
                found = index.execute("SELECT value FROM secrets WHERE name = 'patient'").fetchone()
        if found is None:
            raise StoreError(
                f"{self._path}: no secret to name studies by: let a listener of this version open it first"
            )
        return hmac.digest(bytes(found[0]), b"study|" + study_instance_uid.encode(), "sha256").hex()[:32]

    def study_of(self, sop_instance_uid: str) -> str | None:
        """The Study Instance UID of a stored object; None where it never came, or names none. Raises StoreError."""
        query = (
            "SELECT event.study_instance_uid FROM objects JOIN study_events AS event ON event.object_seq = objects.seq "
            "WHERE objects.sop_instance_uid = ? AND objects.state = ?"
        )
        with self._read(version=2) as index:
            rows = [] if index is None else index.execute(query, (sop_instance_uid, State.STORED)).fetchall()
        return str(rows[0][0]) if rows and rows[0][0] else None

    def open_commitments(self) -> list[Commitment]:
        """Requests for storage commitment that were not answered yet, or given up, the oldest first."""
        with self._read(version=2) as index:
            if index is None:
                return []
            query = f"SELECT {COMMITMENT_COLUMNS} FROM commitments WHERE state <> ? ORDER BY seq LIMIT ?"
            rows = index.execute(query, (CommitmentState.ANSWERED, MOST_ROWS)).fetchall()
        return [commitment_from_row(row) for row in rows]

    def path_of(self, received: Received) -> Path:
        """Where an object's file is."""
        return object_path(self._folder, received.state, received.content_sha256)

    @contextmanager
    def _read(self, version: int = 1) -> Iterator[sqlite3.Connection | None]:
        """One transaction on the index; None where there is no index of this version or a later one yet."""
        if not self._path.exists():
            yield None
            return
        try:
            with closing(self._connected()) as index:
                index.execute("BEGIN")
                (found,) = index.execute("PRAGMA user_version").fetchone()
                if found > VERSION:
                    raise StoreError(f"{self._path} has version {found}, expected at most {VERSION}: update cathrt")
                yield index if found >= version else None
        except sqlite3.Error as exc:
            raise StoreError(f"{self._path} cannot be read ({exc}): check the folder and its permissions") from exc

    def _connected(self) -> sqlite3.Connection:
        # Without a log nobody writes; and in a folder that may not be written SQLite could not make one to read with.
        alone = not Path(f"{self._path}-wal").exists() and not os.access(self._folder, os.W_OK)
        uri = f"file:{quote(str(self._path.absolute()))}?mode=ro{'&immutable=1' if alone else ''}"
        return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_BUSY_S)


def _rows(index: sqlite3.Connection | None, query: str, after: int) -> Sequence[Any]:
    return [] if index is None else index.execute(query, (after, MOST_ROWS)).fetchall()


def _objects(index: sqlite3.Connection | None, uid: str, event_seq: int) -> tuple[int, ...]:
    assert index is not None
    rows = index.execute(
        "SELECT object_seq FROM study_events WHERE study_instance_uid = ? AND object_seq IS NOT NULL AND seq <= ? "
        "ORDER BY object_seq",
        (uid, event_seq),
    )
    return tuple(seq for (seq,) in rows)
