"""The phantom as a stream: the same for the same address, held or silent in its pauses, shown as on a screen."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import psutil
import pytest

from cathrt.runtime.clock import Clock, MonotonicClock
from cathrt.runtime.config import LimitsConfig, SourceConfig
from cathrt.runtime.errors import ConfigError, SourceError
from cathrt.runtime.frame import Frame
from cathrt.runtime.phantom.live import LiveSource
from cathrt.runtime.phantom.study import SceneRecipe, draw_study
from cathrt.runtime.ports import Missing, Picture, Tap
from cathrt.runtime.sources.capture.open_tap import tap_opening
from cathrt.runtime.sources.capture.phantom_address import phantom_stream
from cathrt.runtime.sources.capture.phantom_tap import OpenLive, PhantomTap
from tests.sources.capture.fake_taps import PATIENCE_S
from tests.sources.capture.live_servers import LIMITS
from tests.sources.capture.rendered_here import Renderer, rendered_here

FRAMES = 3


@contextmanager
def phantom(address: str, open_: OpenLive = rendered_here) -> Iterator[Tap]:
    source = SourceConfig("p", "phantom", f"matrix=64 frames={FRAMES} {address}")
    tap = PhantomTap(phantom_stream(source), source, LIMITS, MonotonicClock(), open_)
    try:
        yield tap
    finally:
        tap.close()


def images(tap: Tap) -> Iterator[list[Picture]]:
    """Pictures of the same image that follow each other."""
    pictures = (item for item in iter(tap.next, None) if isinstance(item, Picture))
    return (list(group) for _, group in itertools.groupby(pictures, key=lambda picture: picture.pixels.tobytes()))


def test_the_same_address_streams_the_same_images_and_another_seed_others() -> None:
    shown = []
    for seed, count in ((5, FRAMES + 1), (5, FRAMES + 1), (6, 1)):
        with phantom(f"seed={seed} rate_hz=100 pause_s=0.02") as tap:
            shown.append([group[0].pixels.tobytes() for group in itertools.islice(images(tap), count)])
    assert shown[0] == shown[1]
    assert shown[2][0] not in shown[0]


def test_a_run_is_that_of_the_study_with_its_angles() -> None:
    (press,) = draw_study(SceneRecipe(5, matrix=64, frame_rate_hz=100.0, most_frames=FRAMES), 1, 0.0)
    expected = rendered_here(press.recipe, LIMITS, MonotonicClock())
    with phantom("seed=5 rate_hz=100 runs=1") as tap:
        found = [tap.next() for _ in range(FRAMES)]
    geometry = expected.run.geometry
    for item, frame in zip(found, expected.frames(), strict=True):
        assert isinstance(item, Picture)
        assert isinstance(frame, Frame)
        np.testing.assert_array_equal(item.pixels, frame.pixels)
        angles = item.positioner_primary_angle_deg, item.positioner_secondary_angle_deg
        assert angles == (geometry.positioner_primary_angle_deg, geometry.positioner_secondary_angle_deg)
        assert item.grayscale.window_key == expected.run.grayscale.window_key


def test_the_last_image_is_held_in_a_pause() -> None:
    with phantom("rate_hz=100 pause_s=0.5") as tap:
        groups = list(itertools.islice(images(tap), FRAMES))
    assert [len(group) for group in groups[:-1]] == [1] * (FRAMES - 1)
    assert len(groups[-1]) >= 20  # 0.25 s at the least
    steps_ns = np.diff([picture.captured_ns for picture in groups[-1]])
    assert set(steps_ns.tolist()) == {10_000_000}
    assert np.diff([picture.source_ms for picture in groups[-1]]) == pytest.approx(10.0)  # type: ignore[arg-type]


def test_nothing_comes_in_a_pause_that_is_not_held() -> None:
    with phantom("rate_hz=100 pause_s=0.4 hold=no") as tap:
        groups = list(itertools.islice(images(tap), FRAMES + 1))
    assert [len(group) for group in groups[:FRAMES]] == [1] * FRAMES
    pause_ns = groups[FRAMES][0].captured_ns - groups[FRAMES - 1][0].captured_ns
    assert pause_ns >= 200_000_000


def test_a_screen_shows_each_image_several_times() -> None:
    with phantom("rate_hz=25 display_hz=100 pause_s=60") as tap:
        groups = list(itertools.islice(images(tap), FRAMES - 1))
    assert [len(group) for group in groups] == [4] * (FRAMES - 1)
    times = [picture.captured_ns for group in groups for picture in group]
    assert set(np.diff(times).tolist()) == {10_000_000}


def test_time_never_goes_back_however_late_the_reader_is() -> None:
    class Behind:
        """A clock that jumps a second ahead each time it is read."""

        now = 0

        def now_ns(self) -> int:
            self.now += 1_000_000_000
            return self.now

        def wait_until(self, deadline_ns: int) -> None:
            self.now = max(self.now, deadline_ns)

    source = SourceConfig("p", "phantom", f"matrix=64 frames={FRAMES} rate_hz=25 display_hz=100 pause_s=5")
    tap = PhantomTap(phantom_stream(source), source, LIMITS, Behind(), rendered_here)
    try:
        times = [picture.captured_ns for group in itertools.islice(images(tap), FRAMES + 2) for picture in group]
    finally:
        tap.close()
    assert times == sorted(times)
    assert len(times) > 4 * FRAMES


def test_after_the_last_run_its_image_is_held_for_ever_or_the_source_ends() -> None:
    with phantom("rate_hz=100 runs=1 pause_s=0") as tap:
        assert all(isinstance(tap.next(), Picture) for _ in range(FRAMES + 50))
    with phantom("rate_hz=100 runs=1 pause_s=0 hold=no") as tap:
        assert all(isinstance(tap.next(), Picture) for _ in range(FRAMES))
        with pytest.raises(SourceError, match="all its runs were shown"):
            tap.next()


def test_a_frame_that_was_not_rendered_in_time_is_missing_and_not_failed() -> None:
    class Late(Renderer):
        def take(self, index: int) -> np.ndarray | None:  # type: ignore[type-arg]
            return None if index == 1 else super().take(index)

    def late(recipe: SceneRecipe, limits: LimitsConfig, clock: Clock) -> LiveSource:
        return LiveSource(Late(recipe), clock)

    with phantom("rate_hz=100", late) as tap:
        found = [tap.next() for _ in range(2)]
    missing = found[1]
    assert isinstance(missing, Missing)
    assert (missing.failed, missing.reason) == (False, "not rendered when it was due: the renderer was behind")


def test_a_renderer_that_cannot_start_ends_the_connection() -> None:
    def broken(recipe: SceneRecipe, limits: LimitsConfig, clock: Clock) -> LiveSource:
        raise SourceError("phantom seed 1: the renderer cannot be started")

    with phantom("", broken) as tap:
        with pytest.raises(SourceError, match="cannot be started"):
            tap.next()


def test_a_run_that_is_being_prepared_when_the_tap_is_closed_is_closed_too() -> None:
    begun, go_on, closed = threading.Event(), threading.Event(), threading.Event()

    class Watched(Renderer):
        def close(self) -> None:
            closed.set()

    def slow(recipe: SceneRecipe, limits: LimitsConfig, clock: Clock) -> LiveSource:
        begun.set()
        go_on.wait(PATIENCE_S)
        return LiveSource(Watched(recipe), clock)

    with phantom("", slow):
        assert begun.wait(PATIENCE_S)
    go_on.set()
    assert closed.wait(PATIENCE_S)


def test_a_tap_as_configured_renders_in_processes_that_end_with_it() -> None:
    process = psutil.Process()
    before = {child.pid for child in process.children()}
    tap = tap_opening(SourceConfig("p", "phantom", "seed=2 matrix=64 frames=2 rate_hz=10 pause_s=0"), LIMITS)()
    assert isinstance(tap.next(), Picture | Missing)
    renderers = [child for child in process.children() if child.pid not in before]
    assert renderers
    tap.close()
    _, alive = psutil.wait_procs(renderers, timeout=PATIENCE_S)
    assert not alive


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("colour=red", "found 'colour=red', expected NAME=VALUE with one of seed, pause_s"),
        ("seed", "found 'seed', expected NAME=VALUE"),
        ("seed=x", "found seed=x, expected a whole number from 0"),
        ("matrix=8", "found matrix=8, expected a whole number from 64"),
        ("pause_s=-1", "found pause_s=-1, expected a number from 0"),
        ("rate_hz=nan", "found rate_hz=nan, expected a number from 0"),
        ("rate_hz=0", "found rate_hz=0, expected an X-ray pulse rate"),
        ("display_hz=5", "found display_hz=5, expected 0, or rate_hz to 250"),
        ("hold=maybe", "found hold=maybe, expected yes or no"),
        ("hold=no pause_s=4", "longer than no_signal_s = 5"),
    ],
)
def test_an_address_that_makes_no_sense_is_refused_before_anything_is_opened(address: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        tap_opening(SourceConfig("lab", "phantom", address), LIMITS)
    assert str(refused.value).startswith("sources.lab.address: ")
    assert said in str(refused.value)
