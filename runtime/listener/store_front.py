"""Which objects of a store are old, and which of them anybody still waits for: what retention asks of the index.

Not for: removing them (object_store.py), how old and how many is too much (runtime/retention/).
"""

from __future__ import annotations

from dataclasses import dataclass

from cathrt.runtime.listener.commitment_book import CommitmentState
from cathrt.runtime.listener.index import OBJECT_COLUMNS, Index
from cathrt.runtime.listener.object_store import Received, State, received_from_row


@dataclass(frozen=True, slots=True)
class Candidate:
    """An object, and what the index knows of it. ended: number of the end of its study that counts it; None before.

    awaits_end: its study has not ended yet, or the object was not looked at yet.
    """

    received: Received
    ended: int | None
    awaits_end: bool


@dataclass(frozen=True, slots=True)
class Needed:
    """What the study process still needs of a store.

    judged: objects up to this number were judged or passed over, but for `owed`, which are judged again. drafted: the
    last end of a study that every model is done with; None where none has to do with studies. ended: the last one that
    the journal has as a record; None where that is not known.
    """

    judged: int
    owed: frozenset[int]
    drafted: int | None
    ended: int | None = None


def stored_bytes(index: Index) -> int:
    """Of all objects of the store. Raises sqlite3.Error."""
    ((size,),) = index.rows("SELECT coalesce(sum(size), 0) FROM objects")
    return int(size)


def oldest(index: Index, after: int, before_s: float, most: int) -> list[Candidate]:
    """Objects behind number `after` that came before that moment, in order of arrival. Raises sqlite3.Error."""
    rows = index.rows(
        f"SELECT seq, {OBJECT_COLUMNS}, event.study_instance_uid, (SELECT min(ends.seq) FROM study_ends AS ends WHERE "
        "ends.study_instance_uid = event.study_instance_uid AND ends.event_seq >= event.event) FROM objects LEFT JOIN "
        "(SELECT seq AS event, object_seq, study_instance_uid FROM study_events WHERE object_seq IS NOT NULL) AS event "
        "ON event.object_seq = objects.seq WHERE seq > ? AND received_at < ? ORDER BY seq LIMIT ?",
        (after, before_s, most),
    )
    return [_candidate(received_from_row(row), study, ended) for *row, study, ended in rows]


def awaiting_commitment(index: Index) -> frozenset[str]:
    """SOP Instance UIDs of which a peer waits to be told whether they are here for good. Raises sqlite3.Error."""
    rows = index.rows("SELECT instances FROM commitments WHERE state = ?", (CommitmentState.PENDING,))
    return frozenset(line.split(" ")[1] for (lines,) in rows for line in lines.splitlines())


def _candidate(received: Received, study: str | None, ended: int | None) -> Candidate:
    # One that is set apart has no event, and one that names no study has no end.
    awaits_end = received.state is State.STORED and ended is None and study != ""
    return Candidate(received, ended, awaits_end)
