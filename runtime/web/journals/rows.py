"""Rows of a journal as the page asks for them: bounded, whatever the journal holds. One that is not there has none.

Not for: following a journal (gateway/journal_feed.py), what rows amount to (live/, runs/).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cathrt.runtime.alert import StoredRecord
from cathrt.runtime.identity import record_id
from cathrt.runtime.journal.errors import translated
from cathrt.runtime.journal.file import open_for_reading

SEARCHED_ROWS = 200_000  # at a time: some hours of one source, a fraction of a second
_MOST_PASSES = 20  # of one run
_COLUMNS = "SELECT seq, id, kind, body FROM record"
_OF_PASS = f"{_COLUMNS} WHERE pass_id = ? AND kind = ? ORDER BY seq LIMIT ?"
_COUNTED = "SELECT kind, json_extract(body, '$.outcome'), COUNT(*) FROM record WHERE pass_id = ? GROUP BY 1, 2"
_LATENCIES = """SELECT pass_id, json_extract(body, '$.acquired_ns'), json_extract(body, '$.latency_ms.end_to_end'),
    json_extract(body, '$.outcome'), json_extract(body, '$.frame_index')
    FROM record WHERE seq > ? AND kind = 'verdict' ORDER BY seq DESC LIMIT ?"""


@dataclass(frozen=True, slots=True)
class Pass:
    """A pass, as its rows say. start, summary: the records; summary None while there is none. begun_ns: when its first
    frame was acquired, by the monotonic clock of `seq`'s boot; None where no verdict says so."""

    seq: int
    start: Mapping[str, Any]
    summary: Mapping[str, Any] | None
    begun_ns: int | None
    outcomes: Mapping[str, int]
    alerts: int


@dataclass(frozen=True, slots=True)
class Latency:
    """Of one verdict."""

    pass_id: str
    acquired_ns: int
    end_to_end_ms: float
    outcome: str
    frame_index: int


class JournalRows:
    """One connection to a journal, for a few questions in one thread. None of them holds a transaction open."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def last_seq(self) -> int:
        """Number of the newest row; 0 in an empty journal."""
        ((seq,),) = self._ask("SELECT COALESCE(MAX(seq), 0) FROM record")
        return int(seq)

    def newest(self, types: Sequence[str], before: int, most: int, within: int = SEARCHED_ROWS) -> list[StoredRecord]:
        """Records of these types before row `before`, among the `within` rows there, newest first."""
        marks = ", ".join("?" * len(types))
        query = f"{_COLUMNS} WHERE seq < ? AND seq >= ? AND kind IN ({marks}) ORDER BY seq DESC LIMIT ?"
        return [_stored(row) for row in self._ask(query, before, before - within, *types, most)]

    def start_of(self, pass_id: str) -> StoredRecord | None:
        """The start of a pass; None where it is not there."""
        found = self._ask(f"{_COLUMNS} WHERE id = ?", record_id(pass_id, "pass", ""))
        return _stored(found[0]) if found else None

    def starts_of(self, run_id: str, before: int) -> list[StoredRecord]:
        """The starts of a run's passes, as newest() finds them."""
        query = f"{_COLUMNS} WHERE seq < ? AND seq >= ? AND kind = 'pass' AND run_id = ? ORDER BY seq DESC LIMIT ?"
        return [_stored(row) for row in self._ask(query, before, before - SEARCHED_ROWS, run_id, _MOST_PASSES)]

    def first_seq(self) -> int:
        """Number of the oldest row that is there; 0 in an empty journal."""
        ((seq,),) = self._ask("SELECT COALESCE(MIN(seq), 0) FROM record")
        return int(seq)

    def pass_of(self, start: StoredRecord) -> Pass:
        """The whole of a pass, but for its rows."""
        record = json.loads(start.body)
        pass_id = record["pass_id"]
        summary = self._record(record_id(pass_id, "run", ""))
        first = self._ask(_OF_PASS, pass_id, "verdict", 1)
        begun_ns = json.loads(first[0][3]).get("acquired_ns") if first else None
        outcomes: dict[str, int] = {}
        alerts = 0
        for kind, outcome, number in self._ask(_COUNTED, pass_id):
            if kind == b"verdict":
                outcomes[outcome.decode()] = number
            elif kind == b"alert":
                alerts = number
        return Pass(start.seq, record, summary, begun_ns, outcomes, alerts)

    def of_pass(self, pass_id: str, type_: str, most: int) -> list[StoredRecord]:
        """The first records of one type of a pass, in order."""
        return [_stored(row) for row in self._ask(_OF_PASS, pass_id, type_, most)]

    def latencies(self, after_seq: int, most: int) -> list[Latency]:
        """Of the newest verdicts behind a row, newest first. Those that do not say when are left out."""
        return [
            Latency(pass_id.decode(), acquired_ns, end_to_end_ms, outcome.decode(), frame_index)
            for pass_id, acquired_ns, end_to_end_ms, outcome, frame_index in self._ask(_LATENCIES, after_seq, most)
            if acquired_ns is not None
        ]

    def source_of_pass(self, pass_id: str) -> str | None:
        """What a person would call its run; None where its start is not there."""
        start = self.start_of(pass_id)
        return None if start is None else str(json.loads(start.body)["source"])

    def stored_at_s(self, seq: int) -> int | None:
        """About when a row was stored, seconds since 1970: within some minutes. None: nothing says so."""
        found = self._ask("SELECT at_s FROM mark WHERE seq <= ? ORDER BY seq DESC LIMIT 1", seq)
        found = found or self._ask("SELECT at_s FROM mark ORDER BY seq LIMIT 1")
        return int(found[0][0]) if found else None

    def marks_around(self, at_s: float) -> tuple[int, int | None]:
        """The newest row that is marked as stored up to that second since 1970, 0 where none is; and the first one that
        is marked as stored later."""
        ((before,),) = self._ask("SELECT COALESCE(MAX(seq), 0) FROM mark WHERE at_s <= ?", at_s)
        ((first,),) = self._ask("SELECT MIN(seq) FROM mark WHERE seq > ?", before)
        return int(before), None if first is None else int(first)

    def _record(self, id_: str) -> dict[str, Any] | None:
        found = self._ask("SELECT body FROM record WHERE id = ?", id_)
        return json.loads(found[0][0]) if found else None

    def _ask(self, query: str, *values: Any) -> list[Any]:
        return self._connection.execute(query, values).fetchall()


@contextmanager
def rows_of(path: Path) -> Iterator[JournalRows | None]:
    """The rows of a journal; None where there is no journal yet. Raises JournalError: it cannot be read."""
    if not path.exists():
        yield None
        return
    with closing(open_for_reading(path)) as connection, translated(path):
        yield JournalRows(connection)


def _stored(row: Sequence[Any]) -> StoredRecord:
    seq, id_, kind, body = row
    return StoredRecord(seq, id_.decode(), kind.decode(), body)
