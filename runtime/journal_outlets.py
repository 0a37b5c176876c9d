"""The sinks as the journal sees them: which rows each has had, and whether it still takes any.

Not for: what a sink does with a record (sinks/).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cathrt.runtime.alert import StoredRecord
from cathrt.runtime.errors import SinkError
from cathrt.runtime.ports import Sink


@dataclass(slots=True)
class Outlet:
    """One sink. cursor: seq of the last row that a durable sink has taken; None for a sink that is not durable.

    failure: why it takes no more until the journal is opened again; None while it does.
    """

    name: str
    sink: Sink
    cursor: int | None = None
    failure: SinkError | None = None

    def deliver(self, records: Sequence[StoredRecord]) -> None:
        """Emit in order what a durable sink has not had; stops for good at the first SinkError."""
        for stored in records:
            if self.failure is not None:
                return
            if self.cursor is not None and stored.seq <= self.cursor:
                continue
            try:
                self.sink.emit(stored)
            except SinkError as exc:
                self.failure = exc
            else:
                if self.cursor is not None:
                    self.cursor = stored.seq
