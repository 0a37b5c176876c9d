"""When something in a journal was, by the wall clock: exactly for what this start of the machine has seen, else about.

Not for: latencies, which never use the wall clock.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from cathrt.runtime.journal.lateness import boot
from cathrt.runtime.web.journals.rows import JournalRows


@dataclass(frozen=True, slots=True)
class Dates:
    """since_seq: rows behind it are of this start of the machine. now_ns, wall_s: both clocks."""

    rows: JournalRows
    since_seq: int
    now_ns: Callable[[], int] = time.monotonic_ns
    wall_s: Callable[[], float] = time.time

    def at(self, seq: int, monotonic_ns: int | None) -> float | None:
        """Seconds since 1970 of a reading that row `seq` holds; of its storing, where it holds none. None: unknown."""
        if monotonic_ns is not None and seq > self.since_seq:
            return self.wall_s() - (self.now_ns() - monotonic_ns) / 1e9
        return self.rows.stored_at_s(seq)


def since_this_boot(rows: JournalRows, now_ns: int, wall_s: float) -> int:
    """The row behind which all are of this start of the machine: the monotonic clock counts from it."""
    before, first = rows.marks_around(wall_s - now_ns / 1e9)
    if first is None:
        return rows.last_seq()
    starts = [json.loads(row.body) | {"seq": row.seq} for row in rows.newest(("start",), first + 1, 10, first - before)]
    of_boot = [start["seq"] for start in starts if start["boot"] == boot()]
    if of_boot:
        return int(min(of_boot)) - 1
    return first - 1 if before else 0  # a journal that was begun in this start of the machine has no mark before it


def iso(at_s: float | None) -> str | None:
    """ISO 8601 in UTC, to the millisecond."""
    return None if at_s is None else datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds")
