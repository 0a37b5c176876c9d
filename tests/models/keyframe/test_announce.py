"""Key-frame alerts while a run goes on: when they come, when they do not, and about which frame."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig
from cathrt.runtime.models.keyframe.records import keyframe_of
from tests.models.keyframe.courses import (
    CONFIG,
    RATES,
    THRESHOLD,
    Course,
    announced,
    frames,
    injection,
    judged,
    noisy,
    taken,
    times_s,
)


def flat(score: float) -> Course:
    return lambda at_s: score


def twice(at_s: float) -> float:
    return injection(0.9)(at_s) if at_s < 5.0 else injection(0.8, start_s=6.0)(at_s)


def in_two_steps(at_s: float) -> float:
    return 0.7 if at_s < 3.0 else 0.9


COURSES: dict[str, tuple[Course, list[tuple[float, float]]]] = {
    "full injection": (injection(0.9), [(1.8, 2.4)]),
    "pale injection that stays under the threshold": (injection(0.4), [(1.8, 2.4)]),
    "pale injection under the relative floor": (injection(0.29), []),
    "injection in view from the first frame on": (flat(0.8), [(0.0, 0.3)]),
    "no contrast, scored 0.4 all the time": (flat(0.4), []),
    "slow drift that never rises by min_rise": (lambda at_s: 0.3 + 0.015 * at_s, []),
    "two injections": (twice, [(1.8, 2.4), (6.8, 7.4)]),
    "pale injection after a full one": (
        lambda at_s: injection(0.9)(at_s) if at_s < 5.0 else injection(0.35, start_s=6.0)(at_s),
        [(1.8, 2.4), (6.5, 7.4)],
    ),
    "plateau that gets better once": (in_two_steps, [(0.0, 0.3), (2.9, 3.4)]),
    "just under the threshold, never low": (flat(0.49), []),
    "nothing at all": (flat(0.0), []),
}


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("name", COURSES)
def test_a_course_raises_the_same_alerts_at_every_frame_rate(name: str, fps: float) -> None:
    course, expected = COURSES[name]
    run = taken(course, fps, duration_s=10.0)
    found = announced(run)

    keys = times_s(run, [key for key, _ in found])
    assert len(keys) == len(expected), keys
    for key, (earliest, latest) in zip(keys, expected, strict=True):
        assert earliest <= key <= latest
    delays = [told - key for key, told in zip(keys, times_s(run, [told for _, told in found]), strict=True)]
    assert all(delay <= CONFIG.confirm_s + CONFIG.smoothing_s + 2.0 / fps for delay in delays)


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("at", [0, 1, 2, 3, 4, 20])
@pytest.mark.parametrize("low", [0.05, 0.3])
def test_one_noisy_frame_is_no_key_frame(fps: float, at: int, low: float) -> None:
    scores = [low] * 40
    scores[at] = 1.0
    assert announced(frames(scores, fps)) == []
    assert announced(frames(scores, fps), config=replace(CONFIG, smoothing_s=0.0)) != []


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("seed", range(5))
def test_noise_around_a_level_that_is_no_key_frame_raises_nothing(fps: float, seed: int) -> None:
    assert announced(noisy(taken(flat(0.35), fps, 10.0), 0.03, seed)) == []


def test_a_dip_shorter_than_the_baseline_is_no_rise_when_it_is_over() -> None:
    dipped = taken(lambda at_s: 0.15 if 3.0 <= at_s < 3.2 else 0.4, 15.0)
    assert announced(dipped) == []


def test_the_best_frame_of_the_best_level_is_announced_when_the_score_is_released() -> None:
    assert announced(frames([0.1, 0.6, 0.9, 0.7, 0.3, 0.1, 0.1])) == [(2, 5)]


def test_a_dip_above_the_release_level_does_not_end_the_stretch() -> None:
    # release level is 0.5 * 0.7 = 0.35: the dip to 0.4 is hysteresis, not an end
    run = frames([0.1, 0.6, 0.6, 0.6, 0.4, 0.4, 0.8, 0.8, 0.8, 0.3, 0.3])
    assert announced(run) == [(6, 10)]


def test_a_plateau_is_announced_once_when_it_is_confirmed() -> None:
    assert announced(frames([0.1] * 4 + [0.8] * 50)) == [(4, 10)], "level 0.8 from frame 5 on, 0.33 s are five frames"


@pytest.mark.parametrize(("confirm_s", "told"), [(0.0, 6), (0.1, 7), (0.33, 10), (1.0, 20)])
def test_confirm_s_is_a_time(confirm_s: float, told: int) -> None:
    config = replace(CONFIG, confirm_s=confirm_s)
    assert announced(frames([0.1] * 4 + [0.8] * 50), config=config) == [(4, told)]


def test_only_a_better_frame_is_announced_again_on_the_same_plateau() -> None:
    assert [key for key, _ in announced(frames([0.8] * 30 + [0.9] * 30))] == [1, 30]


def test_refractory_time_keeps_the_next_candidate_waiting() -> None:
    scores = [0.9, 0.1] * 30  # a fresh stretch every second frame, 133 ms apart
    config = KeyframePolicyConfig(max_per_run=100, smoothing_s=0.0)
    at = [told for _, told in announced(frames(scores), config=config)]
    assert len(at) > 2
    assert min(b - a for a, b in pairwise(at)) * 1000.0 / 15.0 >= config.refractory_s * 1000.0


def test_the_run_s_end_announces_an_open_candidate() -> None:
    assert announced(frames([0.1, 0.2, 0.6, 0.9])) == [(3, 3)]


@pytest.mark.parametrize(("scores", "keys"), [([0.9], [0]), ([0.9, 0.8], [0]), ([0.9, 0.1], []), ([0.4], []), ([], [])])
def test_a_run_shorter_than_the_smoothing_is_one_level(scores: list[float], keys: list[int]) -> None:
    assert [key for key, _ in announced(frames(scores))] == keys


def test_a_frame_that_shows_no_artery_raises_no_alert_however_it_scores() -> None:
    run = taken(injection(0.9), 15.0)
    assert announced(run, eligible=lambda frame: False) == []
    late = announced(run, eligible=lambda frame: frame.due_ms >= 2500.0)  # released and over by then: one alert
    assert [run[key].due_ms >= 2500.0 for key, _ in late] == [True]


def test_an_outside_frame_is_never_announced_and_only_lets_time_pass() -> None:
    run = [*frames([0.1] * 10 + [0.6] * 5), *[judged(i, i * 1000.0 / 15.0, 1.0, "bars") for i in range(15, 24)]]
    assert announced(run) == [(10, 16)]


def test_while_half_of_the_run_is_outside_nothing_is_announced() -> None:
    alternating = [judged(i, i * 1000.0 / 15.0, 0.9, None if i % 2 else "bars") for i in range(60)]
    assert announced(alternating) == []


@given(
    st.lists(st.tuples(st.floats(0.0, 1.0), st.booleans(), st.booleans()), max_size=150),
    st.floats(0.05, 1.0),
    st.integers(1, 6),
    st.sampled_from(RATES),
    st.sampled_from([0.0, 0.2, 0.5]),
    st.sampled_from([0.0, 1.0]),
)
def test_no_run_breaks_the_promises_of_live_alerts(
    drawn: list[tuple[float, bool, bool]], threshold: float, k: int, fps: float, smoothing_s: float, refractory_s: float
) -> None:
    config = KeyframePolicyConfig(max_per_run=k, smoothing_s=smoothing_s, refractory_s=refractory_s)
    run = [
        judged(i, i * 1000.0 / fps, score, "bars" if outside else None) for i, (score, outside, _) in enumerate(drawn)
    ]
    shows = {frame.index: shown for frame, (_, _, shown) in zip(run, drawn, strict=True)}
    told = announced(run, threshold, config, lambda frame: shows[frame.index])

    keys = [run[key] for key, _ in told]
    assert len(keys) <= k
    assert all(keyframe_of(key).outside is None and shows[key.index] for key in keys)
    assert all(key.finding.score >= threshold * config.relative_floor for key in keys)
    assert all(b.due_ms - a.due_ms >= config.min_gap_s * 1000.0 for a, b in pairwise(keys))
    assert all(at >= key for key, at in told)
    inside = [frame for frame in run if keyframe_of(frame).outside is None]
    if (
        smoothing_s == 0.0
        and len(inside) == len(run)
        and any(frame.finding.score >= threshold and shows[frame.index] for frame in run)
    ):
        assert keys, "a run that reached the threshold ended without an alert"


def test_the_threshold_of_the_tables_is_the_one_they_were_written_for() -> None:
    assert (THRESHOLD, CONFIG.relative_floor, CONFIG.min_rise) == (0.5, 0.6, 0.3)


@pytest.mark.parametrize("fps", RATES)
def test_what_a_run_shows_all_the_time_must_score_twice_the_evidence(fps: float) -> None:
    steady, rising = taken(flat(0.6), fps), taken(injection(0.6), fps)
    assert announced(steady, evidence=0.25)
    assert not announced(steady, evidence=0.35), "half of it is baseline"
    assert announced(taken(flat(0.6), fps, duration_s=0.4), evidence=0.35), "a run too short for a baseline has none"
    assert announced(rising, evidence=0.35), "it stands out from a low baseline"
    assert not announced(rising, evidence=0.65)
