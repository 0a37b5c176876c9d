"""Up to which row a journal has been delivered, for whoever deletes rows. Reads the outbox; any process may ask.

Not for: delivering (delivery.py).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from cathrt.runtime.config import OutletConfig
from cathrt.runtime.outlets.kinds import follows
from cathrt.runtime.outlets.outbox import OutboxError

_BUSY_S = 10.0


def delivered_through(outbox: Path, outlets: Sequence[OutletConfig], journal: str, last_row: int) -> int:
    """The last row such that it and all before it were taken by every mandatory outlet, or are not for it.

    A dead letter counts as taken once a person has discarded it. last_row: of the journal, which is the answer where
    no outlet is mandatory. journal: "live", "study" or "gateway". Raises OutboxError: then nothing may be deleted.
    """
    mandatory = [outlet.name for outlet in outlets if outlet.mandatory and follows(outlet.kind, journal)]
    if not mandatory:
        return last_row
    if not outbox.exists():
        return 0
    through = last_row
    try:
        with closing(sqlite3.connect(f"{outbox.absolute().as_uri()}?mode=rw", _BUSY_S, uri=True)) as database:
            for name in mandatory:
                of_outlet = (name, journal)
                place = database.execute("SELECT seq FROM place WHERE outlet = ? AND journal = ?", of_outlet).fetchone()
                (dead,) = database.execute(
                    "SELECT min(seq) FROM dead_letter WHERE outlet = ? AND journal = ? AND state <> 'discarded'",
                    of_outlet,
                ).fetchone()
                through = min(through, place[0] if place else 0, through if dead is None else dead - 1)
    except sqlite3.Error as exc:
        raise OutboxError(f"{outbox}: cannot be read ({exc}): nothing may be deleted until it can") from exc
    return through
