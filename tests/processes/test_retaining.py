"""The keepers of the three processes: each removes what is its own, and health says what they report."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from cathrt.runtime.alert import Record
from cathrt.runtime.config import Config, RetentionConfig
from cathrt.runtime.decisions.book import DecisionBook
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.listener.store_reader import StoreReader
from cathrt.runtime.processes.counts_file import CountsFile
from cathrt.runtime.processes.retaining import decision_rows, gateway_keeper, live_keeper, study_keeper
from cathrt.runtime.processes.retention_said import retention_said
from cathrt.runtime.processes.state_folder import StateFolder
from cathrt.runtime.processes.tally import durable_verdicts
from cathrt.runtime.retention.keeper import Keeper
from cathrt.runtime.retention.kept_journal import Moment
from cathrt.runtime.retention.rules import DAY_S
from cathrt.runtime.study.intake_book import IntakeBook
from cathrt.runtime.study.waiting import run_from_received
from tests.journal.pruned import PASS_ROWS, first_row, of_run, until
from tests.listener.watching import Watched, of_study
from tests.passes import AT_ONCE, decision, pass_of, start, tampered, write

CONFIG = Config(retention=RetentionConfig(live_days=10.0, study_days=10.0, store_days=10.0, free_mib=1))
LATER_S = 20 * DAY_S


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateFolder]:
    state = StateFolder(tmp_path / "state")
    state.make()
    yield state
    state.dismiss_memory()


def rounds(keeper: Keeper, number: int = 1) -> None:
    """What the keeper does twenty days from now, when its clocks have run well for an hour."""
    now = time.time() + LATER_S
    keeper.wall, keeper.steady = lambda: now, lambda: 0.0
    keeper.round()
    keeper.wall, keeper.steady = lambda: now + 3600, lambda: 3600.0
    for _ in range(number):
        keeper.round()


def live_runs(*numbers: int) -> list[Record]:
    """Runs of the source A."""
    runs = [of_run(f"run {number}") for number in numbers]
    starts = [replace(start(f"run {number}"), source=f"A 12:00:0{number}") for number in numbers]
    return [record for begun, run in zip(starts, runs, strict=True) for record in (begun, *run[1:])]


def test_the_live_process_prunes_its_journal_and_its_counts_stay_exact(state: StateFolder) -> None:
    write(state.live_journal, live_runs(1, 2, 3))
    with closing(CountsFile(state.counts("A"), "A")) as counts, Journal(state.live_journal, AT_ONCE) as journal:
        counts.settle({})
        counts.add("received", 80)
        counts.add("frames", 80)
        for record in live_runs(4):  # its mark says how old the rows before it are
            journal.append(record)
        journal.sync()
        state.report("retention-live").mkdir()  # a report that cannot be written keeps nothing from being removed
        rounds(live_keeper(state, CONFIG, journal, {"A": counts}))
        until(lambda: first_row(state.live_journal) == 3 * PASS_ROWS + 1)
        assert counts.since_seq == 3 * PASS_ROWS
    with closing(CountsFile(state.counts("A"), "A")) as counts:
        assert counts.settle(durable_verdicts(state.live_journal, "A", ["A"], counts.since_seq)) == 0
        assert (counts.value("met"), counts.value("lost")) == (80, 0)


def test_the_study_process_keeps_what_a_draft_needs_and_forgets_inputs_that_are_gone(state: StateFolder) -> None:
    watched = Watched(state.store)
    write(state.study_journal, [record for name in "abc" for record in of_run(f"run {name}")])
    with (
        closing(watched.store),
        closing(IntakeBook(state.intake)) as book,
        Journal(state.study_journal, AT_ONCE) as journal,
    ):
        journal.append(start("a later run"))
        journal.sync()
        for number, name in enumerate("ab", 1):
            watched.receives(f"1.{number}.1", of_study(f"1.{number}"))
            book.end(run_from_received(watched.store.received()[-1], Path("x")), pass_of(f"run {name}"))
        book.begin_model("draft", 0)
        watched.watch.look()
        for number in (1, 2):
            watched.watch.end_study(f"1.{number}")
            watched.passes(31.0)
        keeper = study_keeper(state, CONFIG, journal, book, StoreReader(state.store))

        rounds(keeper)
        assert first_row(state.study_journal) == 1
        assert "a draft of their study is not written yet" in retention_said(state, CONFIG.retention, 0)[1][0]

        book.done_with_end(run_from_received(watched.store.received()[0], Path("x")), "draft", 1)
        rounds(keeper)
        until(lambda: first_row(state.study_journal) == PASS_ROWS + 1)
        watched.store.remove(watched.store.received()[:1])
        rounds(keeper)
        assert book.passes_of((1, 2)) == [(2, pass_of("run b"))]


def test_the_gateway_removes_objects_and_health_has_what_it_reports(state: StateFolder) -> None:
    watched = Watched(state.store)
    with closing(watched.store), closing(IntakeBook(state.intake)) as book:
        for number in (1, 2, 3):
            watched.receives(f"1.{number}.1", of_study(f"1.{number}"))
            watched.watch.look()
            watched.watch.end_study(f"1.{number}")
            watched.passes(31.0)
        for received in watched.store.received():
            book.end(run_from_received(received, Path("x")), "a pass")
        with closing(DecisionBook(state.gateway_journal, AT_ONCE)) as decisions:
            rounds(gateway_keeper(state, CONFIG, watched.store, decisions))

        assert [received.seq for received in watched.store.received()] == [3]
        report = state.read_report("retention-gateway")
        assert report is not None
        assert report["removed"]["objects"]["removed"] == 2
        reasons, notes = retention_said(state, CONFIG.retention, report["at_ns"] + int(901e9))
        assert reasons == []
        assert notes == [
            "retention: gateway has not looked for 901 s",
        ]


def test_decisions_stay_unless_a_limit_is_set_and_a_short_disk_takes_none(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    made = [replace(decision(), id=f"decision {number}") for number in range(5)]
    write(state.gateway_journal, [*made])
    tampered(state.gateway_journal, "DELETE FROM mark", "INSERT INTO mark VALUES (4, 0)")
    later = Moment(LATER_S + 20 * DAY_S, missing_bytes=1 << 40, disk_is_short=True)
    with closing(DecisionBook(state.gateway_journal, AT_ONCE)) as book:
        kept_for_ever = decision_rows(state, CONFIG, book)
        assert (kept_for_ever(later).removed, first_row(state.gateway_journal)) == (0, 1)
        ten_days = replace(CONFIG, retention=replace(CONFIG.retention, gateway_days=10.0))
        decision_rows(state, ten_days, book)(later)
        until(lambda: first_row(state.gateway_journal) == 5)
