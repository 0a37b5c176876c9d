"""Times of the journal: its transactions, the disk, and how long an alert waits to be shown.

Not for: the journal's content (journal/report.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cathrt.runtime.alert import Percentiles

_NEWEST = 4096  # the percentiles are over this many


@dataclass(frozen=True, slots=True)
class JournalStats:
    """What the journal has cost since it was opened; percentiles in ms over the newest 4096, None before the first.

    appended: records handed in. stored: new rows. largest_group: records of the largest transaction.
    insert_ms: SQL of one transaction. sync_ms: its COMMIT, the write and sync of the WAL: the disk's own time.
    shown_ms: from append() of an alert, summary or refusal until every sink had it.
    blocked_appends, longest_block_ms: how often and how long append() had to wait because the queue was full.
    """

    appended: int
    stored: int
    commits: int
    largest_group: int
    insert_ms: Percentiles | None
    sync_ms: Percentiles | None
    shown_ms: Percentiles | None
    blocked_appends: int
    longest_block_ms: float


class Costs:
    """Collects the times that JournalStats reports. Not thread-safe: the journal calls it with its lock held."""

    def __init__(self) -> None:
        self._commits = self._stored = self._largest_group = self._blocked = self._longest_block_ns = 0
        self._insert_ms: deque[float] = deque(maxlen=_NEWEST)
        self._sync_ms: deque[float] = deque(maxlen=_NEWEST)
        self._shown_ms: deque[float] = deque(maxlen=_NEWEST)

    def committed(self, records: int, rows: int, insert_ns: int, sync_ns: int) -> None:
        """One transaction of so many records, which made so many new rows."""
        self._commits += 1
        self._stored += rows
        self._largest_group = max(self._largest_group, records)
        self._insert_ms.append(insert_ns / 1e6)
        self._sync_ms.append(sync_ns / 1e6)

    def shown(self, waits_ns: Iterable[int]) -> None:
        """How long each record that does not wait for its group has waited all the same."""
        self._shown_ms.extend(wait_ns / 1e6 for wait_ns in waits_ns)

    def blocked(self, wait_ns: int) -> None:
        """One append() that found the queue full."""
        self._blocked += 1
        self._longest_block_ns = max(self._longest_block_ns, wait_ns)

    def stats(self, appended: int) -> JournalStats:
        """Everything so far."""
        return JournalStats(
            appended=appended,
            stored=self._stored,
            commits=self._commits,
            largest_group=self._largest_group,
            insert_ms=_over(self._insert_ms),
            sync_ms=_over(self._sync_ms),
            shown_ms=_over(self._shown_ms),
            blocked_appends=self._blocked,
            longest_block_ms=self._longest_block_ns / 1e6,
        )


def _over(values_ms: Sequence[float]) -> Percentiles | None:
    return Percentiles.over(values_ms) if values_ms else None
