"""Checks all rows of a journal beside the process that writes it, where that one has begun with the newest alone.

Not for: what its passes add up to (journal/report.py), which process does it (processes/journal_check.py).
"""

from __future__ import annotations

from collections import deque
from contextlib import closing
from pathlib import Path

from cathrt.runtime.journal.check import checked_rows, unsound_path
from cathrt.runtime.journal.errors import translated
from cathrt.runtime.journal.file import open_for_reading, real_path
from cathrt.runtime.journal.head import noted_head


def require_whole(path: Path) -> None:
    """Prove pages, indexes, chain, head and anchor, as opening does. Changes nothing. Linear in the rows.

    Raises JournalError naming the first row that does not fit.
    """
    noted = noted_head(real_path(path))
    with closing(open_for_reading(path)) as connection, translated(path):
        connection.execute("BEGIN")
        try:
            deque(checked_rows(connection, path, noted), maxlen=0)
        finally:
            connection.execute("ROLLBACK")


def note_unsound(path: Path, why: str) -> None:
    """Let the next opening check every row before it appends one. Raises JournalError: it cannot be noted."""
    with translated(path):
        unsound_path(real_path(path)).write_text(f"{why}\n", encoding="utf-8", errors="backslashreplace")
