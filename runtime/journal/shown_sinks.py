"""The sinks as the journal sees them: whether each still takes records, and what it is shown.

Not for: what a sink does with a record (sinks/), sinks in another process (journal/reader.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cathrt.runtime.alert import StoredRecord
from cathrt.runtime.errors import SinkError
from cathrt.runtime.journal.lateness import as_shown
from cathrt.runtime.ports import Sink


@dataclass(slots=True)
class ShownSink:
    """One sink. failure: why it takes no more until the journal is opened again; None while it does."""

    name: str
    sink: Sink
    failure: SinkError | None = None

    def deliver(self, rows: Sequence[StoredRecord], now_ns: Callable[[], int]) -> None:
        """Emit in order; stops for good at the first SinkError. now_ns: the clock by which alerts become late."""
        for row in rows:
            if self.failure is not None:
                return
            try:
                self.sink.emit(as_shown(row, now_ns()))
            except SinkError as exc:
                self.failure = exc
