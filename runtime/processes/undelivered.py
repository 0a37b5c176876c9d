"""Which studies a mandatory outlet of objects has not taken yet: their runs must stay, in the journal and in the store.

Not for: what else is still needed (retaining.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cathrt.runtime.alert import StoredRecord
from cathrt.runtime.config import OutletConfig
from cathrt.runtime.journal.lookups import first_row_of, last_seq, records_of_type
from cathrt.runtime.journal.records import values_of
from cathrt.runtime.outlets.delivered import delivered_through
from cathrt.runtime.outlets.kinds import DUE_TYPES, GATEWAY, OBJECT_KINDS, REVIEW, STUDY


def undelivered(journal: Path, outbox: Path, outlets: Sequence[OutletConfig], decisions: Path) -> list[StoredRecord]:
    """Records whose objects a mandatory outlet has yet to take: of study.journal, and finished reviews of
    gateway.journal (decisions). Raises JournalError, OutboxError."""
    waiting = [outlet for outlet in outlets if outlet.kind in OBJECT_KINDS and outlet.mandatory]
    found: list[StoredRecord] = []
    for name, path, types in ((STUDY, journal, DUE_TYPES), (GATEWAY, decisions, (REVIEW,))):
        if waiting and path.exists():
            through = delivered_through(outbox, waiting, name, last_seq(path))
            found += [row for type_ in types for row in records_of_type(path, type_) if row.seq > through]
    return found


def first_row_needed(journal: Path, rows: Sequence[StoredRecord]) -> int | None:
    """The first row of any run that these records rest on; None for none. Raises JournalError."""
    named = (row for row in rows if row.type != "study")  # a reading's study has its end among them, or had it
    run_ids = {run_id for row in named for run_id in values_of(row.body, "run_ids")[0]}
    runs = (values_of(row.body, "run_id", "pass_id") for row in records_of_type(journal, "run"))
    return first_row_of(journal, [pass_id for run_id, pass_id in runs if run_id in run_ids])
