"""F6 and F7: what a live source may do in the middle of a run. Every picture is held or a frame, and runs say why they
ended (I4).

Not for: connections that break off or hang (tests/sources/capture), and single events of the stream, each of which
tests/line/test_live_runs.py has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from cathrt.runtime.alert import JUDGED
from cathrt.runtime.counts import CountsInMemory
from cathrt.runtime.frame import Frame
from cathrt.runtime.line.pipeline import watch
from cathrt.runtime.sources.capture.sighting import Sighting, signature_of
from tests.line.test_live_runs import PERIOD_NS, Screen, Tap, live_runs, walked
from tests.lines import ListJournal, line

Recorded = Callable[[str, object], None]
FIFTY_HZ_NS = 20_000_000


def accounted(counts: CountsInMemory, pictures: int) -> None:
    assert counts.value("held") + counts.value("frames") == pictures


def paced(screen: Screen, pulses: int, period_ns: int) -> None:
    """Further pulses of four pictures each on a display of that period."""
    for _ in range(pulses):
        before = len(screen.items)
        screen.pulse()
        for place in range(before, len(screen.items)):
            sighting = screen.items[place]
            assert isinstance(sighting, Sighting)
            late_ns = (place - before + 1) * (period_ns - PERIOD_NS)
            screen.items[place] = replace(
                sighting, picture=replace(sighting.picture, captured_ns=sighting.picture.captured_ns + late_ns)
            )
        screen.now_ns += 4 * (period_ns - PERIOD_NS)


def test_a_display_that_changes_from_60_to_50_hz_in_mid_run_goes_on_with_the_run() -> None:
    screen, counts = Screen(), CountsInMemory()
    screen.hold()
    screen.run(20)  # 15 pulses/s
    paced(screen, 20, FIFTY_HZ_NS)  # 12.5 pulses/s
    screen.hold()
    ((run, items),) = walked(Tap(screen.items), counts)
    assert run.ended == "pedal off"
    assert sum(isinstance(item, Frame) for item in items) == 40, "each pulse is one new frame"
    times = [item.acquired_ns for item in items]
    assert times == sorted(times)
    assert 12.0 < run.run.timing.frame_rate_hz < 15.5
    accounted(counts, len(screen.items))


@pytest.mark.parametrize("each", [(4, 8), (4, 2)], ids=["15 to 7.5 pulses/s", "15 to 30 pulses/s"])
def test_a_pulse_rate_that_changes_in_mid_run_costs_no_picture(each: tuple[int, int]) -> None:
    screen, counts = Screen(), CountsInMemory()
    screen.hold()
    for pictures in each:
        screen.run(12, each=pictures)
    screen.hold()
    runs = walked(Tap(screen.items), counts)
    assert sum(isinstance(item, Frame) for _, items in runs for item in items) == 24
    assert {run.ended for run, _ in runs} == {"pedal off"}
    accounted(counts, len(screen.items))


def test_another_resolution_in_mid_run_ends_the_run_and_what_follows_is_another() -> None:
    screen, counts = Screen(), CountsInMemory()
    screen.hold()
    screen.run(10)
    before = len(screen.items)
    screen.run(10)
    for place in range(before, len(screen.items)):
        sighting = screen.items[place]
        assert isinstance(sighting, Sighting)
        pixels = np.kron(sighting.picture.pixels, np.ones((2, 2), np.uint8))
        pixels.setflags(write=False)
        screen.items[place] = Sighting(replace(sighting.picture, pixels=pixels), signature_of(pixels))
    tap, journal = Tap(screen.items), ListJournal()
    runs, ended = live_runs(tap, counts), []
    while (run := runs.next_run(tap.stop)) is not None:
        watch(run, replace(line(rate="live"), clock=tap), journal)
        ended.append((run.ended, run.run.rows))
    runs.drain()
    assert [rows for _, rows in ended] == [32, 64]
    assert ended[0][0] == "another layout"
    assert sum(verdict.outcome in JUDGED for verdict in journal.verdicts) == 20
    accounted(counts, len(screen.items))


def test_pictures_that_come_in_another_order_are_judged_as_they_came_and_all_counted() -> None:
    screen, counts = Screen(), CountsInMemory()
    screen.hold()
    screen.run(20, each=1)
    screen.hold()
    first, last = 62, 76
    moved = [screen.items[place] for place in range(first, last)]
    for place, item in zip(range(first, last, 2), zip(moved[1::2], moved[::2], strict=True), strict=True):
        screen.items[place : place + 2] = item  # each pair the other way round
    tap = Tap(screen.items)
    journal = ListJournal()
    runs = live_runs(tap, counts)
    while (run := runs.next_run(tap.stop)) is not None:
        watch(run, replace(line(rate="live"), clock=tap), journal)
    runs.drain()
    for summary in journal.summaries:
        indices = [verdict.frame_index for verdict in journal.verdicts if verdict.pass_id == summary.pass_id]
        assert indices == list(range(summary.frames))
    accounted(counts, len(screen.items))
