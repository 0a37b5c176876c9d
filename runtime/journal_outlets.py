"""The sinks as the journal sees them: whether each still takes records, and what it is shown.

Not for: what a sink does with a record (sinks/), sinks in another process (journal_reader.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from cathrt.runtime.alert import Alert, Record, StoredRecord
from cathrt.runtime.errors import SinkError
from cathrt.runtime.ports import Sink
from cathrt.runtime.records import body_from_record, record_from_body

LONG_AGO = -1  # live_until_ns of what an earlier process stored: its clock and this one's cannot be compared


@dataclass(frozen=True, slots=True)
class Showing:
    """A durable row to be shown. live_until_ns: of an alert, when it stops being live; None: it is shown as stored."""

    stored: StoredRecord
    live_until_ns: int | None

    def at(self, now_ns: Callable[[], int]) -> StoredRecord:
        """The row as a sink is given it now: an alert that was live when it was raised may be late by now."""
        stored = self.stored
        if stored.type != "alert" or self.live_until_ns is None or now_ns() <= self.live_until_ns:
            return stored
        alert: Record = record_from_body(stored.body, ())
        if not isinstance(alert, Alert) or alert.late is not False:
            return stored
        return replace(stored, body=body_from_record(replace(alert, late=True)))


@dataclass(slots=True)
class Outlet:
    """One sink. failure: why it takes no more until the journal is opened again; None while it does."""

    name: str
    sink: Sink
    failure: SinkError | None = None

    def deliver(self, rows: Sequence[Showing], now_ns: Callable[[], int]) -> None:
        """Emit in order; stops for good at the first SinkError."""
        for row in rows:
            if self.failure is not None:
                return
            try:
                self.sink.emit(row.at(now_ns))
            except SinkError as exc:
                self.failure = exc
