"""Runs out of a stream: every picture is held or a frame of one run, whatever comes and however runs end."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cathrt.runtime.alert import Outcome
from cathrt.runtime.config import SourceConfig
from cathrt.runtime.counts import CountsInMemory
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, Grayscale, LostFrame
from cathrt.runtime.line.keep_warm import KeepWarm
from cathrt.runtime.line.live_run import LiveRun
from cathrt.runtime.line.live_runs import LiveRuns
from cathrt.runtime.line.pipeline import watch
from cathrt.runtime.ports import Missing, Picture
from cathrt.runtime.sources.capture.sighting import Sighting, Silence, signature_of
from tests.lines import ListJournal, line

PERIOD_NS = 16_666_667  # a display at 60 Hz
GREY = Grayscale(8)
Item = Sighting | Missing | Silence | None


@dataclass
class Tap:
    """Plays what it is given; time is that of the newest item. At the end it says so, or stops whoever waits."""

    items: Sequence[Item]
    stop: threading.Event = field(default_factory=threading.Event)
    at_end: Callable[[], None] | None = None
    taken: int = 0
    now: int = 0

    def take(self, wait_s: float | None) -> Item:
        if self.taken == len(self.items):
            (self.at_end or self.stop.set)()
            return None
        item = self.items[self.taken]
        self.taken += 1
        if isinstance(item, Sighting):
            self.now = item.picture.captured_ns
        elif isinstance(item, Missing):
            self.now = item.captured_ns
        else:
            self.now += round((wait_s or 0.0) * 1e9)
        return item

    def now_ns(self) -> int:
        return self.now

    def wait_until(self, deadline_ns: int) -> None:
        raise AssertionError(f"only the tap waits, not until {deadline_ns}")

    def close(self) -> None:
        """Nothing more is waited for."""
        self.items = [item for item in self.items[self.taken :] if item is not None]
        self.taken = 0


class Screen:
    """Writes down what a display shows, picture by picture."""

    def __init__(self, seed: int = 0, start_ns: int = 0) -> None:
        self.items: list[Item] = []
        self.now_ns = start_ns
        self.grayscale = GREY
        self._random = np.random.default_rng(seed)
        self._scenes: dict[int, NDArray[np.uint8]] = {}
        self._signature: tuple[NDArray[np.uint8], NDArray[np.float32]] | None = None
        self.shown = self._scene(0)

    def _scene(self, number: int) -> NDArray[np.uint8]:
        random = np.random.default_rng(900 + number)
        return self._scenes.setdefault(number, random.integers(40, 200, (32, 32)).astype(np.uint8))

    def picture(self, pixels: NDArray[np.uint8], *flags: str) -> None:
        self.now_ns += PERIOD_NS
        pixels.setflags(write=False)
        self.shown = pixels
        if self._signature is None or self._signature[0] is not pixels:
            self._signature = (pixels, signature_of(pixels))
        self.items.append(Sighting(Picture(pixels, self.grayscale, self.now_ns), self._signature[1], flags))

    def missing(self, reason: str = "overrun", *, failed: bool = False) -> None:
        self.now_ns += PERIOD_NS
        self.items.append(Missing(self.now_ns, reason, failed))

    def hold(self, pictures: int = 60) -> None:
        for _ in range(pictures):
            self.picture(self.shown)

    def still(self, number: int, pictures: int = 60) -> None:
        self.shown = self._scene(number)
        self.hold(pictures)

    def pulse(self, number: int = 0, each: int = 4, noise: int = 12) -> NDArray[np.uint8]:
        pixels = self._scene(number) + self._random.integers(0, noise, (32, 32)).astype(np.uint8)
        for _ in range(each):
            self.picture(pixels)
        return pixels

    def run(self, pulses: int = 10, number: int = 0, each: int = 4) -> list[NDArray[np.uint8]]:
        return [self.pulse(number, each) for _ in range(pulses)]


CONFIG = SourceConfig("A", "phantom")


def live_runs(tap: Tap, counts: CountsInMemory | None = None, **changes: Any) -> LiveRuns:
    config = changes.pop("config", CONFIG)
    return LiveRuns(config.name, tap, config, counts or CountsInMemory(), tap, **changes)


def walked(tap: Tap, counts: CountsInMemory | None = None, **changes: Any) -> list[tuple[LiveRun, list[Any]]]:
    """Every run of a tap and its items."""
    runs, found = live_runs(tap, counts, **changes), []
    while (run := runs.next_run(tap.stop)) is not None:
        found.append((run, list(run.frames())))
    runs.drain()
    return found


def test_a_run_begins_with_its_first_pulse_and_ends_when_the_last_image_is_held() -> None:
    screen = Screen()
    screen.hold()
    began = len(screen.items)
    pulses = screen.run(10)
    screen.hold()
    counts = CountsInMemory()
    ((run, items),) = walked(Tap(screen.items), counts)
    assert run.ended == "pedal off"
    assert [item.index for item in items] == list(range(len(items)))
    assert [item.acquired_ns for item in items] == [
        screen.items[began + number].picture.captured_ns  # type: ignore[union-attr]
        for number in range(len(items))
    ]
    frames = [item for item in items if isinstance(item, Frame)]
    assert [frame.index for frame in frames] == list(range(0, 40, 4))
    assert all(frame.pixels is pulse for frame, pulse in zip(frames, pulses, strict=True))
    assert counts.value("frames") == len(items) == 36 + 18, "ten pulses, the last one for 0.3 s"
    assert counts.value("held") == len(screen.items) - len(items)
    assert counts.value("runs") == 1


def test_repeats_name_the_frame_that_they_show_again() -> None:
    screen = Screen()
    screen.hold()
    screen.run(10)
    screen.hold()
    ((run, items),) = walked(Tap(screen.items))
    repeats = [item for item in items if isinstance(item, LostFrame)]
    assert all(repeat.repeat and not repeat.failed for repeat in repeats)
    assert [repeat.reason for repeat in repeats[:4]] == ["shows the same as frame 0"] * 3 + [
        "shows the same as frame 4"
    ]
    assert run.run.flags == (), "they were exact"


def test_repeats_that_differ_by_noise_are_repeats_too_and_the_run_says_so() -> None:
    screen = Screen()
    screen.hold()
    for _ in range(12):
        pixels = screen.pulse(each=1, noise=40)
        for step in range(3):  # fewer blocks change than a clock has
            noisy = pixels.copy()
            noisy[step, :20] += 1
            screen.picture(noisy)
    screen.hold()
    ((run, items),) = walked(Tap(screen.items))
    assert sum(isinstance(item, Frame) for item in items) == 12
    assert run.run.flags == ("near_duplicates",)


def test_the_first_picture_of_a_pulse_is_given_before_the_next_is_taken() -> None:
    screen = Screen()
    screen.hold()
    began = len(screen.items)
    screen.run(10)
    screen.hold()
    tap = Tap(screen.items)
    run = live_runs(tap).next_run(tap.stop)
    assert run is not None
    assert tap.taken == began + 5, "the second pulse has just come"
    for number, item in enumerate(run.frames()):
        assert tap.taken == max(began + 5, began + number + 1)
        if number == 30:
            break
        assert isinstance(item, Frame) == (number % 4 == 0)


def test_stills_are_no_runs() -> None:
    screen = Screen()
    for number in range(5):
        screen.still(number, 60)
    counts = CountsInMemory()
    assert walked(Tap(screen.items), counts) == []
    assert counts.value("held") == len(screen.items) == 300
    assert counts.value("runs") == counts.value("frames") == 0


def grown(screen: Screen) -> None:
    screen.shown = np.repeat(np.repeat(screen.shown, 2, axis=0), 2, axis=1)
    screen.hold()


def other_grey(screen: Screen) -> None:
    screen.grayscale = Grayscale(8, "MONOCHROME1")
    screen.hold()


def nothing(screen: Screen) -> None:
    screen.items += [None] * 20


def silence(screen: Screen) -> None:
    screen.items.append(Silence(screen.now_ns, "no signal: unplugged"))
    screen.hold()


def only_broken(screen: Screen) -> None:
    for _ in range(60):
        screen.missing("undecodable", failed=True)


@pytest.mark.parametrize(
    ("then", "ended", "flags"),
    [
        (Screen.hold, "pedal off", ()),
        (lambda screen: screen.still(3), "another scene", ()),
        (grown, "another layout", ()),
        (other_grey, "another layout", ()),
        (nothing, "no picture", ()),
        (only_broken, "no picture", ()),
        (silence, "no signal", ("interrupted",)),
        (lambda screen: None, "stopped", ("interrupted",)),
    ],
)
def test_a_run_says_why_it_ended(then: Callable[[Screen], None], ended: str, flags: tuple[str, ...]) -> None:
    screen = Screen()
    screen.hold()
    screen.run(10)
    then(screen)
    counts = CountsInMemory()
    ((run, items),) = walked(Tap(screen.items), counts)
    assert run.ended == ended
    assert run.run.flags == flags
    received = sum(isinstance(item, Sighting | Missing) for item in screen.items)
    assert counts.value("held") + counts.value("frames") == received
    assert counts.value("frames") == len(items) >= 40


def test_the_next_run_without_a_pause_is_a_run_of_its_own_from_its_first_picture() -> None:
    screen = Screen()
    screen.hold()
    screen.run(10)
    cut_ns = screen.now_ns + PERIOD_NS
    screen.run(10, number=7)
    screen.hold()
    (first, before), (second, after) = walked(Tap(screen.items))
    assert (first.ended, second.ended) == ("another scene", "pedal off")
    assert len(before) == 40
    assert after[0].acquired_ns == cut_ns
    assert first.run.run_id != second.run.run_id


def test_what_cannot_be_had_inside_a_run_is_a_lost_frame_and_outside_is_held() -> None:
    screen = Screen()
    screen.hold()
    screen.missing()
    screen.run(6)
    screen.missing("overrun: 2 newer pictures were waiting")
    screen.missing("undecodable", failed=True)
    screen.run(6)
    screen.hold()
    screen.missing()
    counts = CountsInMemory()
    ((_, items),) = walked(Tap(screen.items), counts)
    lost = [item for item in items if isinstance(item, LostFrame) and not item.repeat]
    assert [(item.index, item.reason, item.failed) for item in lost] == [
        (24, "overrun: 2 newer pictures were waiting", False),
        (25, "undecodable", True),
    ]
    assert counts.value("held") + counts.value("frames") == len(screen.items)


def test_a_picture_that_is_missing_while_it_is_undecided_keeps_its_place() -> None:
    screen = Screen()
    screen.hold()
    screen.pulse()
    screen.missing()
    screen.run(8)
    screen.hold()
    ((_, items),) = walked(Tap(screen.items))
    assert [type(item) for item in items[:6]] == [Frame, LostFrame, LostFrame, LostFrame, LostFrame, Frame]
    assert items[4].reason == "overrun"


@pytest.mark.parametrize(("rate_hz", "before"), [(0.0, ("default", 15.0)), (7.5, ("given", 7.5))])
def test_the_rate_is_measured_and_until_then_the_given_one(rate_hz: float, before: tuple[str, float]) -> None:
    screen = Screen()
    screen.hold()
    screen.run(10, each=2)
    screen.hold()
    tap = Tap(screen.items)
    run = live_runs(tap, config=replace(CONFIG, rate_hz=rate_hz)).next_run(tap.stop)
    assert run is not None
    assert (run.run.timing.origin, run.run.timing.frame_rate_hz) == before
    assert ("frame_rate_default" in run.run.flags) == (rate_hz == 0.0)
    list(run.frames())
    assert run.run.timing.origin == "measured"
    assert run.run.timing.frame_rate_hz == pytest.approx(30.0, rel=1e-3)
    assert run.run.flags == ()


def test_a_replay_of_an_earlier_run_is_flagged_and_a_new_run_of_the_same_view_is_not() -> None:
    screen = Screen()
    screen.hold()
    pulses = screen.run(20)
    screen.hold()
    screen.run(20)
    screen.hold()
    for pixels in pulses[5:15]:
        screen.shown = pixels
        screen.hold(4)
    screen.hold()
    runs = walked(Tap(screen.items))
    assert [run.run.flags for run, _ in runs] == [(), (), ("replay_of_earlier_run",)]


def test_a_run_that_shows_a_little_of_an_earlier_one_or_its_own_pictures_again_is_no_replay() -> None:
    screen = Screen()
    screen.hold()
    pulses = screen.run(12)
    screen.hold()
    for pixels in [*pulses[:5], *screen.run(12)[:6]]:
        screen.shown = pixels
        screen.hold(4)
    screen.hold()
    runs = walked(Tap(screen.items))
    assert [run.run.flags for run, _ in runs] == [(), ()]
    assert len(runs[1][1]) > 4 * (5 + 12 + 6)


def test_a_loop_of_its_own_pictures_is_no_replay_of_an_earlier_run() -> None:
    screen = Screen()
    screen.hold()
    pulses = screen.run(6)
    for pixels in pulses * 4:
        screen.shown = pixels
        screen.hold(4)
    screen.hold()
    ((run, _),) = walked(Tap(screen.items))
    assert run.run.flags == ()


def test_what_was_undecided_when_nothing_more_came_is_held_and_begins_no_later_run() -> None:
    screen = Screen()
    screen.hold()
    screen.pulse()
    screen.items += [None] * 20
    screen.now_ns += 20 * 100_000_000
    began_ns = screen.now_ns + PERIOD_NS
    screen.run(8)
    screen.hold()
    ((_, items),) = walked(Tap(screen.items))
    assert items[0].acquired_ns == began_ns


def test_after_another_layout_even_the_same_pixels_may_begin_a_run() -> None:
    screen = Screen()
    screen.hold()
    screen.run(8)
    screen.grayscale = Grayscale(8, "MONOCHROME1")
    began_ns = screen.now_ns + PERIOD_NS
    screen.hold(4)
    screen.run(8)
    screen.hold()
    (first, _), (second, items) = walked(Tap(screen.items))
    assert (first.ended, first.run.grayscale) == ("another layout", GREY)
    assert (items[0].acquired_ns, second.run.grayscale) == (began_ns, screen.grayscale)


def test_what_was_undecided_when_the_source_failed_is_held() -> None:
    screen = Screen()
    screen.hold()
    screen.pulse()
    counts = CountsInMemory()
    tap = Tap(screen.items, at_end=fails)
    with pytest.raises(SourceError, match="started anew"):
        live_runs(tap, counts).next_run(tap.stop)
    assert counts.value("held") == len(screen.items)


def test_what_the_tap_noticed_in_a_run_is_in_its_flags() -> None:
    screen = Screen()
    screen.hold()
    screen.picture(screen.shown, "reopened")
    screen.run(6)
    screen.picture(screen.shown, "time_went_back")
    screen.hold()
    ((run, _),) = walked(Tap(screen.items))
    assert run.run.flags == ("time_went_back",)


def test_a_run_is_named_by_its_source_and_the_time_of_day_at_which_it_began() -> None:
    screen = Screen()
    screen.hold()
    screen.run(10)
    tap, now_s = Tap(screen.items), 45_296.02  # the run began with its first pulse, 67 ms ago, before the full second
    run = live_runs(tap, wall_s=lambda: now_s).next_run(tap.stop)
    assert run is not None
    assert run.run.source == time.strftime("A %H:%M:%S", time.localtime(now_s - 1.0))
    assert (run.run.rows, run.run.columns, run.run.frame_count) == (32, 32, None)


def test_stop_lets_the_pictures_in_hand_end_as_frames_and_holds_later_ones() -> None:
    screen = Screen()
    screen.hold()
    began = len(screen.items)
    screen.run(20)
    tap, counts = Tap(screen.items), CountsInMemory()
    runs = live_runs(tap, counts)
    run = runs.next_run(tap.stop)
    assert run is not None
    items = run.frames()
    for _ in range(12):
        next(items)
    tap.stop.set()
    in_hand_ns = screen.items[began + 13].picture.captured_ns  # type: ignore[union-attr]
    tap.now_ns = lambda: in_hand_ns  # type: ignore[method-assign]
    assert len(list(items)) == 2
    assert run.ended == "stopped"
    assert runs.next_run(tap.stop) is None
    runs.drain()
    assert counts.value("frames") == 14
    assert counts.value("held") == len(screen.items) - 14


def test_a_run_that_is_closed_midway_gives_its_pictures_back() -> None:
    screen = Screen()
    screen.hold()
    screen.run(6)
    tap, counts = Tap(screen.items), CountsInMemory()
    runs = live_runs(tap, counts)
    run = runs.next_run(tap.stop)
    assert run is not None
    items = run.frames()
    next(items)
    items.close()  # type: ignore[attr-defined]
    run.close()
    run.close()
    assert run.ended == "given up"
    assert "interrupted" in run.run.flags
    assert counts.value("frames") == 1
    assert counts.value("frames") + counts.value("held") == tap.taken
    with pytest.raises(SourceError, match="already read"):
        run.frames()


def test_a_run_that_was_left_is_over_when_the_next_is_asked_for() -> None:
    screen = Screen()
    screen.hold()
    screen.run(6)
    screen.hold()
    screen.run(6)
    tap, counts = Tap(screen.items), CountsInMemory()
    runs = live_runs(tap, counts)
    left, then = runs.next_run(tap.stop), runs.next_run(tap.stop)
    assert left is not None
    assert then is not None
    assert then.run.run_id != left.run.run_id
    assert counts.value("held") + len(runs._stream._aside) == tap.taken


def test_a_run_is_walked_once() -> None:
    screen = Screen()
    screen.hold()
    screen.run(6)
    screen.hold()
    tap = Tap(screen.items)
    run = live_runs(tap).next_run(tap.stop)
    assert run is not None
    list(run.frames())
    with pytest.raises(SourceError, match="already read"):
        run.frames()


def fails() -> None:
    raise SourceError("the process has to be started anew")


def test_a_source_that_cannot_go_on_ends_the_run_with_its_error() -> None:
    screen = Screen()
    screen.hold()
    screen.run(6)
    tap, counts = Tap(screen.items, at_end=fails), CountsInMemory()
    runs = live_runs(tap, counts)
    run = runs.next_run(tap.stop)
    assert run is not None
    with pytest.raises(SourceError, match="started anew"):
        list(run.frames())
    assert "interrupted" in run.run.flags
    with pytest.raises(SourceError, match="started anew"):
        runs.next_run(tap.stop)
    assert counts.value("frames") + counts.value("held") == len(screen.items)


def test_the_engine_is_kept_warm_while_the_image_is_held_and_between_pulses() -> None:
    screen = Screen()
    screen.hold(120)
    screen.run(10, each=8)
    screen.hold(120)
    tap = Tap(screen.items)
    warmed: list[int] = []
    keep = KeepWarm(lambda: warmed.append(tap.now), 50.0, tap)
    ((_, items),) = walked(tap, keep_warm=keep)
    gaps = np.diff([0, *warmed, *(item.acquired_ns for item in items if isinstance(item, Frame))])
    assert len(warmed) > 60
    assert max(np.diff(sorted([*warmed, *(i.acquired_ns for i in items if isinstance(i, Frame))]))) < 70e6, gaps


def test_a_source_that_sends_new_pictures_only_is_waited_for_and_its_engine_kept_warm() -> None:
    screen = Screen()
    screen.hold()
    for _ in range(12):
        screen.pulse(each=1)
        screen.items += [None] * 2  # each is a wait
        screen.now_ns += 7 * PERIOD_NS
    screen.items += [None] * 40
    tap = Tap(screen.items)
    warmed: list[int] = []
    keep = KeepWarm(lambda: warmed.append(tap.now), 50.0, tap)
    ((run, items),) = walked(tap, keep_warm=keep)
    assert run.ended == "no picture"
    assert [type(item) for item in items] == [Frame] * 12
    assert len([at for at in warmed if items[0].acquired_ns < at < items[-1].acquired_ns]) >= 2 * 10


class Guarded(Tap):
    """Fails where the line takes a picture of a source that is not its own thread's."""

    owner: int | None = None

    def take(self, wait_s: float | None) -> Item:
        self.owner = self.owner or threading.get_ident()
        assert self.owner == threading.get_ident()
        return super().take(wait_s)


