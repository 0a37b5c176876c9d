"""What a store's index knows of studies and commitments that are long gone: removed.

Not for: objects (kept_objects.py), the study process's own book (study/old_inputs.py).
"""

from __future__ import annotations

from cathrt.runtime.listener.commitment_book import CommitmentState
from cathrt.runtime.listener.index import Index

_MOST = 1000  # rows of one look


def forget_studies(index: Index, before_s: float) -> int:
    """Remove events and ends of studies of which no object is there and nothing came since that moment, and requests
    for storage commitment that were answered or given up before it. Returns how many rows. Raises sqlite3.Error.

    The newest event and the newest end stay, because numbers go on from them.
    """
    with index.transaction() as rows:
        gone = [
            uid
            for (uid,) in rows.execute(
                "SELECT study_instance_uid FROM study_events AS event WHERE seq < (SELECT max(seq) FROM study_events) "
                "GROUP BY study_instance_uid HAVING max(noted_at) < ? AND NOT EXISTS "
                "(SELECT 1 FROM objects JOIN study_events AS of_it ON of_it.object_seq = objects.seq "
                "WHERE of_it.study_instance_uid = event.study_instance_uid) LIMIT ?",
                (before_s, _MOST),
            )
        ]
        removed = 0
        for uid in gone:
            for table in ("study_events", "study_ends"):
                removed += rows.execute(
                    f"DELETE FROM {table} WHERE study_instance_uid = ? AND seq < (SELECT max(seq) FROM {table})", (uid,)
                ).rowcount
        removed += rows.execute(
            "DELETE FROM commitments WHERE seq IN "
            "(SELECT seq FROM commitments WHERE state <> ? AND requested_at < ? LIMIT ?)",
            (CommitmentState.PENDING, before_s, _MOST),
        ).rowcount
    return removed
