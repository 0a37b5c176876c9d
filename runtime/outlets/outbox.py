"""The outbox: how far each outlet has delivered each journal, and its dead letters. One SQLite file, STATE/outbox.db.

A place moves only behind what was acknowledged; a dead letter is stored in the transaction that moves the place behind
it. So after a kill the last few records come again, with the same ids, and none is left out. Not for: sending.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from cathrt.runtime.errors import SinkError
from cathrt.runtime.failpoints import failpoint
from cathrt.runtime.journal.head import Head
from cathrt.runtime.outside.disk import transaction

_VERSION = 1
_BUSY_S = 10.0
_TABLES = (  # IF NOT EXISTS: the threads of all outlets may make the file at the same time
    # behind_since: seconds since 1970 when the outlet last fell behind; NULL while it is not.
    "CREATE TABLE IF NOT EXISTS outlet (name TEXT PRIMARY KEY, behind_since REAL) STRICT, WITHOUT ROWID",
    # The last row that was acknowledged or passed over, as all before it. limited: rows kept back by the rate limit.
    # pruned: rows that were deleted from the journal before the outlet took them.
    # asked: what a person has asked for: 'first' or 'now', where the outlet begins again; '' for nothing.
    """
    CREATE TABLE IF NOT EXISTS place (
        outlet TEXT NOT NULL, journal TEXT NOT NULL, seq INTEGER NOT NULL, chain BLOB NOT NULL,
        limited INTEGER NOT NULL, pruned INTEGER NOT NULL, asked TEXT NOT NULL, PRIMARY KEY (outlet, journal)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS dead_letter (
        number INTEGER PRIMARY KEY AUTOINCREMENT, outlet TEXT NOT NULL, journal TEXT NOT NULL, seq INTEGER NOT NULL,
        id TEXT NOT NULL, type TEXT NOT NULL, body BLOB NOT NULL, reason TEXT NOT NULL, attempts INTEGER NOT NULL,
        buried_at REAL NOT NULL, state TEXT NOT NULL, UNIQUE (outlet, journal, seq)
    ) STRICT
    """,
)
_LETTER = "number, outlet, journal, seq, id, type, body, reason, attempts, buried_at, state"
Begin = Literal["first", "now"]


class OutboxError(SinkError):
    """The outbox cannot be used."""


class LetterState(StrEnum):
    """dead: nobody has decided. retry: to be sent again. discarded: a person does not want it delivered."""

    DEAD = "dead"
    RETRY = "retry"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that its receiver did not take. number: 0 before it is stored. buried_at: seconds since 1970."""

    number: int
    outlet: str
    journal: str
    seq: int
    id: str
    type: str
    body: bytes
    reason: str
    attempts: int
    buried_at: float
    state: LetterState = LetterState.DEAD


@dataclass(frozen=True, slots=True)
class Place:
    """head: the last row that is done with. limited, pruned: rows so far that the rate limit kept back, and that were
    deleted before they were taken."""

    head: Head
    limited: int = 0
    pruned: int = 0


class Outbox:
    """The open file; for one thread. Every change is on the disk when its method returns. Raises OutboxError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._translated():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # it holds records
            self._database = sqlite3.connect(path, _BUSY_S, isolation_level=None, check_same_thread=False)
            try:
                self._open()
            except BaseException:
                self._database.close()
                raise

    def place(self, outlet: str, journal: str) -> Place | None:
        """How far the outlet has come in that journal; None where it has not begun."""
        row = self._one(
            "SELECT seq, chain, limited, pruned FROM place WHERE outlet = ? AND journal = ?", outlet, journal
        )
        return None if row is None else Place(Head(row[0], row[1]), row[2], row[3])

    def asked(self, outlet: str, journal: str) -> str:
        """Where a person wants the outlet to begin again in that journal; "" where nobody does."""
        row = self._one("SELECT asked FROM place WHERE outlet = ? AND journal = ?", outlet, journal)
        return "" if row is None else str(row[0])

    def move(self, outlet: str, journal: str, place: Place) -> None:
        """All rows up to that place are acknowledged, passed over or buried."""
        with self._changing():
            self._move(outlet, journal, place)

    def begin(self, outlet: str, journal: str, place: Place) -> None:
        """The outlet begins in that journal behind `place`, as it was configured or asked for."""
        with self._changing():
            self._move(outlet, journal, place)
            self._database.execute("UPDATE place SET asked = '' WHERE outlet = ? AND journal = ?", (outlet, journal))

    def bury(self, letter: DeadLetter, place: Place) -> None:
        """Store a dead letter and move the place behind it."""
        with self._changing():
            self._database.execute(
                f"INSERT INTO dead_letter ({_LETTER}) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (outlet, journal, seq) DO UPDATE SET id = excluded.id, type = excluded.type, "
                "body = excluded.body, reason = excluded.reason, attempts = excluded.attempts, "
                "buried_at = excluded.buried_at, state = excluded.state",
                (
                    letter.outlet,
                    letter.journal,
                    letter.seq,
                    letter.id,
                    letter.type,
                    letter.body,
                    letter.reason,
                    letter.attempts,
                    letter.buried_at,
                    letter.state,
                ),
            )
            failpoint("outlet.burying")
            self._move(letter.outlet, letter.journal, place)

    def letters(self, outlet: str | None = None, state: LetterState | None = None, most: int = -1) -> list[DeadLetter]:
        """Dead letters, the oldest first; of one outlet, or in one state."""
        with self._translated():
            rows = self._database.execute(
                f"SELECT {_LETTER} FROM dead_letter WHERE (?1 IS NULL OR outlet = ?1) AND (?2 IS NULL OR state = ?2) "
                "ORDER BY number LIMIT ?3",
                (outlet, state, most),
            ).fetchall()
        return [replace(DeadLetter(*row), state=LetterState(row[-1])) for row in rows]

    def dead(self, outlet: str) -> int:
        """How many dead letters the outlet has that nobody has discarded."""
        row = self._one("SELECT count(*) FROM dead_letter WHERE outlet = ? AND state <> 'discarded'", outlet)
        return 0 if row is None else int(row[0])

    def mark(self, numbers: Sequence[int], state: LetterState) -> int:
        """Put dead letters into a state; one that is gone meanwhile is passed over. Returns how many were changed."""
        with self._changing():
            return sum(
                self._database.execute(
                    "UPDATE dead_letter SET state = ?1 WHERE number = ?2 AND state <> ?1", (state, number)
                ).rowcount
                for number in numbers
            )

    def delivered(self, letter: DeadLetter) -> None:
        """A dead letter has been taken after all: forget it."""
        with self._changing():
            self._database.execute("DELETE FROM dead_letter WHERE number = ?", (letter.number,))

    def refused_again(self, letter: DeadLetter, reason: str) -> None:
        """It is dead as before."""
        with self._changing():
            self._database.execute(
                "UPDATE dead_letter SET state = 'dead', reason = ?, attempts = attempts + 1 WHERE number = ?",
                (reason, letter.number),
            )

    def ask(self, outlet: str, journal: str, begin: Begin) -> bool:
        """Let the outlet begin again in that journal. False: it has not begun there."""
        with self._changing():
            return bool(
                self._database.execute(
                    "UPDATE place SET asked = ? WHERE outlet = ? AND journal = ?", (begin, outlet, journal)
                ).rowcount
            )

    def behind_since(self, outlet: str) -> float | None:
        """When the outlet fell behind, seconds since 1970; None while it is not."""
        row = self._one("SELECT behind_since FROM outlet WHERE name = ?", outlet)
        return None if row is None else row[0]

    def note_behind(self, outlet: str, since: float | None) -> None:
        """The outlet has fallen behind at that moment, or, for None, has caught up."""
        with self._changing():
            self._database.execute(
                "INSERT INTO outlet VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET behind_since = ?2", (outlet, since)
            )

    def places(self) -> list[tuple[str, str, Place]]:
        """Of every outlet and journal."""
        with self._translated():
            rows = self._database.execute(
                "SELECT outlet, journal, seq, chain, limited, pruned FROM place ORDER BY outlet, journal"
            ).fetchall()
        return [(row[0], row[1], Place(Head(row[2], row[3]), row[4], row[5])) for row in rows]

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _open(self) -> None:
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise OutboxError(f"{self._path} has version {version}, expected at most {_VERSION}: update cathrt")
        if version < _VERSION:
            with self._changing():
                for statement in _TABLES:
                    self._database.execute(statement)
                self._database.execute(f"PRAGMA user_version={_VERSION}")

    def _move(self, outlet: str, journal: str, place: Place) -> None:
        self._database.execute(
            "INSERT INTO place VALUES (?1, ?2, ?3, ?4, ?5, ?6, '') "
            "ON CONFLICT (outlet, journal) DO UPDATE SET seq = ?3, chain = ?4, limited = ?5, pruned = ?6",
            (outlet, journal, place.head.seq, place.head.chain, place.limited, place.pruned),
        )

    def _one(self, query: str, *values: str) -> tuple[Any, ...] | None:
        with self._translated():
            row: tuple[Any, ...] | None = self._database.execute(query, values).fetchone()
            return row

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """All of the block's changes or none."""
        with self._translated():
            with transaction(self._database):
                yield

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as exc:
            raise OutboxError(
                f"{self._path}: {exc}: make room on the disk; if the file is damaged, remove it: every outlet then "
                "begins anew"
            ) from exc
