"""Keeping an idle engine warm: when, how often, and never while a frame waits. Time is the test's."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from cathrt.runtime.frame import Frame, Grayscale, LostFrame, Run, Timing
from cathrt.runtime.line.keep_warm import KeepWarm
from cathrt.runtime.line.pace import in_real_time

MS = 1_000_000


class Clock:
    """Time passes when somebody waits for it, or when the test says so."""

    def __init__(self) -> None:
        self.now_ms = 0.0
        self.waits: list[float] = []

    def now_ns(self) -> int:
        return round(self.now_ms * MS)

    def wait_until(self, deadline_ns: int) -> None:
        self.waits.append(deadline_ns / MS)
        self.now_ms = max(self.now_ms, deadline_ns / MS)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_it_is_due_after_so_long_without_work_and_then_anew(clock: Clock) -> None:
    warmed: list[float] = []
    keep = KeepWarm(lambda: warmed.append(clock.now_ms), 50.0, clock)
    for clock.now_ms in range(0, 200, 10):
        if clock.now_ms == 90:
            keep.worked()
        keep.idle()
    assert warmed == [50, 140, 190]


def test_the_patience_is_what_is_left_until_it_is_due(clock: Clock) -> None:
    keep = KeepWarm(lambda: None, 50.0, clock)
    assert keep.patience_s == 0.05
    clock.now_ms = 20.0
    assert keep.patience_s == pytest.approx(0.03)
    clock.now_ms = 500.0
    assert keep.patience_s == 0.0
    keep.idle()
    assert keep.patience_s == 0.05


def test_warming_that_takes_long_counts_from_its_end(clock: Clock) -> None:
    def slow() -> None:
        clock.now_ms += 18.0

    keep = KeepWarm(slow, 50.0, clock)
    clock.now_ms = 50.0
    keep.idle()
    assert clock.now_ms == 68.0
    assert keep.patience_s == 0.05


def test_a_pause_between_runs_is_spent_warm_and_ends_on_time(clock: Clock) -> None:
    warmed: list[float] = []
    keep = KeepWarm(lambda: warmed.append(clock.now_ms), 50.0, clock)
    keep.wait_until(220 * MS)
    assert warmed == [50, 100, 150, 200]
    assert clock.now_ms == 220
    keep.wait_until(100 * MS)
    assert clock.now_ms == 220, "a deadline that has passed is no wait"


def test_a_pause_that_is_shorter_is_waited_for_in_one(clock: Clock) -> None:
    keep = KeepWarm(lambda: pytest.fail("not due"), 50.0, clock)
    keep.wait_until(30 * MS)
    assert clock.waits == [30.0]


class Gated:
    """A source whose second frame comes only once the engine was warmed `warmings` times."""

    def __init__(self, warmings: int) -> None:
        self.run = Run("run", "gated", 3, 2, 2, Grayscale(8), Timing(10.0, "FrameTime"))
        self.warmings = warmings
        self.warmed = threading.Event()
        self.count = 0

    def warm(self) -> None:
        self.count += 1
        if self.count == self.warmings:
            self.warmed.set()

    def frames(self) -> Iterator[Frame | LostFrame]:
        yield Frame(np.zeros((2, 2), np.uint8), 0, 0)
        assert self.warmed.wait(20.0), "the engine was not kept warm"
        yield Frame(np.ones((2, 2), np.uint8), 1, 0)
        yield Frame(np.zeros((2, 2), np.uint8), 2, 0)

    def close(self) -> None: ...


class Ticking:
    """A clock on which every reading is 10 ms later, so that waiting needs no real time."""

    def __init__(self) -> None:
        self._now_ns = 0

    def now_ns(self) -> int:
        self._now_ns += 10 * MS
        return self._now_ns

    def wait_until(self, deadline_ns: int) -> None:
        self._now_ns = max(self._now_ns, deadline_ns)


def test_a_line_that_waits_for_frames_keeps_its_engine_warm_and_gets_every_frame() -> None:
    source, clock = Gated(warmings=4), Ticking()
    keep = KeepWarm(source.warm, 15.0, clock)
    items = list(in_real_time(source, 4, clock, keep))
    assert [item.index for item in items] == [0, 1, 2]
    assert all(isinstance(item, Frame) for item in items)
    assert source.count >= 4


def test_no_frame_waits_for_a_warming_that_was_not_begun() -> None:
    source = Gated(warmings=1)
    source.warmed.set()
    clock, order = Ticking(), []
    keep = KeepWarm(lambda: order.append("warm"), 0.0, clock)
    everything = threading.Event()

    class Ready(Gated):
        def frames(self) -> Iterator[Frame | LostFrame]:
            yield from source.frames()
            everything.set()

    items = in_real_time(Ready(1), 8, clock, keep)
    order.append(next(items).index)
    assert everything.wait(20.0)
    del order[:-1]  # what was done before the first frame came is not at issue
    order += [item.index for item in items]
    frames = [entry for entry in order if entry != "warm"]
    assert frames == [0, 1, 2]
    assert order[: len(frames)] == frames, "it was always due, yet frames that wait go first"


def test_every_frame_that_was_judged_begins_the_waiting_anew(clock: Clock) -> None:
    source = Gated(warmings=1)
    source.warmed.set()
    keep = KeepWarm(lambda: pytest.fail("not due"), 1000.0, clock)
    items = in_real_time(source, 8, clock, keep)
    for _ in range(3):
        next(items)
        clock.now_ms += 900.0  # judging it; twice that would be due
    assert list(items) == []
    assert keep.patience_s == 1.0
