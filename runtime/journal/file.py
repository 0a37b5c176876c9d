"""The journal's file: opens it, has it checked, and syncs it before anything in it is shown.

One SQLite file in WAL mode, its log `<journal>-wal`, and `<journal>-head` (journal/head.py) beside it.
Not for: the checks (journal/check.py), when rows are written (journal/writer.py).
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from cathrt.runtime.errors import JournalError
from cathrt.runtime.journal.check import (
    anchor_in,
    check_schema,
    checked_rows,
    require_journal,
    row_at,
    unsound_path,
)
from cathrt.runtime.journal.errors import translated
from cathrt.runtime.journal.head import Head, HeadFile, head_file, head_path
from cathrt.runtime.journal.lock import HoldingConnection, hold, identity_at
from cathrt.runtime.journal.make import SCHEMA_VERSION, make_journal
from cathrt.runtime.journal.migrate import migrate_from_4
from cathrt.runtime.outside.disk import sync_folder

_LOG_BYTES = 64 << 20  # what is kept of a log that has grown behind a reader, once it is not needed any more
_BUSY_S = 5.0  # how long another program may hold the write lock before the journal gives up


@dataclass(frozen=True, slots=True)
class OpenJournal:
    """A journal that has been checked and is open for writing; every row found in it is on the disk.

    path: of the file itself, symbolic links followed. connection: commits by hand (BEGIN ... COMMIT), synchronous FULL,
    text as bytes; checkpoints are the caller's. files: names of file, log and head, and what each led to (identity_at).
    anchor: the last row that was pruned. unproved: the last row that is still to be checked (whole.py); 0: none is.
    """

    path: Path
    connection: HoldingConnection
    head_file: HeadFile
    head: Head
    anchor: Head
    files: dict[str, tuple[int, int] | None]
    unproved: int = 0

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


def open_for_writing(path: Path, newest: int | None = None) -> OpenJournal:
    """Open `path`, made if there is none: locked, recovered after a crash, checked row by row, synced, of this schema.

    newest: of a journal with more rows than that only so many are checked, unless it was found unsound before.
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
                version = check_schema(connection, path)
                (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
                if mode != b"wal":
                    raise JournalError(f"{path}: journal mode is {mode.decode()}, expected wal: put it on a local disk")
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute("PRAGMA wal_autocheckpoint=0")
                connection.execute(f"PRAGMA journal_size_limit={_LOG_BYTES}")
                anchor = anchor_in(connection)
                after = None if newest is None or version < SCHEMA_VERSION else _before_newest(connection, path, newest)
                head = after or anchor
                for row in checked_rows(connection, path, noting.noted, after):
                    head = Head(row.seq, row.chain)
                if after is None:
                    unsound_path(path).unlink(missing_ok=True)
                if version < SCHEMA_VERSION:
                    migrate_from_4(connection, head)
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
    files = {str(path): connection.file.identity, **beside}
    return OpenJournal(path, connection, noting, head, anchor, files, 0 if after is None else after.seq)


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
            check_schema(connection, path)
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


def _before_newest(connection: HoldingConnection, path: Path, newest: int) -> Head | None:
    """The row before the newest ones; None where there are no more than those, or all are to be checked."""
    (last,) = connection.execute("SELECT max(seq) FROM record").fetchone()
    if last is None or unsound_path(path).exists():
        return None
    return row_at(connection, last - newest)


def _connect(path: Path, mode: str) -> HoldingConnection:
    """A connection to the file of that name. Raises JournalError if it is no journal, or has several names."""
    with translated(path):
        file = hold(path)
        try:
            require_journal(file.first_bytes(100), path)
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
