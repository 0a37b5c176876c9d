"""The journal's file: how it is made, opened, locked and found to be whole.

One SQLite file in WAL mode, and beside it `<journal>-head`: the writer's lock and a note of the last row shown from.
Not for: when rows are written (journal.py) and what they add up to (journal_report.py).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from cathrt.runtime.errors import JournalError

SCHEMA_VERSION = 3  # 3: findings name their kind
APPLICATION_ID = int.from_bytes(b"cath", "big")
_BUSY_S = 5.0  # how long another program may hold the write lock before the journal gives up
_SCHEMA = (
    """CREATE TABLE record (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,
  body TEXT NOT NULL,
  chain BLOB NOT NULL,
  run_id TEXT GENERATED ALWAYS AS (json_extract(body, '$.run_id')) VIRTUAL,
  pass_id TEXT GENERATED ALWAYS AS (json_extract(body, '$.pass_id')) VIRTUAL
) STRICT""",
    "CREATE INDEX record_of_pass ON record (pass_id)",
    """CREATE TRIGGER record_is_never_changed BEFORE UPDATE ON record
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END""",
    """CREATE TRIGGER record_is_never_removed BEFORE DELETE ON record
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END""",
    """CREATE TABLE meta (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  head_seq INTEGER NOT NULL,
  head_chain BLOB NOT NULL
) STRICT""",
    "CREATE TABLE delivered (sink TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT",
)
_ADVICE = {
    "SQLITE_FULL": "the disk is full: free space, then start again",
    "SQLITE_IOERR": "the disk does not take or give the data: check the disk, its space and its limits",
    "SQLITE_BUSY": "another program holds the file's write lock: close it, then start again",
    "SQLITE_READONLY": "the file or its folder cannot be written: mend the permissions",
    "SQLITE_CANTOPEN": "it cannot be opened: check the path and the permissions of file and folder",
    "SQLITE_PERM": "permission denied: mend the permissions of file and folder",
}
_DAMAGED = "the file is damaged: keep it for examination and start a new journal"


@dataclass(frozen=True, slots=True)
class Head:
    """The last row: its seq (0: none yet) and its chain, which vouches for every row up to it."""

    seq: int = 0
    chain: bytes = bytes(32)

    def next(self, kind: bytes, id_: bytes, body: bytes) -> Head:
        """The head once a row of this content is appended."""
        return Head(self.seq + 1, _link(self.chain, kind, id_, body))


class Row(NamedTuple):
    """One row that has been checked; text is UTF-8 as stored."""

    seq: int
    id: bytes
    kind: bytes
    body: bytes
    chain: bytes


class HeadFile:
    """`<journal>-head`: locked by the one process that writes, and a witness to rows the journal may later lack.

    It is written after each commit and before anything is shown, without a sync of its own: after kill -9 it is
    exact, after a power cut it may lag, and it never runs ahead of the disk. Closed on exec: no child keeps the lock.
    """

    def __init__(self, journal: Path) -> None:
        """Take the lock. Raises JournalError if another journal object, here or elsewhere, has it."""
        path = head_path(journal)
        with translated(journal):
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(self._fd)
            raise JournalError(
                f"{journal}: locked by another writer ({exc.strerror}), and a journal has one: "
                "stop the other, or give this one its own file"
            ) from exc

    def write(self, head: Head) -> None:
        """Note `head`. One small write inside one sector."""
        os.pwrite(self._fd, b"%020d %b\n" % (head.seq, head.chain.hex().encode()), 0)

    def sync(self) -> None:
        """Give the note its place on the disk; later ones overwrite it there."""
        os.fsync(self._fd)

    def close(self) -> None:
        """Give the lock back."""
        os.close(self._fd)


@dataclass(frozen=True, slots=True)
class OpenJournal:
    """A journal that has been checked and is open for writing.

    connection: commits by hand (BEGIN ... COMMIT), synchronous FULL, text as bytes; checkpoints are the caller's.
    cursors: last seq that each durable sink has taken, by its name.
    """

    connection: sqlite3.Connection
    head_file: HeadFile
    head: Head
    cursors: dict[str, int]


def head_path(journal: Path) -> Path:
    """Where the head of `journal` is noted."""
    return journal.with_name(journal.name + "-head")


def noted_head(journal: Path) -> Head | None:
    """What the head file says, or None if there is none. Raises JournalError if it says nothing readable."""
    with translated(journal):
        try:
            noted = head_path(journal).read_bytes()
        except FileNotFoundError:
            return None
    if not noted:
        return None
    seq, _, chain = noted.rstrip(b"\n").partition(b" ")
    if len(noted) != 86 or not seq.isdigit() or len(chain) != 64 or chain.strip(b"0123456789abcdef"):
        raise JournalError(
            f"{head_path(journal)}: found {noted[:100]!r}, expected a row number and a sha256: "
            "keep it with the journal for examination and start a new journal"
        )
    return Head(int(seq), bytes.fromhex(chain.decode()))


def open_for_writing(path: Path) -> OpenJournal:
    """Open `path`, made if there is none: locked, recovered after a crash, checked row by row.

    Raises JournalError: in use, torn, tampered with, of another schema, unreadable, or no journal at all.
    """
    head_file = HeadFile(path)
    try:
        noted = noted_head(path)
        if not path.exists():
            _create(path, noted)
        with translated(path):
            connection = _connect(path, "rw")
            try:
                _check_identity(connection, path)
                (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
                if mode != b"wal":
                    raise JournalError(f"{path}: journal mode is {mode.decode()}, expected wal: put it on a local disk")
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute("PRAGMA wal_autocheckpoint=0")
                head = Head()
                for row in checked_rows(connection, path, noted):
                    head = Head(row.seq, row.chain)
                cursors = {sink.decode(): seq for sink, seq in connection.execute("SELECT sink, seq FROM delivered")}
                head_file.write(head)
                head_file.sync()
            except BaseException:
                connection.close()
                raise
    except BaseException:
        head_file.close()
        raise
    return OpenJournal(connection, head_file, head, cursors)


def open_for_reading(path: Path) -> sqlite3.Connection:
    """A read-only connection that may live beside the writer's. Raises JournalError if there is no such journal."""
    if not path.is_file():
        raise JournalError(f"{path}: no such file, expected a journal: check the path")
    with translated(path):
        # Without a log nobody is writing; in a folder that may not be written SQLite could not make one to read with.
        logless = not path.with_name(path.name + "-wal").exists() and not os.access(path.parent, os.W_OK)
        connection = _connect(path, "ro&immutable=1" if logless else "ro")
        try:
            _check_identity(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection


def checked_rows(connection: sqlite3.Connection, path: Path, noted: Head | None) -> Iterator[Row]:
    """Yield every row in order, proving the file whole on the way: pages, indexes, chain, head. Linear in the rows.

    noted: from noted_head, read before the transaction `connection` is in; its row must be there and have its chain.
    Raises JournalError naming the first row that does not fit; the file is whole once the iterator ends.
    """
    problems = [line.decode(errors="replace") for (line,) in connection.execute("PRAGMA integrity_check(3)")]
    if problems != ["ok"]:
        raise JournalError(f"{path}: {'; '.join(problems)}: {_DAMAGED}")
    stored = connection.execute("SELECT head_seq, head_chain FROM meta").fetchall()
    if len(stored) != 1:
        raise _tampered(path, 0, f"{len(stored)} heads, expected one")
    seq, chain = Head().seq, Head().chain
    rows = connection.execute("SELECT seq, id, kind, body, chain FROM record ORDER BY seq")
    for row in map(Row._make, rows):
        if row.seq != seq + 1:
            raise _tampered(path, seq + 1, f"it is missing, {row.seq} follows {seq}")
        seq, chain = row.seq, _link(chain, row.kind, row.id, row.body)
        if chain != row.chain:
            raise _tampered(path, row.seq, "it, or a row before it, is not what was written")
        if noted is not None and noted.seq == seq and noted.chain != chain:
            raise _tampered(path, row.seq, f"{head_path(path).name} remembers another row of that number")
        yield row
    head_seq, head_chain = stored[0]
    if (head_seq, head_chain) != (seq, chain):
        raise _tampered(path, seq + 1, f"the head says {head_seq} rows, {seq} are there, or its hash differs")
    if noted is not None and noted.seq > seq:
        raise _tampered(path, seq + 1, f"rows up to {noted.seq} had been committed and are gone")


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's and the system's errors into JournalError with advice."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as exc:  # the sqlite3 module trips over damaged bytes it would quote
        name = str(getattr(exc, "sqlite_errorname", ""))
        advice = next((text for code, text in _ADVICE.items() if name.startswith(code)), _DAMAGED)
        raise JournalError(f"{path}: {exc}{f' ({name})' if name else ''}: {advice}") from exc
    except OSError as exc:
        raise JournalError(f"{path}: {exc.strerror or exc}: check the path, the disk and the permissions") from exc


def _check_identity(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse what is no cathrt journal of this schema, before anything in it is touched."""
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    if application_id != APPLICATION_ID:
        raise JournalError(
            f"{path}: an empty or foreign SQLite file (application id {application_id:#x}), expected a cathrt journal "
            f"({APPLICATION_ID:#x}): give another file, or the name of one that does not exist yet"
        )
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != SCHEMA_VERSION:
        raise JournalError(
            f"{path}: journal schema {version}, expected {SCHEMA_VERSION}: "
            "use the version of cathrt that made it, or start a new journal"
        )
    found = {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")}
    if found != {statement.encode() for statement in _SCHEMA}:
        raise JournalError(f"{path}: its tables are not those of journal schema {SCHEMA_VERSION}: {_DAMAGED}")


def _link(chain: bytes, kind: bytes, id_: bytes, body: bytes) -> bytes:
    """sha256(previous chain | kind | id | body); the body repeats kind and id, so the joints cannot be moved."""
    return hashlib.sha256(b"%b%b\n%b\n%b" % (chain, kind, id_, body)).digest()


def _tampered(path: Path, seq: int, what: str) -> JournalError:
    return JournalError(
        f"{path}: row {seq}: {what}. Nothing is appended to a journal that does not add up: "
        "keep the file for examination and start a new one"
    )


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode={mode}",
        uri=True,
        timeout=_BUSY_S,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.text_factory = bytes  # what is hashed is what is stored
    return connection


def _create(path: Path, noted: Head | None) -> None:
    """Make an empty journal under another name and rename it, so that a half-made one is never found."""
    wal = path.with_name(path.name + "-wal")
    if (noted is not None and noted.seq) or wal.exists():
        witness = wal.name if wal.exists() else head_path(path).name
        raise JournalError(
            f"{path}: there is no such file, but {witness} of an earlier one: "
            f"put the journal back, or move {witness} away too to start a new one"
        )
    with translated(path):
        new = path.with_name(path.name + "-new")
        for leftover in (new, new.with_name(new.name + "-wal"), new.with_name(new.name + "-shm")):
            with suppress(FileNotFoundError):
                leftover.unlink()
        os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        connection = _connect(new, "rw")
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("BEGIN")
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            for statement in _SCHEMA:
                connection.execute(statement)
            empty = Head()
            connection.execute("INSERT INTO meta VALUES (1, ?, ?)", (empty.seq, empty.chain))
            connection.execute("COMMIT")
        finally:
            connection.close()
        new.rename(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
