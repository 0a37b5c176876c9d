"""The key frames of a whole run: which, in which order and heart beats, and the best available where none is good."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig
from cathrt.runtime.models.keyframe.ranking import centred_means, rank_key_frames, stands_out
from cathrt.runtime.models.keyframe.records import keyframe_of
from tests.models.keyframe.courses import (
    CONFIG,
    RATES,
    THRESHOLD,
    Course,
    beating,
    frames,
    injection,
    judged,
    noisy,
    taken,
    times_s,
)


def ranked_s(
    course: Course, fps: float, *, at_least_one: bool = True, config: KeyframePolicyConfig = CONFIG
) -> list[float]:
    """When the key frames of a course lie, best first, in seconds."""
    run = taken(course, fps, duration_s=10.0)
    ranked = rank_key_frames(run, THRESHOLD, config, at_least_one=at_least_one)
    return times_s(run, [frame.index for frame in ranked])


@pytest.mark.parametrize("fps", RATES)
def test_the_first_key_frame_is_where_the_run_is_best_at_every_frame_rate(fps: float) -> None:
    first, *others = ranked_s(injection(0.9), fps)
    assert 2.0 <= first <= 3.0, "the filled second"
    assert all(1.4 <= other <= 4.0 for other in others), "where the course is at or above the threshold"


@pytest.mark.parametrize("fps", RATES)
def test_key_frames_lie_in_different_heart_beats(fps: float) -> None:
    keys = ranked_s(beating(lambda at_s: 0.9 if 2.0 <= at_s < 5.0 else 0.05), fps)
    assert len(keys) == 3
    assert all(min(key % 0.8, 0.8 - key % 0.8) <= 0.5 / fps + 1e-9 for key in keys), (
        "each at the still moment of its beat"
    )
    assert all(b - a >= CONFIG.beat_s - 1e-9 for a, b in pairwise(sorted(keys)))


@pytest.mark.parametrize("fps", RATES)
def test_where_no_other_beat_is_good_enough_the_best_beat_gives_them(fps: float) -> None:
    def one_good_beat(at_s: float) -> float:
        return 0.95 if 2.0 <= at_s < 2.8 else 0.55 if 2.8 <= at_s < 6.0 else 0.05

    keys = ranked_s(one_good_beat, fps)
    assert 2.0 <= keys[0] < 2.8
    assert 2.0 <= keys[1] < 2.85, "0.55 is less than 0.7 of the best mean: the same beat comes first"
    loose = ranked_s(one_good_beat, fps, config=replace(CONFIG, other_beat_ratio=0.5))
    assert sum(key < 2.85 for key in loose) == 1, "with 0.5 the other beats are good enough"


@pytest.mark.parametrize("fps", RATES)
def test_a_run_without_a_good_frame_has_its_single_best_where_one_is_asked_for(fps: float) -> None:
    pale = injection(0.3)
    (best,) = ranked_s(pale, fps)
    assert 2.0 <= best <= 3.0
    assert ranked_s(pale, fps, at_least_one=False) == []
    assert rank_key_frames([], THRESHOLD, CONFIG, at_least_one=True) == []


@pytest.mark.parametrize("fps", [15.0, 30.0])
def test_one_noisy_frame_is_no_key_frame(fps: float) -> None:
    run = taken(injection(0.45), fps)
    spiked = [judged(f.index, f.due_ms, 1.0 if f.index == round(5.0 * fps) else f.finding.score) for f in run]
    (best,) = rank_key_frames(spiked, THRESHOLD, CONFIG, at_least_one=True)
    assert 2.0 <= best.due_ms / 1000.0 <= 3.0
    assert rank_key_frames(spiked, THRESHOLD, CONFIG) == []
    without = rank_key_frames(spiked, THRESHOLD, replace(CONFIG, ranking_smoothing_s=0.0))
    assert [frame.finding.score for frame in without] == [1.0]


@pytest.mark.parametrize("seed", range(5))
def test_noise_does_not_carry_the_first_key_frame_out_of_the_filled_second(seed: int) -> None:
    ranked = rank_key_frames(noisy(taken(injection(0.8), 15.0), 0.05, seed), THRESHOLD, CONFIG)
    assert 1.8 <= ranked[0].due_ms / 1000.0 <= 3.2


def test_the_mean_decides_first_then_the_own_score_then_the_earlier_frame() -> None:
    plateau = frames([0.8] * 30)
    assert rank_key_frames(plateau, THRESHOLD, CONFIG)[0].index == 0
    own = frames([0.6, 0.8, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6])
    assert rank_key_frames(own, THRESHOLD, replace(CONFIG, ranking_smoothing_s=0.0))[0].index == 1
    around = frames([0.0] * 5 + [0.9, 0.9, 0.9] + [0.0] * 5 + [0.95, 0.0, 0.0])
    assert rank_key_frames(around, THRESHOLD, CONFIG)[0].index == 6


def test_means_are_weighted_by_nearness_in_time() -> None:
    run = frames([0.0, 0.0, 0.9, 0.0, 0.0])
    # at 15 frames/s the weights are 3/3, 2/3 and 1/3, of 2, 8/3 and 3 in all
    assert centred_means(run, 0.2) == pytest.approx([0.15, 0.225, 0.3, 0.225, 0.15], abs=1e-6)
    assert centred_means(run, 0.0) == [0.0, 0.0, 0.9, 0.0, 0.0]
    assert centred_means([], 0.2) == []
    for fps in RATES:
        assert centred_means(taken(lambda at_s: 0.7, fps), 0.2) == [0.7] * round(6 * fps)


scores = st.lists(st.tuples(st.sampled_from([0.0, 0.3, 0.5, 0.7]) | st.floats(0.0, 1.0), st.booleans()), max_size=120)


@given(scores, st.floats(0.05, 1.0), st.integers(1, 6), st.sampled_from(RATES), st.booleans())
def test_no_run_breaks_the_promises_of_the_ranking(
    drawn: list[tuple[float, bool]], threshold: float, k: int, fps: float, at_least_one: bool
) -> None:
    config = KeyframePolicyConfig(max_per_run=k)
    run = [judged(i, i * 1000.0 / fps, score, "bars" if outside else None) for i, (score, outside) in enumerate(drawn)]
    ranked = rank_key_frames(run, threshold, config, at_least_one=at_least_one)
    inside = [frame for frame in run if keyframe_of(frame).outside is None]
    around = centred_means(inside, config.ranking_smoothing_s)
    means = {frame.index: mean for frame, mean in zip(inside, around, strict=True)}

    assert len(ranked) <= k
    assert all(frame in inside for frame in ranked)
    assert bool(ranked) or not (at_least_one and inside), "asked for one, and a frame was there"
    order = [(-means[frame.index], -frame.finding.score, frame.index) for frame in ranked]
    assert order == sorted(order)
    by_time = sorted(ranked, key=lambda frame: frame.due_ms)
    assert all(b.due_ms - a.due_ms >= config.min_gap_s * 1000.0 for a, b in pairwise(by_time))
    good = [frame for frame in inside if min(means[frame.index], frame.finding.score) >= threshold]
    if good:
        assert all(frame in good for frame in ranked)
        assert means[ranked[0].index] == max(means[frame.index] for frame in good)
    else:
        assert len(ranked) == int(at_least_one and bool(inside))


@pytest.mark.parametrize("fps", RATES)
def test_what_looks_like_an_artery_all_the_time_stands_out_half_as_much(fps: float) -> None:
    steady, risen = taken(lambda at_s: 0.6, fps), taken(injection(0.6, low=0.0), fps)
    assert stands_out(steady, CONFIG) == pytest.approx(0.3)
    assert stands_out(risen, CONFIG) == pytest.approx(0.6, abs=0.05)
    assert stands_out([], CONFIG) == 0.0
    assert stands_out([judged(0, 0.0, 0.9, "bars")], CONFIG) == 0.0
    assert stands_out([judged(0, 0.0, 0.8)], CONFIG) == 0.8, "a run too short for a baseline has none, as a still"
    assert stands_out(frames([0.8] * round(fps), fps), CONFIG) == pytest.approx(0.4)