def test_two_sources_side_by_side_never_mix() -> None:
    found: dict[str, list[tuple[LiveRun, list[Any]]]] = {}
    screens = {name: Screen(seed, start_ns=1000) for seed, name in enumerate("AB")}
    for place, screen in enumerate(screens.values()):
        screen.hold(60)
        for _ in range(3):
            screen.run(8 + 4 * place, each=3 + place)
            screen.hold(60)
    both = threading.Barrier(2)

    def work(name: str) -> None:
        both.wait()
        found[name] = walked(Guarded(screens[name].items), config=replace(CONFIG, name=name))

    threads = [threading.Thread(target=work, args=(name,)) for name in "AB"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
    assert {name: len(runs) for name, runs in found.items()} == {"A": 3, "B": 3}
    for name, pulses in (("A", 8), ("B", 12)):
        own = {id(item.picture.pixels) for item in screens[name].items if isinstance(item, Sighting)}
        for run, items in found[name]:
            frames = [item for item in items if isinstance(item, Frame)]
            assert len(frames) == pulses
            assert all(id(frame.pixels) in own for frame in frames)
            assert run.run.source.startswith(f"{name} ")
    ids = [run.run.run_id for runs in found.values() for run, _ in runs]
    assert len(set(ids)) == 6, "the first runs of both began at the same moment"


def test_the_line_ends_every_picture_of_a_run_as_one_verdict() -> None:
    screen = Screen()
    screen.hold()
    screen.run(10)
    screen.missing("undecodable", failed=True)
    screen.missing()
    screen.hold()
    tap, journal = Tap(screen.items), ListJournal()
    run = live_runs(tap).next_run(tap.stop)
    assert run is not None
    summary = watch(run, line(rate="live", clock=tap), journal)
    outcomes = Counter(verdict.outcome for verdict in journal.verdicts)
    assert outcomes[Outcome.MET] + outcomes[Outcome.LATE] == 10
    assert outcomes[Outcome.FAILED] == outcomes[Outcome.DROPPED] == 1
    assert outcomes[Outcome.DUPLICATE] == summary.frames - 12
    assert [verdict.frame_index for verdict in journal.verdicts] == list(range(summary.frames))
    assert (summary.frame_rate_origin, summary.flags) == ("measured", ())
    assert summary.frame_rate_hz == pytest.approx(15.0, rel=1e-3)


PIECES: dict[str, Callable[[Screen, int], None]] = {
    "hold": lambda screen, size: screen.hold(size),
    "run": lambda screen, size: screen.run(size, each=1 + size % 4) and None,
    "other run": lambda screen, size: screen.run(size, number=size % 3) and None,
    "still": lambda screen, size: screen.still(size % 4, size),
    "missing": lambda screen, size: screen.missing(failed=size % 2 == 0),
    "nothing": lambda screen, size: screen.items.extend([None] * (size % 12)),
    "silence": lambda screen, size: silence(screen),
    "layout": lambda screen, size: other_grey(screen),
    "steps": lambda screen, size: screen.picture(screen.shown + np.uint8(size % 2)),
}


@given(
    pieces=st.lists(st.tuples(st.sampled_from(sorted(PIECES)), st.integers(1, 25)), max_size=8),
    seed=st.integers(0, 3),
    stop_at=st.none() | st.integers(1, 100),
)
@settings(max_examples=50)
def test_every_picture_is_held_or_a_frame_and_never_both(
    pieces: list[tuple[str, int]], seed: int, stop_at: int | None
) -> None:
    screen = Screen(seed)
    for piece, size in pieces:
        PIECES[piece](screen, size)
    tap, counts = Tap(screen.items), CountsInMemory()
    runs, frames, found = live_runs(tap, counts), 0, 0
    while (run := runs.next_run(tap.stop)) is not None:
        found += 1
        for number, item in enumerate(run.frames()):
            assert item.index == number
            assert (item.index, type(item)) != (0, LostFrame), "a run begins with something new"
            frames += 1
            assert counts.value("frames") == frames
            if frames == stop_at:
                tap.stop.set()
        assert run.ended is not None
    tap.close()
    runs.drain()
    received = sum(isinstance(item, Sighting | Missing) for item in screen.items)
    assert counts.value("received") == 0, "the tap's thread counts those"
    assert counts.value("held") + counts.value("frames") == received
    assert (counts.value("frames"), counts.value("runs")) == (frames, found)


def test_nothing_the_size_of_a_frame_is_kept_of_what_repeats() -> None:
    screen = Screen()
    screen.hold()
    screen.pulse(each=20)
    tap = Tap(screen.items)
    runs = live_runs(tap)
    for _ in screen.items:
        runs._stream.step()
    aside: Iterator[Any] = iter(runs._stream.taken())
    assert next(aside).picture is not None
    assert all(repeat.picture is None and repeat.signature is None for repeat in aside)
