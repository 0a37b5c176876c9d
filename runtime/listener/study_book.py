"""Where events and ends of studies are kept: two tables of the store's index. Each end is there once, or not at all.

Not for: when a study has ended (studies.py).
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cathrt.runtime.listener.index import OBJECT_COLUMNS, Index
from cathrt.runtime.listener.object_store import Received, State, received_from_row
from cathrt.runtime.listener.studies import Ending, Kind, StudyEvent
from cathrt.runtime.listener.study_end import StudyEnd

_EVENT = "seq, kind, study_instance_uid, patient, sender, object_seq, step_uid, flags"


@dataclass(frozen=True, slots=True)
class History:
    """The events of one study, and the last event that each of its ends takes into account."""

    events: tuple[StudyEvent, ...]
    ends: frozenset[int]


class StudyBook:
    """Thread-safe. wall: seconds since 1970. Every method raises sqlite3.Error where the index cannot be used."""

    def __init__(self, index: Index, wall: Callable[[], float] = time.time) -> None:
        self._index = index
        self._wall = wall

    def patient_key(self) -> bytes:
        """The store's own secret, by which Patient IDs are compared."""
        ((key,),) = self._index.rows("SELECT value FROM secrets WHERE name = 'patient'")
        return bytes(key)

    def last_event(self) -> int:
        """The number of the last event; 0 before the first."""
        ((seq,),) = self._index.rows("SELECT coalesce(max(seq), 0) FROM study_events")
        return int(seq)

    def new_objects(self, most: int) -> list[Received]:
        """Objects of the store that no event was made of yet, in order of arrival; none that is in quarantine."""
        rows = self._index.rows(
            f"SELECT seq, {OBJECT_COLUMNS} FROM objects WHERE state = ? AND seq > "
            "(SELECT coalesce(max(object_seq), 0) FROM study_events) ORDER BY seq LIMIT ?",
            (State.STORED, most),
        )
        return [received_from_row(row) for row in rows]

    def events(self, after: int) -> list[StudyEvent]:
        """Events with a number above `after`, in order."""
        return _events(self._index.rows(f"SELECT {_EVENT} FROM study_events WHERE seq > ? ORDER BY seq", (after,)))

    def note(self, events: Sequence[StudyEvent]) -> list[StudyEvent]:
        """Keep these events, all or none. Their numbers are given here. Returns them with their numbers."""
        noted = []
        with self._index.transaction() as rows:
            for event in events:
                noted.append(replace(event, seq=_insert(rows, event, self._wall())))
        return noted

    def note_end(self, ending: Ending) -> StudyEnd | None:
        """Keep an end. None where it is kept already, with this revision."""
        ended_at = self._wall()
        with self._index.transaction() as rows:
            done = rows.execute(
                "INSERT OR IGNORE INTO study_ends (study_instance_uid, revision, evidence, ended_at, event_seq, flags) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (
                    ending.study_instance_uid,
                    ending.revision,
                    " ".join(ending.evidence),
                    ended_at,
                    ending.event_seq,
                    " ".join(ending.flags),
                ),
            )
            if not done.rowcount:
                return None
            seq = int(done.lastrowid or 0)
            objects = rows.execute(
                "SELECT object_seq FROM study_events WHERE study_instance_uid = ? AND object_seq IS NOT NULL "
                "AND seq <= ? ORDER BY object_seq",
                (ending.study_instance_uid, ending.event_seq),
            ).fetchall()
        return StudyEnd(
            seq,
            ending.study_instance_uid,
            ending.revision,
            ending.evidence,
            ended_at,
            tuple(object_seq for (object_seq,) in objects),
            ending.flags,
        )

    def history(self, study_instance_uid: str) -> History:
        """What is kept of one study."""
        events = self._index.rows(
            f"SELECT {_EVENT} FROM study_events WHERE study_instance_uid = ? ORDER BY seq", (study_instance_uid,)
        )
        ends = self._index.rows("SELECT event_seq FROM study_ends WHERE study_instance_uid = ?", (study_instance_uid,))
        return History(tuple(_events(events)), frozenset(seq for (seq,) in ends))

    def unfinished(self) -> list[str]:
        """Studies with objects that no end takes into account."""
        rows = self._index.rows(
            "SELECT event.study_instance_uid FROM study_events AS event LEFT JOIN study_ends AS ended "
            "USING (study_instance_uid) WHERE event.study_instance_uid <> '' AND event.object_seq IS NOT NULL "
            "GROUP BY event.study_instance_uid HAVING max(event.seq) > coalesce(max(ended.event_seq), 0)"
        )
        return [uid for (uid,) in rows]

    def step(self, step_uid: str) -> list[StudyEvent]:
        """The last event of a procedure step in each study that it is part of; [] for one that is not known."""
        rows = self._index.rows(
            f"SELECT {_EVENT} FROM study_events WHERE seq IN (SELECT max(seq) FROM study_events WHERE step_uid = ? "
            "AND step_uid <> '' GROUP BY study_instance_uid)",
            (step_uid,),
        )
        return _events(rows)

    def steps(self, study_instance_uid: str) -> int:
        """How many procedure steps the study is known to have."""
        ((count,),) = self._index.rows(
            "SELECT count(DISTINCT step_uid) FROM study_events WHERE study_instance_uid = ? AND step_uid <> ''",
            (study_instance_uid,),
        )
        return int(count)

    def has_objects(self, study_instance_uid: str) -> bool:
        """Whether any object of the study is in the store."""
        query = "SELECT 1 FROM study_events WHERE study_instance_uid = ? AND object_seq IS NOT NULL LIMIT 1"
        return bool(self._index.rows(query, (study_instance_uid,)))


def _insert(rows: sqlite3.Connection, event: StudyEvent, now: float) -> int:
    done = rows.execute(
        "INSERT INTO study_events (kind, study_instance_uid, patient, sender, object_seq, step_uid, flags, noted_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            event.kind,
            event.study_instance_uid,
            event.patient,
            event.sender,
            event.object_seq,
            event.step_uid,
            " ".join(event.flags),
            now,
        ),
    )
    assert done.lastrowid is not None
    return done.lastrowid


def _events(rows: Sequence[Any]) -> list[StudyEvent]:
    return [
        StudyEvent(seq, Kind(kind), uid, patient, sender, object_seq, step_uid, tuple(flags.split()))
        for seq, kind, uid, patient, sender, object_seq, step_uid, flags in rows
    ]
