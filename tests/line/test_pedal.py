"""Pedal on and off from signatures alone: what begins a run, what ends it, which pictures are repeats."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.runtime.line.pedal import Look, Pedal, Phase
from cathrt.runtime.line.pedal_signatures import CodingNoise, another_scene, change

MS = 1_000_000
Signature = NDArray[np.float32]


def scene(seed: int) -> Signature:
    return np.random.default_rng(seed).uniform(20.0, 200.0, (32, 32)).astype(np.float32)


def pulse(of: Signature, seed: int, noise: float = 2.0) -> Signature:
    """The same view with the noise of another pulse."""
    return of + np.random.default_rng(seed).normal(0.0, noise, of.shape).astype(np.float32)


class Playing:
    """Shows a pedal one picture after the other at a display's rate."""

    def __init__(self, display_hz: float = 60.0) -> None:
        self.pedal = Pedal()
        self.period_ns = round(1e9 / display_hz)
        self.now_ns = 0

    def show(self, signature: Signature, pictures: int = 1) -> list[Look]:
        looks = []
        for _ in range(pictures):
            self.now_ns += self.period_ns
            looks.append(self.pedal.see(signature.copy(), self.now_ns))
        return looks

    def hold(self, signature: Signature, seconds: float = 2.0) -> None:
        self.show(signature, round(seconds * 1e9 / self.period_ns))
        assert self.pedal.phase is Phase.HELD

    def run(self, of: Signature, pulses: int, each: int, seed: int = 100) -> list[list[Look]]:
        """each: pictures that show one pulse."""
        return [self.show(pulse(of, seed + number), each) for number in range(pulses)]


def test_a_second_pulse_makes_a_run_of_what_was_undecided() -> None:
    playing, view = Playing(), scene(1)
    playing.hold(view)
    first = playing.show(pulse(view, 1), 4)
    assert [look.phase for look in first] == [Phase.UNDECIDED] * 4
    assert [look.new for look in first] == [True, False, False, False]
    (second,) = playing.show(pulse(view, 2))
    assert second == Look(Phase.ON, new=True)


def test_one_still_alone_is_no_run_and_ends_undecided_after_its_time() -> None:
    playing = Playing()
    playing.hold(scene(1))
    looks = playing.show(scene(2), 60)
    phases = [look.phase for look in looks]
    assert Phase.ON not in phases
    assert phases[-1] is Phase.HELD
    (ended,) = [place for place, look in enumerate(looks) if look.begins]
    assert 0.39 < ended / 60.0 < 0.45, "the second of two pulses at 3.75 a second would have come by then"


def test_a_menu_that_is_opened_and_closed_at_once_is_no_run() -> None:
    playing, view = Playing(), scene(1)
    playing.hold(view)
    looks = playing.show(scene(2), 10) + playing.show(view, 60)
    assert Phase.ON not in [look.phase for look in looks]


def test_the_first_pictures_of_a_source_may_begin_a_run() -> None:
    playing, view = Playing(display_hz=30.0), scene(1)
    looks = playing.run(view, pulses=8, each=1)
    assert looks[0][0] == Look(Phase.UNDECIDED, new=True)
    assert playing.pedal.phase is Phase.ON


@pytest.mark.parametrize(
    ("rate_hz", "least_s", "most_s"), [(30.0, 0.3, 0.34), (15.0, 0.3, 0.34), (7.5, 0.4, 0.44), (3.75, 0.8, 0.84)]
)
def test_a_run_ends_when_the_same_is_shown_for_longer_than_three_pulses(
    rate_hz: float, least_s: float, most_s: float
) -> None:
    playing, view = Playing(), scene(1)
    playing.hold(view)
    each = round(60.0 / rate_hz)
    playing.run(view, pulses=10, each=each)
    looks = playing.show(pulse(view, 109), 60)
    (ended,) = [place for place, look in enumerate(looks) if look.begins]
    assert least_s <= (each + ended) / 60.0 <= most_s
    assert playing.pedal.phase is Phase.HELD


