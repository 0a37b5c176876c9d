"""One journal under its limits: how far it is to be pruned now, asked of its writer.

Not for: the rules (rules.py), pruning (journal/pruning.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cathrt.runtime.config import OutletConfig
from cathrt.runtime.journal.front import Extent, extent_of, stored_before, whole_passes_through
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.outlets.delivered import delivered_through
from cathrt.runtime.retention.rules import DAY_S, Bars, RowLimits, Rows, held_by, may_go, over_the_limit

MOST_ROWS = 20_000  # of one look; a look takes less than a second of a CPU that nobody else wants


@dataclass(frozen=True, slots=True)
class Looked:
    """What one look came to. removed: rows or objects, of so many bytes where that is known. more: look again soon.

    note: what a person may want to know. reason: why the disk fills up, and what to do; "" for neither.
    """

    removed: int = 0
    bytes: int = 0
    more: bool = False
    note: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """When a look is made, in seconds since 1970. missing_bytes: so much less is free than should be; 0: enough is.

    disk_is_short: so much is missing that rows go too.
    """

    now_s: float
    missing_bytes: int = 0
    disk_is_short: bool = False


@dataclass(frozen=True, slots=True)
class JournalLimits:
    """days, mib: 0 for no limit. keep_s: nothing younger goes."""

    days: float
    mib: int
    keep_s: float


@dataclass(slots=True)
class KeptJournal:
    """The retention of one journal, in the process that writes it.

    name: what outlets call it. undelivered: how far mandatory outlets have come. needed: rows up to which nothing of
    ours needs them any more. before: called with the row up to which is pruned, before it is asked for.
    """

    name: str
    journal: Journal
    limits: JournalLimits
    outlets: tuple[OutletConfig, ...]
    outbox: Path
    needed: Callable[[int], int] = lambda head: head
    before: Callable[[int], None] = lambda _through: None
    _removed: int = 0

    def look(self, moment: Moment) -> Looked:
        """Ask for what should and may go, a part of it at a time. Raises CathrtError: then nothing goes."""
        path = self.journal.path
        extent = extent_of(path)
        removed, self._removed = self.journal.pruned - self._removed, self.journal.pruned
        if extent is None or extent.head - extent.anchor < 2:
            return Looked(removed)
        rows = Rows(extent.anchor, extent.head, extent.used_bytes)
        wanted = over_the_limit(rows, self._limits_at(moment))
        bars = self._bars(extent, moment)
        allowed = min(wanted, may_go(rows, bars), rows.anchor + MOST_ROWS)
        through = whole_passes_through(path, allowed) if allowed > rows.anchor else rows.anchor
        if through > rows.anchor:
            self.before(through)
            self.journal.prune(through)
        return Looked(
            removed,
            more=rows.anchor < through < wanted and allowed < wanted,
            note=self._note(rows, wanted, through, bars, moment),
            reason=f"pruning stopped: {failure}" if (failure := self.journal.prune_failure) else "",
        )

    def _limits_at(self, moment: Moment) -> RowLimits:
        days = self.limits.days
        aged = stored_before(self.journal.path, moment.now_s - days * DAY_S) if days else 0
        return RowLimits(aged, self.limits.mib << 20, moment.disk_is_short)

    def _bars(self, extent: Extent, moment: Moment) -> Bars:
        return Bars(
            delivered=delivered_through(self.outbox, self.outlets, self.name, extent.head),
            grown=stored_before(self.journal.path, moment.now_s - self.limits.keep_s),
            needed=self.needed(extent.head),
        )

    def _note(self, rows: Rows, wanted: int, through: int, bars: Bars, moment: Moment) -> str:
        notes = ["rows are removed before their time: the disk is short"] if moment.disk_is_short else []
        if wanted > rows.anchor and (why := held_by(wanted, bars)):
            notes.append(f"{wanted - through} rows over the limit stay: {why}")
        return "; ".join(notes)
