"""Passes of live runs that a killed process left without a summary."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cathrt.runtime.alert import RunSummary
from cathrt.runtime.journal.report import verify_journal
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.line.interrupted import INTERRUPTED, end_interrupted
from cathrt.runtime.line.pipeline import watch
from cathrt.runtime.models import record_parts
from tests.lines import ArraySource, line
from tests.passes import AT_ONCE, Shown

SCORES = [0.1] * 4 + [0.9] * 5 + [0.1] * 3


class KilledError(Exception):
    """Stands for the end of the process."""


class CutShort(ArraySource):
    """Ends the process that reads it behind its seventh frame."""

    def frames(self):  # type: ignore[no-untyped-def]
        for item in super().frames():
            if item.index == 7:
                raise KilledError
            yield item


def leave_unfinished(path: Path, *, rate: str, name: str = "A 12:00:00") -> None:
    with Journal(path, AT_ONCE) as journal:
        try:
            watch(replace(CutShort(SCORES), name=name, frame_count=len(SCORES)), line(rate=rate), journal)  # type: ignore[arg-type]
        except KilledError:
            pass
        else:
            raise AssertionError("the run was to be cut short")


def summaries(shown: Shown) -> list[RunSummary]:
    return [record for record in shown.records if isinstance(record, RunSummary)]


def test_a_live_pass_without_a_summary_gets_one_that_counts_its_verdicts(tmp_path: Path) -> None:
    path, shown = tmp_path / "live.journal", Shown()
    leave_unfinished(path, rate="live")
    assert [books.complete for books in verify_journal(path, record_parts()).passes] == [False]
    with Journal(path, AT_ONCE, [shown]) as journal:
        assert end_interrupted(journal, record_parts()) == 1
        assert end_interrupted(journal, record_parts()) == 0, "once"
    (summary,) = summaries(shown)
    assert summary.flags == (INTERRUPTED,)
    assert (summary.source, summary.frames, summary.results) == ("A 12:00:00", 7, ())
    assert "end_to_end" in summary.latency_ms
    report = verify_journal(path, record_parts())
    assert report.sound
    assert not report.incomplete


def test_recorded_runs_and_finished_ones_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "live.journal"
    leave_unfinished(path, rate="realtime")
    with Journal(path, AT_ONCE) as journal:
        watch(ArraySource(SCORES, name="B"), line(rate="live"), journal)
    with Journal(path, AT_ONCE) as journal:
        assert end_interrupted(journal, record_parts()) == 0
    assert len(verify_journal(path, record_parts()).incomplete) == 1


def test_each_of_two_sources_that_were_cut_short_gets_its_summary(tmp_path: Path) -> None:
    path, shown = tmp_path / "live.journal", Shown()
    leave_unfinished(path, rate="live", name="A 12:00:00")
    leave_unfinished(path, rate="live", name="B 12:00:01")
    with Journal(path, AT_ONCE, [shown]) as journal:
        assert end_interrupted(journal, record_parts()) == 2
    assert [summary.source for summary in summaries(shown)] == ["A 12:00:00", "B 12:00:01"]
    assert verify_journal(path, record_parts()).sound
