"""The live phantom: frames when they are due, every lost one accounted for, its renderer, its pauses."""

from __future__ import annotations

import os
import signal
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import groupby, islice

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from cathrt.runtime.alert import Outcome
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, Grayscale, LostFrame, Run, Timing, VoiWindow
from cathrt.runtime.line.pipeline import watch
from cathrt.runtime.phantom import PhantomSource
from cathrt.runtime.phantom.live import LEAD_FRAMES, LiveSource, open_live
from cathrt.runtime.phantom.output import pedal_openings
from cathrt.runtime.phantom.renderer_process import RendererProcess
from cathrt.runtime.phantom.study import Press, SceneRecipe, draw_study
from cathrt.runtime.ports import Source
from tests.clocks import ManualClock
from tests.lines import SIZE, ListJournal, line, picture
from tests.sources.reading import LIMITS

MS = 1_000_000
PERIOD_MS = 40  # 25 frames a second
RECIPE = SceneRecipe(1, matrix=64, frame_rate_hz=1e8, most_frames=9)


@dataclass
class SlowRenderer:
    """One frame after the other, each taking cost_ms of the fake clock; slow: frames that take longer.

    Works through its window as the real one does: what lies before a newer window is passed over, but a frame begun is
    finished.
    """

    clock: ManualClock
    cost_ms: float
    frames: int = 100
    slow: dict[int, float] = field(default_factory=dict)
    dies_at: int | None = None
    closed: bool = False
    asked: list[tuple[int, int]] = field(default_factory=list)
    _done_ns: dict[int, int] = field(default_factory=dict)
    _following: int = 0
    _free_ns: int = 0

    @property
    def run(self) -> Run:
        grayscale = Grayscale(8, voi=VoiWindow(100.0, 200.0, "LINEAR_EXACT"))
        return Run("run", "slow", self.frames, SIZE, SIZE, grayscale, Timing(1000.0 / PERIOD_MS, "FrameTime"))

    def want(self, first: int, stop: int) -> None:
        self._work()
        self.asked.append((first, stop))
        self._free_ns = max(self._free_ns, self.clock.now_ns())

    def take(self, index: int) -> NDArray[np.uint8] | None:
        self._work()
        arrived = self._done_ns.get(index, 1 << 62) <= self.clock.now_ns() and index >= self.asked[-1][0]
        return np.asarray(picture(0.1, index)) if arrived else None

    def ended(self) -> str | None:
        return None if self.dies_at is None or self._following < self.dies_at else "the renderer stopped: SIGKILL"

    def close(self) -> None:
        self.closed = True

    def _work(self) -> None:
        """Begin every frame that could be begun by now."""
        if not self.asked:
            return
        first, stop = self.asked[-1]
        while self._free_ns <= self.clock.now_ns():
            self._following = max(self._following, first)
            if self._following >= min(stop, self.frames) or self._following == self.dies_at:
                return
            self._free_ns += round(self.slow.get(self._following, self.cost_ms) * MS)
            self._done_ns[self._following] = self._free_ns
            self._following += 1


def pressed(renderer: SlowRenderer) -> LiveSource:
    """The source at the moment the pedal is pressed: as open_live waits for them, the first frames are there."""
    source = LiveSource(renderer, renderer.clock)
    renderer.clock.wait_until(round(LEAD_FRAMES * renderer.cost_ms * MS))
    return source


def walk(renderer: SlowRenderer) -> list[Frame | LostFrame]:
    return list(pressed(renderer).frames())


def delivered(items: list[Frame | LostFrame]) -> list[int]:
    return [item.index for item in items if isinstance(item, Frame)]


# --- when frames are due ---------------------------------------------------------------------------------------------


def test_each_frame_comes_when_it_is_due_and_carries_that_time() -> None:
    clock = ManualClock(now=7 * MS)
    renderer = SlowRenderer(clock, cost_ms=0.0, frames=20)
    seen = [(item, clock.now_ns()) for item in LiveSource(renderer, clock).frames()]
    for index, (item, now_ns) in enumerate(seen):
        assert isinstance(item, Frame), item
        assert item.acquired_ns == now_ns == (7 + index * PERIOD_MS) * MS
        np.testing.assert_array_equal(item.pixels, picture(0.1, index))


def test_the_renderer_is_never_more_than_its_lead_ahead() -> None:
    renderer = SlowRenderer(ManualClock(), cost_ms=1.0, frames=20)
    walk(renderer)
    assert renderer.asked[0] == (0, LEAD_FRAMES)
    assert renderer.asked[1:] == [(index, index + LEAD_FRAMES) for index in range(1, 21)]