def test_one_pulse_that_shows_nothing_new_does_not_end_a_run() -> None:
    playing, view = Playing(), scene(1)
    playing.hold(view)
    playing.run(view, pulses=6, each=4)
    looks = playing.show(pulse(view, 105), 4) + playing.show(pulse(view, 200))
    assert [look.phase for look in looks] == [Phase.ON] * 5
    assert [look.new for look in looks] == [False] * 4 + [True]


def test_a_network_that_stalls_and_then_delivers_all_at_once_does_not_end_a_run() -> None:
    playing, view = Playing(), scene(1)
    playing.hold(view)
    playing.run(view, pulses=10, each=4)
    playing.now_ns += 500 * MS
    period_ns, playing.period_ns = playing.period_ns, 1 * MS
    looks = playing.show(pulse(view, 109), 2)
    looks += [look for pulse_looks in playing.run(view, pulses=7, each=4, seed=300) for look in pulse_looks]
    playing.period_ns = period_ns
    looks += [look for pulse_looks in playing.run(view, pulses=4, each=4, seed=400) for look in pulse_looks]
    assert {look.phase for look in looks} == {Phase.ON}
    assert not any(look.begins for look in looks)
    assert sum(look.new for look in looks) == 11


def test_another_scene_ends_the_run_and_begins_something_else() -> None:
    playing, view, other = Playing(), scene(1), scene(2)
    playing.hold(view)
    playing.run(view, pulses=6, each=4)
    (cut,) = playing.show(pulse(other, 1))
    assert cut == Look(Phase.UNDECIDED, new=True, begins=True, scene=True)


@pytest.mark.parametrize("brighter", [0.6, 1.3])
def test_a_change_of_brightness_is_no_other_scene(brighter: float) -> None:
    view = scene(1)
    assert not another_scene(view, view * np.float32(brighter), change(view, view * np.float32(brighter)))


def test_noise_alone_is_no_other_scene_where_there_is_nothing_to_see() -> None:
    flat = np.full((32, 32), 90.0, np.float32)
    before, now = pulse(flat, 1), pulse(flat, 2)
    assert not another_scene(before, now, change(before, now))


def test_a_clock_that_runs_while_the_image_is_held_is_nothing_new() -> None:
    playing, view = Playing(), scene(1)
    playing.hold(view)
    looks = []
    for second in range(20):
        shown = view.copy()
        shown[29:, 20:] = 30.0 * (second % 5) + 10.0  # 36 of 1,024 blocks
        looks += playing.show(shown, 10)
    assert not any(look.new for look in looks)


def test_a_clock_does_not_keep_a_run_going_that_has_ended() -> None:
    playing, view = Playing(), scene(1)
    playing.hold(view)
    playing.run(view, pulses=10, each=4)
    for tenth in range(10):
        shown = pulse(view, 109)
        shown[30:, 20:] = 20.0 * tenth
        playing.show(shown, 6)
    assert playing.pedal.phase is Phase.HELD


@pytest.mark.parametrize(("each", "display_hz"), [(4, 60.0), (2, 30.0), (1, 15.0)])
def test_repeats_are_told_from_pulses_whatever_the_display_shows(each: int, display_hz: float) -> None:
    playing, view = Playing(display_hz), scene(1)
    playing.hold(view)
    for looks in playing.run(view, pulses=20, each=each):
        assert [look.new for look in looks] == [True] + [False] * (each - 1)
        assert all(look.exact for look in looks[1:])
    assert playing.pedal.rate_hz == pytest.approx(15.0, rel=1e-3)


def test_the_rate_is_that_of_the_pulses_where_the_display_shows_them_unevenly() -> None:
    playing, view = Playing(display_hz=25.0), scene(1)
    playing.hold(view)
    assert playing.pedal.rate_hz is None
    places = [int(number * 15.0 / 25.0) for number in range(50)]
    for place in places:
        playing.show(pulse(view, place))
    assert playing.pedal.rate_hz == pytest.approx(15.0, rel=0.04)


