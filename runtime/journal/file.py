"""The journal's file: opens it, checks that it is whole, and syncs it before anything in it is shown.

One SQLite file in WAL mode, its log `<journal>-wal`, and `<journal>-head` (journal/head.py) beside it.
Not for: when rows are written (journal/writer.py) and what they add up to (journal/report.py).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from cathrt.runtime.errors import JournalError
from cathrt.runtime.journal.errors import DAMAGED, translated
from cathrt.runtime.journal.head import Head, HeadFile, head_file, head_path, link
from cathrt.runtime.journal.lock import HoldingConnection, hold, identity_at
from cathrt.runtime.journal.make import APPLICATION_ID, SCHEMA, SCHEMA_VERSION, make_journal
from cathrt.runtime.outside.disk import sync_folder

_BUSY_S = 5.0  # how long another program may hold the write lock before the journal gives up
_MAGIC = b"SQLite format 3\0"


class Row(NamedTuple):
    """One row that has been checked; text is UTF-8 as stored."""

    seq: int
    id: bytes
    kind: bytes
    body: bytes
    chain: bytes


@dataclass(frozen=True, slots=True)
class OpenJournal:
    """A journal that has been checked and is open for writing; every row found in it is on the disk.

    path: of the file itself, symbolic links followed. connection: commits by hand (BEGIN ... COMMIT), synchronous FULL,
    text as bytes; checkpoints are the caller's. files: names of file, log and head, and what each led to (identity_at).
    """

    path: Path
    connection: HoldingConnection
    head_file: HeadFile
    head: Head
    files: dict[str, tuple[int, int] | None]

    def require_in_place(self) -> None:
        """Raises JournalError if another file is there now, or none: what is written would be lost with the old one.

        Raises OSError too.
        """
        for name, identity in self.files.items():
            if identity_at(name) != identity:
                raise JournalError(
                    f"{name}: it was moved, removed or replaced while the journal was open: put it back and start again"
                )

    def close(self) -> None:
        """Close the file, then give its locks back."""
        self.connection.close()
        self.head_file.close()


def open_for_writing(path: Path) -> OpenJournal:
    """Open `path`, made if there is none: locked, recovered after a crash, checked row by row, synced.

    Raises JournalError: in use, torn, tampered with, of another schema, unreadable, or no journal at all.
    """
    path = real_path(path)
    if path.exists():
        _connect(path, "ro").close()  # what is no journal is refused before a head file is laid beside it
    noting = head_file(path)
    try:
        if not path.exists():
            _require_new(path, noting.noted)
            with translated(path):
                make_journal(path)
        connection = _connect(path, "rw")
        try:
            with translated(path):
                connection.lock(path)
                _check_schema(connection, path)
                (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
                if mode != b"wal":
                    raise JournalError(f"{path}: journal mode is {mode.decode()}, expected wal: put it on a local disk")
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute("PRAGMA wal_autocheckpoint=0")
                head = Head()
                for row in checked_rows(connection, path, noting.noted):
                    head = Head(row.seq, row.chain)
                # The log's rows are written anew, into the file: an earlier process's sync of the log may have failed,
                # and Linux then takes for synced what is in its memory alone.
                connection.execute("PRAGMA wal_checkpoint(FULL)")
                sync_found(path, connection)
                noting.write(head)
                noting.sync()
        except BaseException:
            connection.close()
            raise
    except BaseException:
        noting.close()
        raise
    beside = {str(name): identity_at(name) for name in (_log_path(path), head_path(path))}
    assert connection.file is not None
    return OpenJournal(path, connection, noting, head, {str(path): connection.file.identity, **beside})


def open_for_reading(path: Path) -> HoldingConnection:
    """A read-only connection that may live beside the writer's. Raises JournalError if there is no such journal."""
    path = real_path(path)
    if not path.exists():
        raise JournalError(f"{path}: no such file, expected a journal: check the path")
    # Without a log nobody is writing; in a folder that may not be written SQLite could not make one to read with.
    logless = not _log_path(path).exists() and not os.access(path.parent, os.W_OK)
    connection = _connect(path, "ro&immutable=1" if logless else "ro")
    try:
        with translated(path):
            _check_schema(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def real_path(path: Path) -> Path:
    """Where the file itself is: SQLite keeps the log there too, whatever symbolic link led to it.

    Raises JournalError for a name that can lead to no file: links in a circle, a folder that may not be entered.
    """
    real = Path(os.path.realpath(path))
    with translated(path), suppress(FileNotFoundError, NotADirectoryError):
        real.stat()
    return real


def sync_found(path: Path, connection: HoldingConnection) -> None:
    """Bring to the disk what is found in the journal: a process that was killed may have written and not synced it.

    After it returns, every row that `connection` has read is durable. Raises OSError.
    """
    assert connection.file is not None
    with suppress(FileNotFoundError):
        log = os.open(_log_path(path), os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(log)
        finally:
            os.close(log)
    connection.file.sync()  # after the log: a checkpoint moves rows from the log to the file
    sync_folder(path.parent)


def checked_rows(connection: sqlite3.Connection, path: Path, noted: Head | None) -> Iterator[Row]:
    """Yield every row in order, proving the file whole on the way: pages, indexes, chain, head. Linear in the rows.

    noted: from noted_head, read before the transaction `connection` is in; its row must be there and have its chain.
    Raises JournalError naming the first row that does not fit; the file is whole once the iterator ends.
    """
    problems = [line.decode(errors="replace") for (line,) in connection.execute("PRAGMA integrity_check(3)")]
    if problems != ["ok"]:
        raise JournalError(f"{path}: {'; '.join(problems)}: {DAMAGED}")
    stored = connection.execute("SELECT head_seq, head_chain FROM meta").fetchall()
    if len(stored) != 1:
        raise _tampered(path, 0, f"{len(stored)} heads, expected one")
    seq, chain = Head().seq, Head().chain
    rows = connection.execute("SELECT seq, id, kind, body, chain FROM record ORDER BY seq")
    for row in map(Row._make, rows):
        if row.seq != seq + 1:
            raise _tampered(path, seq + 1, f"it is missing, {row.seq} follows {seq}")
        seq, chain = row.seq, link(chain, row.kind, row.id, row.body)
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


def _check_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a journal of another schema, before anything in it is touched."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != SCHEMA_VERSION:
        raise JournalError(
            f"{path}: journal schema {version}, expected {SCHEMA_VERSION}: "
            "use the version of cathrt that made it, or start a new journal"
        )
    found = {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")}
    if found != {statement.encode() for statement in SCHEMA}:
        raise JournalError(f"{path}: its tables are not those of journal schema {SCHEMA_VERSION}: {DAMAGED}")


def _tampered(path: Path, seq: int, what: str) -> JournalError:
    return JournalError(
        f"{path}: row {seq}: {what}. Nothing is appended to a journal that does not add up: "
        "keep the file for examination and start a new one"
    )


def _connect(path: Path, mode: str) -> HoldingConnection:
    """A connection to the file of that name. Raises JournalError if it is no journal, or has several names."""
    with translated(path):
        file = hold(path)
        try:
            _require_journal(file.first_bytes(100), path)
            connection = sqlite3.connect(
                f"file:{quote(os.fsencode(path))}?mode={mode}",
                uri=True,
                timeout=_BUSY_S,
                isolation_level=None,
                check_same_thread=False,
                factory=HoldingConnection,
            )
        except BaseException:
            file.release()
            raise
        connection.file = file
        connection.text_factory = bytes  # what is hashed is what is stored
        return connection


def _require_journal(header: bytes, path: Path) -> None:
    """Tell what never was a journal from one that is damaged. header: the file's first 100 bytes, or all it has."""
    ours = header[68:72] == APPLICATION_ID.to_bytes(4, "big")  # https://www.sqlite.org/fileformat.html, 1.3
    if header.startswith(_MAGIC) and ours:
        return
    if ours:
        raise JournalError(f"{path}: its first bytes are {header[:16]!r}, expected {_MAGIC!r}: {DAMAGED}")
    what = f"its first bytes are {header[:16]!r}" if header else "the file is empty"
    if header.startswith(_MAGIC):
        what = f"an SQLite file of another program (application id {header[68:72].hex() or 'none'})"
    raise JournalError(
        f"{path}: no cathrt journal: {what}, expected an SQLite file with application id {APPLICATION_ID:x}: "
        "check the path; to start a new journal, give the name of a file that does not exist yet"
    )


def _log_path(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _require_new(path: Path, noted: Head | None) -> None:
    """Refuse to start anew where an earlier journal has left its log or its head."""
    log = _log_path(path)
    left_log = log.exists() and log.stat().st_size > 0  # an empty one is what a reader leaves behind
    if left_log or (noted is not None and noted.seq):
        witness = log.name if left_log else head_path(path).name
        raise JournalError(
            f"{path}: there is no such file, but {witness} of an earlier one: "
            f"put the journal back, or move {witness} away too to start a new one"
        )
