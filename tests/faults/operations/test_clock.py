"""F8: the wall clock steps, goes backwards or drifts while runs are judged and runs come in.

What holds: order, latency and lateness go by the monotonic clock (I8); identities never collide (I2); no study ends
early. Times of day are names and notes, no more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from cathrt.runtime.alert import Alert, RunSummary, Verdict
from cathrt.runtime.journal.head import Head
from cathrt.runtime.journal.reader import JournalReader
from cathrt.runtime.journal.records import record_from_body
from cathrt.runtime.line.pipeline import watch
from cathrt.runtime.models import record_parts
from tests.faults.operations.processes import live, made_state
from tests.faults.operations.test_disk import books_are_whole
from tests.faults.weather import Weather
from tests.line.test_live_runs import Screen, Tap, live_runs
from tests.lines import ListJournal, line
from tests.listener.watching import Watched, of_study

Recorded = Callable[[str, object], None]
HOUR_NS = 3600 * 10**9


def records_in(journal: Path) -> Iterator[object]:
    with closing(JournalReader(journal)) as reader:
        place = Head()
        while batch := reader.read(place):
            yield from (record_from_body(followed.stored.body, record_parts()) for followed in batch)
            place = batch[-1].place


@pytest.mark.parametrize(
    "weather",
    [
        pytest.param(({"step_ns": HOUR_NS}, {"step_ns": -2 * HOUR_NS}), id="an hour forth, two back"),
        pytest.param(({"drift_ppm": 500}, {"drift_ppm": -500}), id="drift", marks=pytest.mark.slow),
    ],
)
def test_live_runs_are_judged_as_if_the_wall_clock_stood_still(
    weather: tuple[dict[str, int], ...], tmp_path: Path, record_property: Recorded
) -> None:
    state = made_state(tmp_path)
    sky = Weather(tmp_path / "weather", state.path)
    with live(state, sky.environment()) as running:
        running.wait_for_more("met", 3)
        for change in weather:
            sky.set(**change)
            took_s = running.wait_for_more("met", 1)
            running.wait_for_more("runs", 1)
        record_property("recovery_s", round(took_s, 3))
    books_are_whole(running)
    found = list(records_in(state.live_journal))
    times = [record.latency_ms for record in found if isinstance(record, Verdict)]
    latencies_ms = [each.end_to_end for each in times if each is not None]
    assert len(latencies_ms) > 50
    assert all(0.0 <= latency_ms < 30_000.0 for latency_ms in latencies_ms), "a latency has a step in it"
    assert not any(record.late for record in found if isinstance(record, Alert))
    summaries = [record for record in found if isinstance(record, RunSummary)]
    assert len({record.run_id for record in summaries}) == len(summaries) >= 2
    if "step_ns" in weather[0]:
        hours = {record.source.split()[1].partition(":")[0] for record in summaries}
        assert len(hours) > 1, "the step has not reached the process"


def test_two_runs_at_the_same_time_of_day_are_two_runs() -> None:
    screen = Screen()
    for _ in range(2):
        screen.hold()
        screen.run(10)
        screen.hold()
    tap, journal = Tap(screen.items), ListJournal()
    times = iter([1e9, 1e9 - 3600.0])  # the clock is set back by an hour between them, and more
    runs = live_runs(tap, wall_s=lambda: next(times))
    names: list[str] = []
    while (run := runs.next_run(threading.Event() if not names else tap.stop)) is not None:
        names.append(run.run.source)
        watch(run, replace(line(rate="live"), clock=tap), journal)
    assert names[0] > names[1], "the second is named by an earlier time of day"
    assert [summary.source for summary in journal.summaries] == names
    assert len({summary.run_id for summary in journal.summaries}) == 2


def test_a_study_does_not_end_since_the_wall_clock_stepped(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "store")
    try:
        wall_s = 1.8e9
        watched.watch.book._wall = lambda: wall_s
        watched.receives("1.1.1", of_study("1.1"))
        assert watched.passes(10.0) == []
        wall_s += 7 * 3600.0
        assert watched.passes(10.0) == [], "a step forth is no silence"
        wall_s -= 24 * 3600.0
        assert watched.passes(3500.0) == []
        (end,) = watched.passes(200.0)
        assert end.ended_at == wall_s
    finally:
        watched.store.close()
