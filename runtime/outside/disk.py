"""What a disk promises and refuses, for whoever writes what must last.

Not for: a command's output files (output_files.py).
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})  # what only writing can meet
_SQLITE_NO_ROOM = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY})


def takes_no_more(error: OSError | sqlite3.Error) -> bool:
    """Whether it says that there is no room or no leave to write, so that the same may work later."""
    if isinstance(error, OSError):
        return error.errno in NO_ROOM
    code = getattr(error, "sqlite_errorcode", None)  # of errors of SQLite itself; Python's own have none
    return code is not None and code & 0xFF in _SQLITE_NO_ROOM


def sync_folder(folder: Path) -> None:
    """Wait until the folder's entries are on the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All of the block's changes or none, on the disk once it ends. May not be nested. Raises sqlite3.Error.

    database: opened with isolation_level=None. What fails is undone, a COMMIT too: SQLite undoes some errors itself and
    leaves others open, so that no other transaction could begin.
    """
    database.execute("BEGIN IMMEDIATE")
    try:
        yield database
        database.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # SQLite may have undone it; what is raised says why
            if database.in_transaction:
                database.execute("ROLLBACK")
        raise
