"""Translates errors of SQLite and the system into JournalError with advice.

Not for: what the journal finds itself, such as a changed row (journal/check.py).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cathrt.runtime.errors import JournalError

DAMAGED = "the file is damaged: keep it for examination and start a new journal"
_ADVICE = {
    "SQLITE_FULL": "the disk is full: free space, then start again",
    "SQLITE_IOERR": "the disk does not take or give the data: check the disk, its space and its limits",
    "SQLITE_BUSY": "another program holds the file's write lock: close it, then start again",
    "SQLITE_READONLY": "the file or its folder cannot be written: change the permissions",
    "SQLITE_CANTOPEN": "it cannot be opened: check the path and the permissions of file and folder",
    "SQLITE_PERM": "permission denied: change the permissions of file and folder",
}


class PrunedError(JournalError):
    """The rows behind a reader's place were pruned: they are gone, and what follows them is there."""


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's and the system's errors into JournalError with advice."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as exc:  # the sqlite3 module trips over damaged bytes it would quote
        name = str(getattr(exc, "sqlite_errorname", ""))
        advice = next((text for code, text in _ADVICE.items() if name.startswith(code)), DAMAGED)
        raise JournalError(f"{path}: {exc}{f' ({name})' if name else ''}: {advice}") from exc
    except OSError as exc:
        raise JournalError(f"{path}: {exc.strerror or exc}: check the path, the disk and the permissions") from exc
