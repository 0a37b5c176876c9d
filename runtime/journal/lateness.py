"""Whether an alert is still live when it is shown. Every process that shows alerts asks this.

Not for: raising alerts (pipeline.py) and how old an alert may be (line.stale_s).
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from functools import cache
from pathlib import Path

from cathrt.runtime.alert import LiveUntil, StoredRecord
from cathrt.runtime.journal.records import body_with, values_of


@cache
def boot() -> str:
    """Identity of the running kernel's start: readings of the monotonic clock compare only within one.

    Where the system does not tell it, one of this process alone: others then take its alerts as late.
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return str(uuid.uuid4())


def is_late(live_until: LiveUntil | None, now_ns: int) -> bool:
    """Whether that moment has passed at the clock reading `now_ns`, or cannot be compared with it."""
    return live_until is None or live_until.boot != boot() or now_ns > live_until.monotonic_ns


def as_shown(stored: StoredRecord, now_ns: int) -> StoredRecord:
    """The record as a sink is given it at the clock reading `now_ns`: an alert raised as live may be late by now."""
    if stored.type != "alert":
        return stored
    late, live_until = values_of(stored.body, "late", "live_until")
    if late is not False or not is_late(LiveUntil(**live_until), now_ns):
        return stored
    return replace(stored, body=body_with(stored.body, late=True))