@pytest.mark.parametrize("share", [1.1, 1.3, 1.9, 3.0, 5.0])
def test_a_renderer_too_slow_costs_frames_and_every_one_is_accounted_for(share: float) -> None:
    items = walk(SlowRenderer(ManualClock(), cost_ms=share * PERIOD_MS, frames=200))
    assert [item.index for item in items] == list(range(200))
    start_ns = items[0].acquired_ns
    assert [item.acquired_ns - start_ns for item in items] == [index * PERIOD_MS * MS for index in range(200)]
    lost = [item for item in items if isinstance(item, LostFrame)]
    assert lost
    assert {item.failed for item in lost} == {False}
    assert {item.reason for item in lost} <= {
        "not rendered when it was due: the renderer was behind",
        "passed over: the renderer was behind",
    }
    # It could have rendered 1/share of the frames; catching up may cost as much again, and a little more.
    assert len(delivered(items)) >= 200 / share / 3


def test_one_slow_frame_costs_some_frames_and_then_all_is_well_again() -> None:
    items = walk(SlowRenderer(ManualClock(), cost_ms=5.0, slow={10: 12.0 * PERIOD_MS}))
    lost = sorted(set(range(100)) - set(delivered(items)))
    assert lost[0] == 10
    assert lost == list(range(10, lost[-1] + 1)), "in one piece"
    assert 12 <= len(lost) + LEAD_FRAMES <= 12 + 4 * LEAD_FRAMES


def test_the_line_ends_what_the_renderer_missed_as_dropped_with_the_reason() -> None:
    clock = ManualClock()
    renderer = SlowRenderer(clock, cost_ms=1.5 * PERIOD_MS)
    journal = ListJournal()
    summary = watch(pressed(renderer), line(clock=clock), journal)
    outcomes = Counter(verdict.outcome for verdict in journal.verdicts)
    assert summary.frames == sum(outcomes.values()) == 100
    assert set(outcomes) == {Outcome.MET, Outcome.DROPPED}
    dropped = [verdict.reason for verdict in journal.verdicts if verdict.outcome is Outcome.DROPPED]
    assert all(reason is not None and reason.endswith("the renderer was behind") for reason in dropped)


def test_a_renderer_that_died_fails_the_frames_it_still_owes() -> None:
    items = walk(SlowRenderer(ManualClock(), cost_ms=1.0, frames=20, dies_at=8))
    assert delivered(items) == list(range(8))
    owed = items[8:]
    assert all(isinstance(item, LostFrame) and item.failed and item.ours for item in owed)
    assert {item.reason for item in owed if isinstance(item, LostFrame)} == {"the renderer stopped: SIGKILL"}


# --- the process -----------------------------------------------------------------------------------------------------


def test_the_process_describes_and_renders_what_the_phantom_would_here() -> None:
    here = PhantomSource(RECIPE.scene())
    renderer = RendererProcess(RECIPE, LIMITS)
    try:
        assert renderer.run.run_id == here.run.run_id
        assert (renderer.run.timing, renderer.run.geometry) == (here.run.timing, here.run.geometry)
        assert renderer.run.grayscale.voi == here.run.grayscale.voi
        assert (renderer.run.source, renderer.run.flags) == (here.run.source, here.run.flags)
        for first in (0, 6):  # frames 4 and 5 are passed over
            renderer.want(first, first + LEAD_FRAMES)
            assert renderer.settle(LIMITS.first_frame_s)
            for index in range(first, min(first + LEAD_FRAMES, 9)):
                pixels = renderer.take(index)
                assert pixels is not None
                assert not pixels.flags.writeable
                np.testing.assert_array_equal(pixels, here.render(index))
        assert renderer.take(4) is None
    finally:
        renderer.close()


def test_the_renderer_gives_way_to_the_line() -> None:
    renderer = RendererProcess(RECIPE, LIMITS)
    try:
        assert psutil.Process(renderer.pid).nice() == min(19, psutil.Process().nice() + 10)
    finally:
        renderer.close()


def test_a_killed_renderer_fails_its_frames_and_says_so() -> None:
    clock = ManualClock()
    renderer = RendererProcess(replace(RECIPE, frame_rate_hz=15.0), LIMITS)
    source = LiveSource(renderer, clock)
    assert renderer.settle(LIMITS.first_frame_s)
    os.kill(renderer.pid, signal.SIGKILL)
    renderer.want(0, 9)
    assert renderer.settle(LIMITS.first_frame_s), "its end must be noticed"
    items = list(source.frames())
    source.close()
    assert delivered(items) == list(range(LEAD_FRAMES)), "what had come is not lost"
    reasons = {item.reason for item in items if isinstance(item, LostFrame) and item.failed}
    assert reasons == {"the renderer stopped: ended with status -9 and no word"}


def test_a_recipe_beyond_the_limits_is_refused() -> None:
    with pytest.raises(SourceError, match="rows, columns beyond the limits: raise the limits"):
        RendererProcess(RECIPE, replace(LIMITS, max_rows=32))


