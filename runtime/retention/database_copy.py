"""Copies of SQLite files that other processes are writing: each as of one moment, whole, with what lies beside it.

Not for: which files, and in which order (backup.py).
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from cathrt.runtime.journal.check import anchor_in
from cathrt.runtime.journal.errors import translated
from cathrt.runtime.journal.file import open_for_reading, real_path
from cathrt.runtime.journal.head import Head, HeadFile, head_path, note_anchor, noted_anchor
from cathrt.runtime.journal.lock import Lock
from cathrt.runtime.retention.backup_folder import BackupError

_BUSY_S = 30.0


def copy_database(source: Path, target: Path) -> None:
    """Raises BackupError: it cannot be read, or the copy cannot be written."""
    try:
        uri = f"{source.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, _BUSY_S, uri=True)) as reading:
            _copy(reading, target)
        with closing(sqlite3.connect(target, isolation_level=None)) as copy:
            found = [line for (line,) in copy.execute("PRAGMA integrity_check(3)")]
    except sqlite3.Error as exc:
        raise BackupError(f"{source}: cannot be copied to {target} ({exc}): check both disks") from exc
    if found != ["ok"]:
        raise BackupError(f"{source}: its copy is damaged: {'; '.join(found)}: check the disk")


def copy_journal(source: Path, target: Path) -> None:
    """With its head and its anchor, so that the copy is a journal as any other. Raises BackupError, JournalError.

    Beside its writer, whose log grows until the copy is made; no commit waits for it.
    """
    with closing(open_for_reading(source)) as reading, translated(source):
        try:
            _copy(reading, target)
        except sqlite3.OperationalError as exc:
            raise BackupError(f"{source}: cannot be copied to {target} ({exc}): check both disks") from exc
    # Noted before its rows go, so what is noted by now allows for what the copy lacks.
    noted = noted_anchor(real_path(source))
    with closing(sqlite3.connect(target, isolation_level=None)) as copy, translated(target):
        head = Head(*copy.execute("SELECT head_seq, head_chain FROM meta").fetchone())
        anchor = anchor_in(copy)
    noting = HeadFile(head_path(target), lock=Lock("writer", target))
    try:
        with translated(target):
            noting.write(head)
            noting.sync()
    finally:
        noting.close()
    if noted is not None and anchor.seq:
        note_anchor(target, noted)


def _copy(reading: sqlite3.Connection, target: Path) -> None:
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with closing(sqlite3.connect(target, isolation_level=None)) as writing:
        reading.backup(writing)
        # Without a log a file is read and verified and nothing beside it is made; its writer begins one again.
        writing.execute("PRAGMA journal_mode=DELETE")
    descriptor = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