def coded(of: Signature, seed: int, pictures: int) -> list[Signature]:
    """A pulse as a lossy coder brings it: most of it at once, the rest in steps of some 0.5 grey values."""
    shown = [pulse(of, seed)]
    for step in range(1, pictures):
        shown.append(pulse(shown[-1], 10_000 + 100 * seed + step, noise=0.3))
    return shown


def test_the_steps_of_a_lossy_coder_are_repeats_once_its_ways_are_known() -> None:
    playing, view = Playing(), scene(1)
    for step in coded(view, 0, 10):
        playing.show(step)
    playing.hold(step)
    looks = [[playing.show(picture)[0] for picture in coded(view, seed, 4)] for seed in range(1, 40)]
    known = looks[10:]
    assert all(of_pulse[0].new for of_pulse in known)
    assert sum(look.new for of_pulse in known for look in of_pulse[1:]) <= 0.05 * 3 * len(known)
    assert not any(look.exact for of_pulse in known for look in of_pulse[1:])
    assert playing.pedal.rate_hz == pytest.approx(15.0, rel=0.02)


def test_a_pulse_that_changes_little_is_one_when_a_pulse_is_due() -> None:
    playing, view = Playing(), scene(1)
    for step in coded(view, 0, 10):
        playing.show(step)
    playing.hold(step)
    for seed in range(1, 20):
        for picture in coded(view, seed, 4):
            playing.show(picture)
    weak = pulse(picture, 500, noise=0.45)
    steps = change(picture, pulse(picture, 501, noise=0.3))
    assert change(picture, weak) < 1.6 * steps, "it does not rise much over the steps before"
    assert [look.new for look in playing.show(weak, 3)] == [True, False, False]


def test_a_single_step_of_a_coder_while_the_image_is_held_is_no_run() -> None:
    playing, view = Playing(), scene(1)
    for step in coded(view, 0, 10):
        playing.show(step)
    playing.hold(step)
    phases = []
    for second in range(5):  # the coder's intra pictures, each made better a little later
        shown = pulse(step, second, noise=0.25)
        phases += [look.phase for look in playing.show(shown, 4)]
        phases += [look.phase for look in playing.show(pulse(shown, second + 50, noise=0.08), 60)]
    assert Phase.ON not in phases


def test_the_noise_of_a_source_is_learnt_while_nothing_new_is_shown_and_forgotten() -> None:
    noise = CodingNoise()
    unknown = noise.limit
    for number in range(20):
        noise.learn(0.0, number * 16 * MS)
    exact = noise.limit
    noise.learn(0.1, 400 * MS)
    assert exact < 0.1 < noise.limit < unknown
    noise.learn(0.0, 100_000 * MS)
    assert noise.limit == exact


def test_where_no_picture_comes_the_run_ends_later_than_where_the_same_is_shown() -> None:
    playing, view = Playing(), scene(1)
    playing.hold(view)
    playing.run(view, pulses=10, each=4)
    last_new_ns = playing.now_ns - 3 * playing.period_ns
    assert playing.pedal.nothing(last_new_ns + 700 * MS) is Phase.ON
    assert playing.pedal.nothing(last_new_ns + 760 * MS) is Phase.HELD


def test_after_forget_the_same_picture_is_something_new() -> None:
    playing, view = Playing(), scene(1)
    playing.hold(view)
    playing.pedal.forget()
    assert playing.show(view)[0] == Look(Phase.UNDECIDED, new=True)


def test_after_release_the_same_picture_is_still_held() -> None:
    playing, view = Playing(), scene(1)
    playing.hold(view)
    playing.run(view, pulses=6, each=4)
    playing.pedal.release()
    (look,) = playing.show(pulse(view, 105))
    assert look == Look(Phase.HELD, new=False, exact=True)