def test_a_recipe_that_is_none_ends_in_the_renderers_last_word() -> None:
    with pytest.raises(SourceError, match=r"the renderer stopped: ValueError: matrix 8: expected 64 to 2048 pixels"):
        RendererProcess(replace(RECIPE, matrix=8), LIMITS)


def test_open_live_comes_back_with_the_first_frames_rendered() -> None:
    clock = ManualClock()
    source = open_live(replace(RECIPE, most_frames=LEAD_FRAMES), LIMITS, clock)
    assert delivered(list(source.frames())) == list(range(LEAD_FRAMES))
    source.close()


# --- the study -------------------------------------------------------------------------------------------------------


def study(presses: int, pause_s: float = 4.0, seed: int = 3) -> list[Press]:
    return list(draw_study(SceneRecipe(seed, matrix=64), presses, pause_s))


def test_the_same_seed_draws_the_same_study_and_a_longer_one_begins_alike() -> None:
    assert study(6) == study(9)[:6]
    assert study(6) != study(6, seed=4)


def test_a_study_fluoroscopes_before_it_films_the_left_artery_four_times_and_the_right_two_or_three() -> None:
    presses = list(islice(draw_study(SceneRecipe(11, matrix=64), 40, 0.0), 40))
    assert presses[0].fluoroscopy
    assert presses[0].recipe.kind == "no_contrast"
    filmed = [press.recipe.side for press in presses if press.recipe.kind == "coronary"]
    assert {press.fluoroscopy for press in presses if press.recipe.kind == "coronary"} == {False}
    lengths = [(side, len(list(views))) for side, views in groupby(filmed)][:-1]  # the last may be cut off
    assert {length for side, length in lengths if side == "left"} == {4}
    assert {length for side, length in lengths if side == "right"} <= {2, 3}
    assert len({press.recipe.seed for press in presses}) == 40


def test_a_press_is_exposed_as_it_says() -> None:
    for press in study(8):
        assert press.recipe.scene().fluoroscopy == press.fluoroscopy


def test_pauses_are_drawn_about_their_mean_and_the_first_press_waits_for_nothing() -> None:
    pauses = [press.pause_s for press in study(12, pause_s=4.0)]
    assert pauses[0] == 0.0
    assert all(2.0 <= pause <= 6.0 for pause in pauses[1:])
    assert len(set(pauses)) == 12
    assert {press.pause_s for press in study(5, pause_s=0.0)} == {0.0}


@pytest.mark.parametrize("rate_hz", [7.5, 15.0, 30.0])
def test_a_forced_rate_keeps_the_length_of_the_run(rate_hz: float) -> None:
    for seed in range(4):
        drawn = SceneRecipe(seed, matrix=64).scene()
        forced = SceneRecipe(seed, matrix=64, frame_rate_hz=rate_hz).scene()
        assert forced.frame_rate_hz == rate_hz
        assert forced.duration_s == pytest.approx(drawn.duration_s, abs=0.501 / rate_hz)


@pytest.mark.parametrize(("opening_s", "expected_s"), [(0.3, [0.3, 2.0, 1.5]), (1.7, [1.7, 2.0, 1.7])])
def test_the_pedal_is_pressed_when_the_pause_is_over_and_the_first_frames_are_there(
    opening_s: float, expected_s: list[float]
) -> None:
    clock = ManualClock()

    def opened(recipe: SceneRecipe, limits: object, clock_: object) -> Source:
        clock.now += round(opening_s * 1e9)
        return LiveSource(SlowRenderer(clock, cost_ms=1.0), clock)

    presses = [Press(replace(RECIPE, seed=seed), False, pause) for seed, pause in enumerate((0.0, 2.0, 1.5))]
    waited_s, pressed_at_ns = [], []
    for opening in pedal_openings(presses, LIMITS, clock, lambda press: pressed_at_ns.append(clock.now), opened):
        released_ns = clock.now_ns()
        opening.open().close()
        waited_s.append((clock.now_ns() - released_ns) / 1e9)
        assert pressed_at_ns[-1] == clock.now
    assert waited_s == pytest.approx(expected_s)
    assert len(pressed_at_ns) == 3


def test_a_pause_cut_short_stops_the_renderer() -> None:
    class Interrupted(ManualClock):
        def wait_until(self, deadline_ns: int) -> None:  # noqa: ARG002
            raise KeyboardInterrupt

    clock = Interrupted()
    renderer = SlowRenderer(clock, cost_ms=1.0)

    def opened(recipe: SceneRecipe, limits: object, clock_: object) -> Source:
        return LiveSource(renderer, clock)

    (opening,) = pedal_openings([Press(RECIPE, False, 2.0)], LIMITS, clock, open_=opened)
    with pytest.raises(KeyboardInterrupt):
        opening.open()
    assert renderer.closed
