"""What another process asks of the intake book: which received objects the study process still needs.

Not for: the study process itself (intake_book.py).
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from cathrt.runtime.listener.store_front import Needed
from cathrt.runtime.study.intake_book import IntakeError

_BUSY_S = 10.0


def intake_of(path: Path) -> Needed:
    """How far the study process has come; nothing is judged where there is no book. Raises IntakeError."""
    if not path.exists():
        return Needed(0, frozenset(), None)
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", _BUSY_S, uri=True)) as book:
            book.execute("BEGIN")
            (judged,) = book.execute("SELECT seq FROM place").fetchone()
            owed = frozenset(seq for (seq,) in book.execute("SELECT seq FROM owed"))
            (version,) = book.execute("PRAGMA user_version").fetchone()
            # A book of an earlier build knows drafts alone, until the study process opens it.
            query = "SELECT seq FROM drafted" if version < 4 else "SELECT min(seq) FROM done_end"
            done = book.execute(query).fetchone()
            ended = None if version < 3 else book.execute("SELECT seq FROM ended").fetchone()
    except (sqlite3.Error, TypeError) as exc:
        raise IntakeError(f"{path}: cannot be read ({exc}): nothing may be removed until it can") from exc
    return Needed(int(judged), owed, _number(done), _number(ended))


def _number(row: tuple[int | None] | None) -> int | None:
    return None if row is None or row[0] is None else int(row[0])
