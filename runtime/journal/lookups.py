"""What a process asks of its own journal: which passes were cut short, what was counted, whether a record is there.

Not for: whole books (report.py), following a journal (reader.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cathrt.runtime.alert import StoredRecord
from cathrt.runtime.journal.books import stored_from_row
from cathrt.runtime.journal.errors import translated
from cathrt.runtime.journal.file import open_for_reading

LAST = (1 << 63) - 1  # no journal has a row after this one
SEARCHED_ROWS = 200_000  # newest rows among which unfinished passes are looked for: three hours of one source
_UNFINISHED = """SELECT seq, id, kind, body FROM record WHERE seq > :after AND kind = 'pass' AND pass_id NOT IN
    (SELECT pass_id FROM record WHERE seq > :after AND kind = 'run') ORDER BY seq"""
# Counted before the runs' names are looked up: once for each pass, not for each row.
_OUTCOMES = """SELECT json_extract(start.body, '$.source'), outcome, number FROM
    (SELECT pass_id, json_extract(body, '$.outcome') AS outcome, COUNT(*) AS number FROM record
        WHERE seq > ? AND seq <= ? AND kind = 'verdict' GROUP BY 1, 2) AS counted
    JOIN record AS start ON start.pass_id = counted.pass_id AND start.kind = 'pass'"""
_TIMES = """SELECT min(seq), min(json_extract(body, '$.acquired_ns')),
    max(json_extract(body, '$.acquired_ns') + CAST(1e6 * json_extract(body, '$.latency_ms.end_to_end') AS INTEGER))
    FROM record WHERE pass_id = ? AND kind = 'verdict'"""
_VERDICT = """SELECT seq, id, kind, body FROM record WHERE pass_id = ? AND kind = 'verdict'
    AND json_extract(body, '$.frame_index') = ?"""
_PASSES_AND_VERDICTS = """SELECT seq, id, kind, body FROM record WHERE kind IN ('pass', 'verdict') AND pass_id IN
    (SELECT pass_id FROM record WHERE seq > :after AND kind = 'verdict') ORDER BY seq"""


def last_seq(path: Path) -> int:
    """Number of the newest row; 0 in an empty journal. Raises JournalError."""
    ((seq,),) = _rows(path, "SELECT COALESCE(MAX(seq), 0) FROM record", ())
    return int(seq)


def unfinished_passes(path: Path) -> tuple[StoredRecord, ...]:
    """The starts of passes without a summary, oldest first, among the newest rows. Raises JournalError."""
    return tuple(map(stored_from_row, _rows(path, _UNFINISHED, {"after": last_seq(path) - SEARCHED_ROWS})))


def passes_and_verdicts_after(path: Path, seq: int) -> tuple[StoredRecord, ...]:
    """Of every pass that has a verdict after row `seq`: its start and all its verdicts. Raises JournalError."""
    return tuple(map(stored_from_row, _rows(path, _PASSES_AND_VERDICTS, {"after": seq})))


def records_of_type(path: Path, type_: str) -> tuple[StoredRecord, ...]:
    """All records of a type, oldest first. For types of which there are few. Raises JournalError."""
    query = "SELECT seq, id, kind, body FROM record WHERE kind = ? ORDER BY seq"
    return tuple(map(stored_from_row, _rows(path, query, (type_,))))


def records_between(path: Path, after: int, through: int, types: Collection[str]) -> tuple[StoredRecord, ...]:
    """The records of some types behind row `after`, up to row `through`, oldest first. Raises JournalError."""
    marks = ", ".join("?" * len(types))
    query = f"SELECT seq, id, kind, body FROM record WHERE seq > ? AND seq <= ? AND kind IN ({marks}) ORDER BY seq"
    return tuple(map(stored_from_row, _rows(path, query, (after, through, *types))))


def verdict_of(path: Path, pass_id: str, frame_index: int) -> StoredRecord | None:
    """The verdict of one frame of a pass; None where there is none. Raises JournalError."""
    rows = _rows(path, _VERDICT, (pass_id, frame_index))
    return stored_from_row(rows[0]) if rows else None


def stored_record(path: Path, id_: str) -> StoredRecord | None:
    """The durable record of that id; None where there is none. Raises JournalError."""
    rows = _rows(path, "SELECT seq, id, kind, body FROM record WHERE id = ?", (id_,))
    return stored_from_row(rows[0]) if rows else None


def first_row_of(path: Path, passes: Iterable[str]) -> int | None:
    """The first row of any of these passes; None where the journal has none of them. Raises JournalError."""
    found = [_rows(path, "SELECT min(seq) FROM record WHERE pass_id = ?", (pass_id,))[0][0] for pass_id in passes]
    return min((int(seq) for seq in found if seq is not None), default=None)


def times_of_pass(path: Path, pass_id: str) -> tuple[int, int, int] | None:
    """The first row of a pass; by the monotonic clock, when its first frame was acquired and its last one had ended.

    None where its verdicts do not say when. Raises JournalError.
    """
    ((first, begin, end),) = _rows(path, _TIMES, (pass_id,))
    return None if begin is None else (int(first), int(begin), int(end))


def outcomes_after(path: Path, seq: int, through: int = LAST) -> tuple[tuple[str, str, int], ...]:
    """Of the verdicts after row `seq`, up to `through`, pass by pass: what the run is called, outcome, and how many.

    Raises JournalError.
    """
    found = _rows(path, _OUTCOMES, (seq, through))
    return tuple((source.decode(), outcome.decode(), count) for source, outcome, count in found)


def _rows(path: Path, query: str, values: Sequence[Any] | Mapping[str, Any]) -> list[Any]:
    connection = open_for_reading(path)
    try:
        with translated(path):
            return connection.execute(query, values).fetchall()
    finally:
        connection.close()
