"""The progress sink counts frames, not records, and never shows more done than there are."""

from __future__ import annotations

from cathrt.runtime.line.pipeline import watch
from cathrt.runtime.sinks.progress import ProgressSink
from tests.lines import ArraySource, ListJournal, line
from tests.passes import stored


def test_every_verdict_advances_by_one_frame() -> None:
    told: list[tuple[int, int]] = []
    sink = ProgressSink(lambda done, total: told.append((done, total)))
    journal = ListJournal()
    source = ArraySource([0.1, 0.9, 0.1, None, 0.2])
    sink.opened(source.run)
    watch(source, line(), journal)
    for record in journal.records.values():
        sink.emit(stored(record))
    assert told == [(done, 5) for done in range(6)]


def test_a_run_of_unknown_length_grows_the_total() -> None:
    told: list[tuple[int, int]] = []
    sink = ProgressSink(lambda done, total: told.append((done, total)))
    journal = ListJournal()
    watch(ArraySource([0.1, 0.2]), line(), journal)
    for record in journal.records.values():
        sink.emit(stored(record))
    assert told == [(1, 1), (2, 2)]
