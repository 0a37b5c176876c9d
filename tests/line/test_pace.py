"""Real-time pace: when frames come out, which are overrun, and that none vanishes. Time is the test's."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, Grayscale, LostFrame, Run, Timing
from cathrt.runtime.line.pace import as_taken, in_real_time


class SteppedClock:
    """Time stands still until the line has taken what is due: the test decides how far the line lags behind."""

    def __init__(self) -> None:
        self.time_ns = 1_000_000_000
        self.waits: list[int] = []

    def now_ns(self) -> int:
        return self.time_ns

    def wait_until(self, deadline_ns: int) -> None:
        self.waits.append(deadline_ns)
        self.time_ns = max(self.time_ns, deadline_ns)


class ListSource:
    def __init__(self, count: int, *, fails_after: int | None = None, gate: threading.Event | None = None) -> None:
        self.run = Run("run", "list", count, 2, 2, Grayscale(8), Timing(10.0, "FrameTime"))
        self._count, self._fails_after, self._gate = count, fails_after, gate

    def frames(self) -> Iterator[Frame | LostFrame]:
        for index in range(self._count):
            if index == self._fails_after:
                raise SourceError("the decoder died")
            yield Frame(np.full((2, 2), index, np.uint8), index, 0)
        if self._gate is not None:
            self._gate.set()

    def close(self) -> None: ...


def test_frames_are_due_by_the_run_s_own_timing() -> None:
    clock = SteppedClock()
    items = list(in_real_time(ListSource(5), 64, clock))
    assert [item.index for item in items] == [0, 1, 2, 3, 4]
    assert [item.acquired_ns for item in items] == [1_000_000_000 + i * 100_000_000 for i in range(5)]
    assert clock.waits == [item.acquired_ns for item in items]


def test_a_line_that_lags_gets_the_newest_frames_and_a_word_for_each_overrun_one() -> None:
    everything_fed = threading.Event()
    items = in_real_time(ListSource(10, gate=everything_fed), 3, SteppedClock())
    first = next(items)
    assert everything_fed.wait(60.0)
    rest = list(items)
    by_index = {item.index: item for item in [first, *rest]}
    assert sorted(by_index) == list(range(10)), "a frame vanished"
    assert [item.index for item in [first, *rest]] == list(range(10)), "out of order"
    assert all(isinstance(by_index[index], Frame) for index in (7, 8, 9)), "the newest must be judged"
    lost = [item for item in by_index.values() if isinstance(item, LostFrame)]
    assert len(lost) >= 6
    assert all("overrun" in item.reason and not item.failed for item in lost)


def test_an_error_of_the_source_surfaces_in_the_line_after_the_frames_before_it() -> None:
    items = in_real_time(ListSource(5, fails_after=3), 64, SteppedClock())
    seen: list[int] = []
    with pytest.raises(SourceError, match="died"):
        for item in items:
            seen.append(item.index)
    assert seen == [0, 1, 2]


def test_leaving_early_stops_the_feeder() -> None:
    before = threading.active_count()
    items = in_real_time(ListSource(1000), 4, SteppedClock())
    next(items)
    items.close()
    assert threading.active_count() == before


def test_unpaced_takes_every_frame_in_order() -> None:
    assert [item.index for item in as_taken(ListSource(7))] == list(range(7))
