"""The key-frame policy, frame by frame: when it speaks, when it keeps quiet, and what a run amounts to."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cathrt.runtime.model_kind import Judged
from cathrt.runtime.models.keyframe.policy import (
    KeyFramePolicy,
    KeyframePolicyConfig,
    laterality_mismatch,
    rank_key_frames,
    vote_laterality,
)
from cathrt.runtime.models.keyframe.records import KeyframeFinding

FPS = 15.0
CONFIG = KeyframePolicyConfig()


def judged(index: int, due_ms: float, score: float) -> Judged:
    return Judged(index, due_ms, f"v{index}", KeyframeFinding("left", 0.9, (), engine="fake", score=score))


def frames(scores: list[float], fps: float = FPS) -> list[Judged]:
    return [judged(i, i * 1000.0 / fps, score) for i, score in enumerate(scores)]


def announced(
    scores: list[float], threshold: float = 0.5, config: KeyframePolicyConfig = CONFIG
) -> list[tuple[int, int]]:
    """(key frame, frame at which it was announced) for a run with these scores."""
    policy = KeyFramePolicy(threshold, config)
    run = frames(scores)
    told = [(key.index, frame.index) for frame in run if (key := policy.observe(frame)) is not None]
    last = policy.finish()
    return told + ([(last.index, run[-1].index)] if last is not None else [])


def test_a_run_below_the_threshold_announces_nothing() -> None:
    assert announced([0.49] * 60) == []


def test_the_best_frame_of_a_stretch_is_announced_when_the_score_is_released() -> None:
    assert announced([0.1, 0.6, 0.9, 0.7, 0.3, 0.1]) == [(2, 4)]


def test_a_dip_above_the_release_level_does_not_end_the_stretch() -> None:
    # release level is 0.5 * 0.7 = 0.35: the dip to 0.4 is hysteresis, not an end
    assert announced([0.1, 0.6, 0.4, 0.8, 0.3]) == [(3, 4)]


def test_a_plateau_is_announced_once_after_the_confirming_frames() -> None:
    assert announced([0.1] + [0.8] * 50) == [(1, 1 + CONFIG.confirm_frames)]


def test_only_a_better_frame_is_announced_again_on_the_same_plateau() -> None:
    scores = [0.8] * 30 + [0.9] * 30
    assert [key for key, _ in announced(scores)] == [0, 30]


def test_refractory_time_keeps_the_next_candidate_waiting() -> None:
    scores = [0.9, 0.1] * 30  # a fresh stretch every second frame, 133 ms apart
    at = [told for _, told in announced(scores, config=KeyframePolicyConfig(max_per_run=100))]
    assert len(at) > 2
    assert min(b - a for a, b in pairwise(at)) * 1000.0 / FPS >= CONFIG.refractory_s * 1000.0


def test_the_run_s_end_announces_an_open_candidate() -> None:
    assert announced([0.1, 0.6, 0.9]) == [(2, 2)]


@given(
    st.lists(st.floats(0.0, 1.0), max_size=200),
    st.floats(0.05, 1.0),
    st.integers(1, 6),
    st.sampled_from([7.5, 15.0, 30.0]),
)
def test_no_run_breaks_the_policy_s_promises(scores: list[float], threshold: float, k: int, fps: float) -> None:
    config = KeyframePolicyConfig(max_per_run=k)
    policy = KeyFramePolicy(threshold, config)
    run = frames(scores, fps)
    keys = [key for frame in run if (key := policy.observe(frame)) is not None]
    if (last := policy.finish()) is not None:
        keys.append(last)
    for chosen in (keys, sorted(rank_key_frames(run, threshold, config), key=lambda f: f.index)):
        assert len(chosen) <= k
        assert all(key.finding.score >= threshold for key in chosen)
        gaps = [b.due_ms - a.due_ms for a, b in pairwise(chosen)]
        assert all(gap >= config.min_gap_s * 1000.0 for gap in gaps)
    if any(score >= threshold for score in scores):
        assert keys, "a run that reached the threshold ended without a key frame"


def test_ranking_puts_the_best_first_and_keeps_the_gap() -> None:
    scores = [0.0] * 40
    scores[10], scores[12], scores[20], scores[30] = 0.9, 0.95, 0.7, 0.8
    ranked = rank_key_frames(frames(scores), 0.5, CONFIG)
    assert [frame.index for frame in ranked] == [12, 30, 20]


def test_the_vote_weighs_frames_by_what_they_show() -> None:
    faint = [(0.9, 0.05)] * 20
    clear = [(0.1, 0.95)] * 10
    side, score = vote_laterality(faint + clear, CONFIG)
    assert side == "right"
    assert score > 0.8


def test_a_run_in_which_too_few_frames_name_a_side_has_an_unknown_side() -> None:
    enough = CONFIG.min_visible_frames
    assert vote_laterality([(0.99, 0.9)] * enough, CONFIG)[0] == "left"
    assert vote_laterality([(0.99, 0.9)] * (enough - 1), CONFIG)[0] == "unknown"
    assert vote_laterality([], CONFIG) == ("unknown", 0.0)


def test_an_even_vote_is_unknown_whatever_its_weight() -> None:
    assert vote_laterality([(0.55, 0.9)] * 60, CONFIG)[0] == "unknown"


def test_mismatch_is_about_views_that_are_chosen_for_the_other_side() -> None:
    assert laterality_mismatch("right", 45.0, -30.0) is True  # spider view
    assert laterality_mismatch("right", 50.0, 0.0) is False
    assert laterality_mismatch("left", 50.0, 0.0) is True  # plain LAO
    assert laterality_mismatch("left", -35.0, -35.0) is False
    assert laterality_mismatch("left", 40.0, 30.0) is False  # LAO cranial serves both
    assert laterality_mismatch("left", 90.0, 0.0) is False  # so does the lateral view
    assert laterality_mismatch("unknown", 50.0, 0.0) is None
    assert laterality_mismatch("left", None, 0.0) is None
