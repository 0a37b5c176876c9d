"""The thread that reads a tap for ever: what is late, lost, hung, or comes back."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise

import numpy as np
import psutil
import pytest

from cathrt.runtime.clock import MonotonicClock
from cathrt.runtime.config import SourceConfig
from cathrt.runtime.counts import CountsInMemory
from cathrt.runtime.errors import SourceError
from cathrt.runtime.ports import Missing, Picture, Tap
from cathrt.runtime.sources.capture import inbox, tap_thread
from cathrt.runtime.sources.capture.reading import BackOff
from cathrt.runtime.sources.capture.sighting import Sighting, Silence
from cathrt.runtime.sources.capture.tap_thread import MOST_ABANDONED, TapThread
from tests.clocks import ManualClock
from tests.sources.capture.fake_taps import PATIENCE_S, Openings, ScriptedTap, picture

AT_ONCE = BackOff(0.0, 0.0)
CONFIG = SourceConfig("tap", "video", queue_frames=2, no_signal_s=5.0, first_picture_s=20.0)

PATIENT = SourceConfig("tap", "video", queue_frames=8)  # where every picture counts


class Read:
    """A TapThread with everything it was given."""

    def __init__(
        self,
        open_tap: Callable[[], Tap],
        config: SourceConfig = CONFIG,
        back_off: BackOff = AT_ONCE,
        clock: ManualClock | MonotonicClock | None = None,
    ) -> None:
        self.clock = ManualClock()
        self.counts = CountsInMemory()
        self.thread = TapThread(config, open_tap, clock or self.clock, self.counts, back_off)

    def take(self) -> Sighting | Missing | Silence | None:
        return self.thread.take(PATIENCE_S)

    def sighting(self) -> Sighting:
        found = self.take()
        assert isinstance(found, Sighting)
        return found

    def silence_after(self, seconds: float) -> Silence | None:
        self.clock.advance(seconds)
        found = self.thread.take(0.0)
        assert found is None or isinstance(found, Silence)
        return found


@contextmanager
def reading(
    open_tap: Callable[[], Tap], *, config: SourceConfig = CONFIG, back_off: BackOff = AT_ONCE
) -> Iterator[Read]:
    read = Read(open_tap, config, back_off)
    try:
        yield read
    finally:
        if isinstance(open_tap, Openings):
            open_tap.ended.set()
        read.thread.close()


def grey_of(found: object) -> int | str:
    return int(found.picture.pixels[0, 0]) if isinstance(found, Sighting) else type(found).__name__


def test_pictures_come_in_order_with_their_signature_and_are_counted() -> None:
    tap = ScriptedTap(picture(7, captured_ns=3), picture(9, captured_ns=4))
    with reading(Openings(tap)) as read:
        first, second = read.sighting(), read.sighting()
        assert [grey_of(first), grey_of(second)] == [7, 9]
        np.testing.assert_array_equal(first.signature, np.full((4, 4), 7.0, np.float32))
        assert [read.counts.value(name) for name in ("opened", "received", "hung")] == [1, 2, 0]
        assert read.counts.value("picture_ns") == 4


def test_nothing_within_the_wait_is_none() -> None:
    with reading(Openings(ScriptedTap())) as read:
        assert read.thread.take(0.0) is None
        assert read.thread.take(0.01) is None


def test_a_late_reader_gets_the_newest_pictures_and_the_overrun_ones_as_missing_in_their_place() -> None:
    broken = Missing(30, "broken", failed=True)
    tap = ScriptedTap(picture(1, captured_ns=10), picture(2, captured_ns=20), broken, picture(3), picture(4))
    with reading(Openings(tap)) as read:
        tap.wait_asked(6)
        found = [read.take() for _ in range(5)]
    assert [grey_of(item) for item in found] == ["Missing", "Missing", "Missing", 3, 4]
    reason = "overrun: 2 newer pictures were waiting"
    assert found[:3] == [Missing(10, reason, failed=False), Missing(20, reason, failed=False), broken]
    assert read.counts.value("received") == 5


def test_a_reader_that_is_too_late_for_a_picture_gets_the_newer_one_that_waits() -> None:
    # budget 100 ms: half of it may pass before the picture is taken
    box, ms = inbox.Inbox(3), 1_000_000
    for at_ms in (0, 40, 80):
        box.put(Sighting(picture(at_ms, captured_ns=at_ms * ms), np.zeros((1, 1), np.float32)))
    found = [box.take((100 - 50) * ms) for _ in range(3)]
    assert [grey_of(item) for item in found] == ["Missing", "Missing", 80]
    assert {item.reason for item in found[:2]} == {  # type: ignore[union-attr]
        "overrun: it had waited too long, and a newer picture was waiting"
    }


def test_the_newest_picture_is_never_too_late_and_order_is_kept() -> None:
    box, ms = inbox.Inbox(3), 1_000_000
    for at_ms in (0, 40):
        box.put(Sighting(picture(at_ms, captured_ns=at_ms * ms), np.zeros((1, 1), np.float32)))
    assert grey_of(box.take(0)) == 0, "not too late"
    assert grey_of(box.take(1000 * ms)) == 40
    assert box.take(1000 * ms) is None


def test_a_reader_that_stays_away_stops_the_reading_but_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "_MOST_WAITING", 100)
    pictures = 150
    tap = ScriptedTap(*[picture(index % 256, captured_ns=index, size=1) for index in range(pictures)])
    with reading(Openings(tap)) as read:
        tap.wait_asked(101)
        assert read.counts.value("received") == 100
        found = [read.take() for _ in range(pictures)]
        assert read.counts.value("received") == pictures
    times = [item.captured_ns if isinstance(item, Missing) else item.picture.captured_ns for item in found]  # type: ignore[union-attr]
    assert times == list(range(pictures))


def test_a_lost_connection_is_opened_anew_and_the_old_tap_closed() -> None:
    taps = [ScriptedTap(picture(index), SourceError("gone")) for index in range(3)]
    with reading(Openings(*taps), config=PATIENT) as read:
        found = [read.sighting() for _ in taps]
        assert [grey_of(item) for item in found] == [0, 1, 2]
        assert [item.flags for item in found] == [(), ("reopened",), ("reopened",)]
        for tap in taps:
            tap.wait_closed()


def test_a_thousand_restarts_leave_no_descriptor_thread_or_memory() -> None:
    class Holding(ScriptedTap):
        """Holds two descriptors and 1 MiB until it is closed."""

        def __init__(self) -> None:
            super().__init__(picture(), SourceError("gone"))
            self.pipe = deque(os.pipe())
            self.memory = np.ones(1 << 20, np.uint8)

        def close(self) -> None:
            with suppress(IndexError):
                while True:
                    os.close(self.pipe.pop())

    process = psutil.Process()
    with reading(Holding) as read:
        sizes = []
        for restarts in range(1, 1101):
            assert isinstance(read.take(), Sighting | Missing)
            if restarts in (100, 1100):
                sizes.append((process.num_fds(), process.num_threads(), process.memory_info().rss))
    (fds, threads, rss), (later_fds, later_threads, later_rss) = sizes
    assert read.counts.value("opened") >= 1100
    assert abs(later_fds - fds) <= 2  # a pipe that is just being opened or closed
    assert abs(later_threads - threads) <= 1
    assert later_rss - rss < 32 << 20  # 1000 MiB were held in between


def test_waits_grow_while_no_picture_comes_and_start_small_after_one() -> None:
    opened: list[float] = []
    refused, ended = SourceError("refused"), threading.Event()

    def open_tap() -> ScriptedTap:
        opened.append(time.monotonic())
        if len(opened) == 7:
            ended.set()
        if len(opened) == 5:
            return ScriptedTap(picture(), SourceError("gone"))
        raise refused

    with reading(open_tap, back_off=BackOff(0.02, 0.08)):
        assert ended.wait(PATIENCE_S)
    waits = [later - sooner for sooner, later in pairwise(opened)]
    assert all(wait >= least for wait, least in zip(waits, (0.02, 0.04, 0.08, 0.08, 0.02, 0.04), strict=False))


def test_a_call_that_never_returns_is_given_up_its_tap_closed_and_a_new_one_opened() -> None:
    stuck, fresh = ScriptedTap(picture(1), deaf=True), ScriptedTap()
    with reading(Openings(stuck, fresh)) as read:
        assert grey_of(read.sighting()) == 1
        assert read.silence_after(4.9) is None
        silence = read.silence_after(0.1)
        assert silence == Silence(0, "does not answer: a call into the source has not returned")
        stuck.wait_closed()
        fresh.wait_asked(1)
        stuck.put(picture(2))  # comes too late: nobody waits for it any more
        stuck.wait_asked(2)
        fresh.put(picture(3))
        found = read.sighting()
        assert (grey_of(found), found.flags) == (3, ("reopened",))
        assert [read.counts.value(name) for name in ("opened", "hung", "received")] == [2, 1, 2]


def test_an_opening_that_never_returns_is_given_up_after_first_picture_s_and_closed_when_it_does() -> None:
    let_go, late = threading.Event(), ScriptedTap(picture(1))

    def opening() -> ScriptedTap:
        let_go.wait()
        return late

    openings = Openings(opening, ScriptedTap(picture(2)))
    with reading(openings) as read:
        openings.wait_opened(1)
        assert read.silence_after(19.9) is None
        silence = read.silence_after(0.1)
        assert silence is not None
        assert silence.reason.startswith("does not answer")
        assert grey_of(read.sighting()) == 2
        let_go.set()
        late.wait_closed()
        assert [read.counts.value(name) for name in ("opened", "hung", "received")] == [1, 1, 1]


def test_a_tap_that_hangs_while_it_is_closed_is_given_up_too() -> None:
    let_go = threading.Event()

    class Reluctant(ScriptedTap):
        def close(self) -> None:
            super().close()
            let_go.wait()

    stuck = Reluctant(picture(1), SourceError("gone"))
    with reading(Openings(stuck, ScriptedTap(picture(2)))) as read:
        assert grey_of(read.sighting()) == 1
        stuck.wait_closed()
        assert read.silence_after(5.0) is not None
        assert grey_of(read.sighting()) == 2
        assert read.counts.value("hung") == 1
        let_go.set()


def test_more_hung_calls_than_are_borne_end_in_an_error_that_stays() -> None:
    taps = [ScriptedTap(deaf=True) for _ in range(MOST_ABANDONED + 1)]
    with reading(Openings(*taps)) as read:
        for tap in taps[:-1]:
            tap.wait_asked(1)
            assert read.silence_after(20.0) is not None
        taps[-1].wait_asked(1)
        for _ in range(2):
            with pytest.raises(SourceError, match="9 calls into the source have never returned"):
                read.silence_after(20.0)
        for tap in taps:
            tap.put(SourceError("at last"))


def test_hung_calls_that_return_later_do_not_add_up() -> None:
    with reading(lambda: ScriptedTap()) as read:
        for _ in range(3 * MOST_ABANDONED):
            found = read.silence_after(20.0)
            assert found is not None
            ended = [thread for thread in threading.enumerate() if thread.name == "cathrt-tap-tap"]
            for thread in ended[:-1]:
                thread.join(PATIENCE_S)
        assert read.counts.value("hung") == 3 * MOST_ABANDONED


def test_a_source_that_cannot_be_opened_is_silent_with_the_reason_and_not_hung() -> None:
    openings = Openings(*[SourceError("connection refused") for _ in range(10_000)])
    with reading(openings, back_off=BackOff(0.002, 0.002)) as read:
        silences = []
        for seconds in (19.9, 0.1, 4.9, 0.1):
            silences.append(read.silence_after(seconds))
            openings.wait_for_another()
        refused = Silence(0, "no signal: connection refused")
        assert silences == [None, refused, None, refused]
        assert read.counts.value("hung") == 0


def test_a_connection_that_gives_only_broken_pictures_is_opened_anew_and_not_hung() -> None:
    broken = ScriptedTap(picture(1))
    with reading(Openings(broken, ScriptedTap(picture(2)))) as read:
        read.sighting()
        read.clock.advance(3.0)
        broken.put(Missing(0, "no key picture", failed=True))
        assert grey_of(read.take()) == "Missing"
        silence = read.silence_after(2.0)
        assert silence == Silence(0, "no signal: the newest picture is missing: no key picture")
        assert grey_of(read.sighting()) == 2
        assert read.counts.value("hung") == 0
        broken.wait_closed()


def test_silence_is_said_again_each_time_no_signal_s_have_passed() -> None:
    with reading(Openings(ScriptedTap(picture(1)))) as read:
        read.clock.advance(1.0)
        read.sighting()
        start_ns = read.clock.now_ns()
        found = [read.silence_after(2.5) for _ in range(6)]
    assert [silence is not None for silence in found] == [False, True] * 3
    assert all(silence is None or silence.since_ns <= start_ns for silence in found)


def test_times_of_the_source_that_go_back_or_jump_are_flagged_and_the_picture_kept() -> None:
    at_ms = [(0, 1000.0), (40, 1040.0), (80, 900.0), (120, 940.0), (160, 9000.0), (200, None), (240, 9080.0)]
    tap = ScriptedTap(
        *[picture(ours, captured_ns=ours * 1_000_000, source_ms=theirs) for ours, theirs in at_ms],
        # a stalled network that comes back: our time jumps, the source's does not
        picture(241, captured_ns=9_000_000_000, source_ms=9120.0),
    )
    with reading(Openings(tap), config=PATIENT) as read:
        found = [read.sighting() for _ in range(8)]
    flags = [item.flags for item in found]
    assert flags == [(), (), ("time_went_back",), (), ("time_jumped",), (), (), ()]


def test_pictures_of_another_size_or_layout_are_handed_on_as_they_are() -> None:
    wide = np.zeros((3, 70), np.uint16)
    tap = ScriptedTap(picture(1, size=40), Picture(wide, picture().grayscale, 0))
    with reading(Openings(tap)) as read:
        first, second = read.sighting(), read.sighting()
    assert first.signature.shape == (32, 32)
    assert second.picture.pixels is wide
    assert second.signature.shape == (3, 32)


def test_close_wakes_a_waiting_reader_and_returns_though_a_call_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tap_thread, "_CLOSE_S", 0.2)
    stuck = ScriptedTap(deaf=True)
    read = Read(Openings(stuck))
    found: list[object] = []
    waiting = threading.Thread(target=lambda: found.append(read.thread.take(None)))
    waiting.start()
    stuck.wait_asked(1)
    closing = threading.Thread(target=read.thread.close)
    closing.start()
    waiting.join(PATIENCE_S)
    assert found == [None]
    stuck.wait_closed()
    closing.join(PATIENCE_S)
    assert not closing.is_alive()
    read.thread.close()  # again: nothing happens
    assert read.thread.take(None) is None
    stuck.put(SourceError("at last"))


def test_an_error_that_is_none_of_the_source_reaches_the_reader() -> None:
    with reading(Openings(ScriptedTap(picture(1), ZeroDivisionError("a bug")))) as read:
        read.sighting()
        with pytest.raises(ZeroDivisionError, match="a bug"):
            read.take()
