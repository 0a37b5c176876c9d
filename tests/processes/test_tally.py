"""Durable verdicts, counted by their source; and counted again from the journal after a kill."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cathrt.runtime.counts import VERDICT_COUNTS, CountsInMemory
from cathrt.runtime.frame import LostFrame
from cathrt.runtime.journal.lookups import last_seq, records_of_type
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.line.pipeline import watch
from cathrt.runtime.processes.counts_file import CountsFile
from cathrt.runtime.processes.tally import Tally, durable_verdicts, source_of_run
from tests.lines import ArraySource, line
from tests.passes import AT_ONCE

REPEAT = LostFrame(2, 0, "shows the same as frame 1", failed=False, repeat=True)
BROKEN = LostFrame(3, 0, "cannot be decoded", failed=True)
OVERRUN = LostFrame(4, 0, "overrun", failed=False)


def run_of(name: str, items: list[float | LostFrame]) -> ArraySource:
    return ArraySource(items, name=name)


def counted(counts: CountsInMemory) -> dict[str, int]:
    return {name: counts.value(name) for name in VERDICT_COUNTS}


def test_each_verdict_is_counted_for_its_source_once_it_is_durable(tmp_path: Path) -> None:
    counts = {"A": CountsInMemory(), "A 2": CountsInMemory()}
    with Journal(tmp_path / "live.journal", AT_ONCE, [Tally(counts, lambda: 77)]) as journal:
        watch(run_of("A 12:00:00", [0.1, 0.2, REPEAT, BROKEN, OVERRUN]), line(rate="live"), journal)
        watch(run_of("A 2 12:00:00", [0.1, 0.2]), line(rate="live"), journal)
        watch(run_of("C 12:00:00", [0.1, 0.2]), line(rate="live"), journal)
    found = counted(counts["A"])
    assert found["met"] + found["late"] == 2
    assert (found["duplicate"], found["failed"], found["dropped"]) == (1, 1, 1)
    assert sum(counted(counts["A 2"]).values()) == 2
    assert counts["A"].value("verdict_ns") == counts["A"].value("inference_ns") == 77


def test_verdicts_without_an_inference_are_none_that_health_asks_for(tmp_path: Path) -> None:
    counts = CountsInMemory()
    with Journal(tmp_path / "live.journal", AT_ONCE, [Tally({"A": counts}, lambda: 77)]) as journal:
        watch(run_of("A 12:00:00", [replace(OVERRUN, index=0)]), line(rate="live"), journal)
    assert counts.value("verdict_ns") == 77
    assert counts.value("inference_ns") == 0


def test_the_journal_gives_the_same_counts_as_the_sink_did(tmp_path: Path) -> None:
    path, counts = tmp_path / "live.journal", {"A": CountsInMemory(), "B": CountsInMemory()}
    with Journal(path, AT_ONCE) as journal:
        watch(run_of("A 11:00:00", [0.1, 0.2, 0.3]), line(rate="live"), journal)
    after = last_seq(path)
    with Journal(path, AT_ONCE, [Tally(counts, lambda: 1)]) as journal:
        watch(run_of("A 12:00:00", [0.1, 0.2, REPEAT, BROKEN, OVERRUN]), line(rate="live"), journal)
        watch(run_of("B 12:00:00", [0.1, 0.2]), line(rate="live"), journal)
    for name, made in counts.items():
        assert durable_verdicts(path, name, counts, after) == counted(made)
    assert sum(durable_verdicts(path, "A", counts, 0).values()) == 8, "the run before is counted from the first row on"


def test_after_each_run_a_restart_need_not_read_further_back_and_counts_the_same(tmp_path: Path) -> None:
    path, names = tmp_path / "live.journal", ["A", "B"]
    pages = {name: CountsFile(tmp_path / f"counts {name}", name) for name in names}
    for page in pages.values():
        page.settle({})
    with Journal(path, AT_ONCE, [Tally(pages, lambda: 1)]) as journal:
        for run in (run_of("A 12:00:00", [0.1, 0.2, REPEAT, BROKEN, OVERRUN]), run_of("B 12:00:00", [0.1, 0.2])):
            pages[str(run.name)[0]].add("received", len(run.items))
            pages[str(run.name)[0]].add("frames", len(run.items))
            watch(run, line(rate="live"), journal)
            journal.sync()
    ends = {stored.seq for stored in records_of_type(path, "run")}
    before = {name: page.value("met") + page.value("late") for name, page in pages.items()}
    assert {page.since_seq for page in pages.values()} == ends
    for name, page in pages.items():
        assert page.settle(durable_verdicts(path, name, names, page.since_seq)) == 0
        assert page.value("met") + page.value("late") == before[name] == 2
        page.close()


@pytest.mark.parametrize(
    ("run", "expected"),
    [("A 12:00:00", "A"), ("A 2 12:00:00", "A 2"), ("AB 12:00:00", None), ("A", None), ("", None)],
)
def test_a_run_tells_its_source(run: str, expected: str | None) -> None:
    assert source_of_run(run, ["A", "A 2", "B"]) == expected
