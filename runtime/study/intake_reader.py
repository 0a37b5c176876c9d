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
            drafted = book.execute("SELECT seq FROM drafted").fetchone()
    except (sqlite3.Error, TypeError) as exc:
        raise IntakeError(f"{path}: cannot be read ({exc}): nothing may be removed until it can") from exc
    return Needed(int(judged), owed, None if drafted is None else int(drafted[0]))
