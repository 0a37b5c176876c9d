"""The files that `cathrt replay` writes beside what it prints: a table, a page. Both are made from what was shown.

Not for: what they look like (sinks/), or the journal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cathrt.runtime.commands.pages import PageSink
from cathrt.runtime.line.pipeline import Line
from cathrt.runtime.models import record_parts
from cathrt.runtime.ports import Opening, Sink
from cathrt.runtime.sinks.table import TableSink


@dataclass(frozen=True, slots=True)
class ReplayFiles:
    """What was asked for; None for what was not."""

    table: TableSink | None
    page: PageSink | None

    @property
    def sinks(self) -> tuple[Sink, ...]:
        return tuple(sink for sink in (self.table, self.page) if sink is not None)

    def noting(self, openings: Iterable[Opening]) -> Iterable[Opening]:
        """The same openings; the page reads its pictures from them later."""
        return openings if self.page is None else self.page.noting(openings)

    def write(self, line: Line) -> Iterator[Path]:
        """Write them, once all is judged; yields each path when its file is whole. Raises SinkError."""
        if self.table is not None:
            self.table.write()
            yield from (self.table.path, self.table.runs_path)
        if self.page is not None:
            runs = self.page.judged_runs()
            self.page.write(f"{len(runs)} run{'' if len(runs) == 1 else 's'}", line, runs)
            yield self.page.path


@contextmanager
def replay_files(table: Path | None, page: Path | None) -> Iterator[ReplayFiles]:
    """Check before the first frame that what was asked for can be written. Raises ConfigError, SinkError."""
    parts = record_parts()
    made = None if table is None else TableSink(table, parts)
    try:
        yield ReplayFiles(made, None if page is None else PageSink(page, "--summary-page", parts))
    finally:
        if made is not None:
            made.close()
