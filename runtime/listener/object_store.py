"""What was received, for good: one file for each object, named by its SHA-256, and an index of their UIDs in SQLite.

An object is in the store once both its file and its row are durable; only then is its sender told so. The same object
again changes nothing. The same SOP Instance UID with other content goes to quarantine, and the first one stays.
Names on the disk are made of hashes alone. Not for: decoding, and deciding which objects are runs.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass
from enum import StrEnum
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Any

from cathrt.runtime.failpoints import failpoint
from cathrt.runtime.listener.index import OBJECT_COLUMNS, Index, StoreError
from cathrt.runtime.listener.spool import Spool, SpoolFile, SpoolLimits
from cathrt.runtime.outside.disk import sync_folder


class Placed(StrEnum):
    """What became of an object: new in the store, there already, or set apart since its UID has other content."""

    NEW = "new"
    AGAIN = "again"
    QUARANTINED = "quarantined"


class State(StrEnum):
    """stored: it counts. quarantined: kept for a person to look at, never judged."""

    STORED = "stored"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class Arrival:
    """What the association said of an object. The UIDs are UIDs by form; nothing else of them is believed."""

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    calling_ae: str
    address: str


@dataclass(frozen=True, slots=True)
class Received:
    """One object of the store. seq: its number, in the order of arrival. size: bytes of its file.

    content_sha256: of transfer syntax and data set. received_at: seconds since 1970, by the wall clock.
    """

    seq: int
    arrival: Arrival
    content_sha256: str
    size: int
    received_at: float
    state: State


class ObjectStore:
    """A folder: incoming/, objects/, quarantine/ and index.db. Thread-safe. One process at a time writes to it."""

    def __init__(self, folder: Path, limits: SpoolLimits) -> None:
        """Open it, or make it. Raises StoreError, OSError or sqlite3.Error where it cannot be used."""
        self._folder = folder
        self._limits = limits
        for name in ("objects", "quarantine"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        with ExitStack() as stack:
            self._only = stack.enter_context((folder / "lock").open("ab"))
            try:
                flock(self._only, LOCK_EX | LOCK_NB)
            except BlockingIOError as exc:
                raise StoreError(f"{folder}: another process receives into it: stop it, or use another folder") from exc
            self.spool = Spool(folder / "incoming", limits)
            self.index = Index(folder)
            stack.callback(self.index.close)
            sync_folder(folder)
            self._kept = stack.pop_all()

    def place(self, file: SpoolFile, arrival: Arrival) -> Placed:
        """Make an object durable under its content's hash and enter it into the index, then return.

        The spool file is gone afterwards, whatever happens. Raises OSError, NoRoomError or sqlite3.Error where the
        object is not durable.
        """
        try:
            data_set = file.sync()
            file.close()
            content = hashlib.sha256(f"{arrival.transfer_syntax_uid}|{data_set}".encode()).hexdigest()
            with self._lock:
                return self._placed(file, arrival, content)
        finally:
            file.discard()

    def _placed(self, file: SpoolFile, arrival: Arrival, content: str) -> Placed:
        known = dict(
            self.index.rows(
                "SELECT content_sha256, state FROM objects WHERE sop_instance_uid = ?", (arrival.sop_instance_uid,)
            )
        )
        if content in known:
            return Placed.AGAIN if known[content] == State.STORED else Placed.QUARANTINED
        state = State.QUARANTINED if known else State.STORED
        self._move(file, state, content)
        with self.index.transaction() as rows:
            rows.execute(
                f"INSERT INTO objects ({OBJECT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*astuple(arrival), content, file.size, time.time(), state),
            )
        return Placed.QUARANTINED if known else Placed.NEW

    def _move(self, file: SpoolFile, state: State, digest: str) -> None:
        path = self.path_of(state, digest)
        new = not path.parent.is_dir()
        path.parent.mkdir(exist_ok=True)
        os.rename(file.name, path)
        sync_folder(path.parent)
        if new:
            sync_folder(path.parent.parent)

    def remove(self, objects: Sequence[Received]) -> None:
        """Take objects out of the index, then away from the disk. Nothing is received meanwhile.

        A process that is killed in between leaves files that the index does not know: remove_unknown(). An object of
        the same UID that comes later is a new one. Raises OSError, sqlite3.Error.
        """
        with self._lock:
            with self.index.transaction() as rows:
                rows.executemany("DELETE FROM objects WHERE seq = ?", [(received.seq,) for received in objects])
            failpoint("store.forgotten")
            for received in objects:
                self._unlink_if_unknown(received.state, received.content_sha256)

    def remove_unknown(self) -> int:
        """Remove files of objects that the index does not know. Returns how many. Raises OSError, sqlite3.Error."""
        removed = 0
        for state in State:
            for path in object_path(self._folder, state, "00").parent.parent.glob("*/*.dcm"):
                with self._lock:
                    removed += self._unlink_if_unknown(state, path.stem)
        return removed

    def _unlink_if_unknown(self, state: State, digest: str) -> bool:
        """With the lock held: an object has its file before it has its row."""
        query = "SELECT 1 FROM objects WHERE content_sha256 = ? AND state = ? LIMIT 1"
        if self.index.rows(query, (digest, state)):
            return False
        self.path_of(state, digest).unlink(missing_ok=True)
        return True

    def path_of(self, state: State, digest: str) -> Path:
        """Where an object of this state and content is."""
        return object_path(self._folder, state, digest)

    def kept(self, sop_instance_uid: str) -> list[Received]:
        """Everything that came in under this SOP Instance UID."""
        query = f"SELECT seq, {OBJECT_COLUMNS} FROM objects WHERE sop_instance_uid = ? ORDER BY seq"
        return [received_from_row(row) for row in self.index.rows(query, (sop_instance_uid,))]

    def has_room(self) -> bool:
        """Whether the disk has more than what is to stay free."""
        status = os.statvfs(self._folder)
        return status.f_bavail * status.f_frsize > self._limits.reserve_bytes

    def received(self, after: int = 0) -> list[Received]:
        """What came in after number `after`, in order of arrival."""
        query = f"SELECT seq, {OBJECT_COLUMNS} FROM objects WHERE seq > ? ORDER BY seq"
        return [received_from_row(row) for row in self.index.rows(query, (after,))]

    def close(self) -> None:
        """Close the index and let others in. Idempotent."""
        with self._lock:
            self._kept.close()


def object_path(folder: Path, state: State, digest: str) -> Path:
    """Where an object of this state and content is in a store."""
    room = "objects" if state is State.STORED else "quarantine"
    return folder / room / digest[:2] / f"{digest}.dcm"


def received_from_row(row: Sequence[Any]) -> Received:
    """A row of seq and OBJECT_COLUMNS."""
    seq, *said, content, size, at, state = row
    return Received(seq, Arrival(*said), content, size, at, State(state))
