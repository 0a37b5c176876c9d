"""How choices of key frames are counted: hits, beats, regret, silence and groups of known value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from benchmarks.figures import Figures
from benchmarks.keyframe_measures import (
    GROUP_METHODS,
    METHODS,
    ChosenRun,
    KeyframeTruth,
    headline,
    hit,
    in_beat,
    keyframe_rows,
    measures,
    phantom_truth,
    regret,
    view_of,
)
from cathrt.export.models.keyframe.demo.evaluate import BEST_SHARE
from cathrt.runtime.frame import Geometry
from cathrt.runtime.phantom import FrameLabel, PhantomSource, sample_scene

LABEL = PhantomSource(sample_scene(7, matrix=64)).labels[0]
COURSE = (0.0, 0.1, 0.3, 0.5, 0.49, 0.4, 0.2, 0.1, 0.0, 0.0)  # best: 3 and 4


def labels(readability: Sequence[float], full: Sequence[int] = ()) -> tuple[FrameLabel, ...]:
    return tuple(
        replace(LABEL, readability=value, contrast_phase="full" if index in full else "filling")
        for index, value in enumerate(readability)
    )


def run(choices: Mapping[str, tuple[int, ...]], *groups: str, truth: KeyframeTruth | None = None) -> ChosenRun:
    truth = truth or phantom_truth(labels(COURSE, full=(3, 4, 5)))
    assert truth is not None
    return ChosenRun(truth, choices, tuple(100.0 * index for index in range(len(COURSE))), groups or ("all",))


def test_the_best_frames_are_those_nearly_as_readable_as_the_most_readable_one() -> None:
    truth = phantom_truth(labels((0.5 * BEST_SHARE, 0.5, 0.5 * BEST_SHARE - 0.01, 0.2), full=(1, 3)))
    assert truth is not None
    assert truth.best == {0, 1}
    assert truth.filled == {1, 3}
    assert phantom_truth(labels((0.0, 0.049))) is None, "nothing to find"
    assert phantom_truth(labels((0.0, 0.05))) is not None


def test_a_hit_is_near_any_best_frame_and_any_of_three_counts() -> None:
    found = run({"ours": (7,), "ours3": (9, 6, 0), "none": ()})
    assert [hit(found, "ours", within) for within in (1, 2, 3, 5)] == [False, False, True, True]
    assert [hit(found, "ours3", within) for within in (1, 2, 3, 5)] == [False, True, True, True]
    assert not hit(found, "none", 5)


def test_half_a_beat_is_counted_in_time_not_in_frames() -> None:
    found = run({"near": (8,), "far": (9,), "none": ()})
    assert in_beat(found, "near"), "400 ms after frame 4"
    assert not in_beat(found, "far")
    assert not in_beat(found, "none")
    slow = replace(found, due_ms=tuple(133.3 * index for index in range(len(COURSE))))
    assert not in_beat(slow, "near")


def test_regret_is_what_the_kept_frame_lacks_of_the_best_and_silence_costs_all_of_it() -> None:
    found = run({"best": (3,), "poor": (6,), "three": (9, 5, 1), "none": (), "dark": (0,)})
    values = [regret(found, name) for name in ("best", "poor", "three", "none", "dark")]
    assert values == pytest.approx([0.0, 0.6, 0.2, 1.0, 1.0])


def test_measures_leave_out_what_the_truth_does_not_tell() -> None:
    known = run({"ours": (5,)})
    assert measures([known, run({"ours": ()})], "ours") == {
        "hit1": 0.5, "hit2": 0.5, "hit3": 0.5, "hit5": 0.5, "in_beat": 0.5, "inside": 0.5, "regret": 0.6, "without": 0.5
    }  # fmt: skip
    interval_only = run({"ours": (5,)}, truth=KeyframeTruth(frozenset(), frozenset(range(6))))
    assert measures([interval_only], "ours") == {"inside": 1.0, "without": 0.0}


def test_views_are_grouped_by_both_angles() -> None:
    for angles, view in {
        (45.0, -30.0): "LAO caudal",
        (10.0, 10.0): "AP straight",
        (-10.1, 10.1): "RAO cranial",
        (0.0, 38.0): "AP cranial",
        (85.0, 0.0): "LAO straight",
        (None, 3.0): "unknown view",
        (3.0, None): "unknown view",
    }.items():
        assert view_of(Geometry(*angles)) == view


def test_every_group_has_its_rows_and_the_whole_comes_first() -> None:
    kept = dict.fromkeys(METHODS, (3,))
    rows = keyframe_rows(
        [run(kept, "all", "natural", "view: AP caudal"), run(dict.fromkeys(METHODS, (9,)), "all", "hardship")],
        "phantom",
    )
    groups = list(dict.fromkeys(row["group"] for row in rows))
    assert groups == ["all", "natural", "hardship", "view: AP caudal"]
    assert [row["impl"] for row in rows if row["group"] == "all"] == list(METHODS)
    assert [row["impl"] for row in rows if row["group"] == "view: AP caudal"] == list(GROUP_METHODS)
    of_all = next(row for row in rows if row["group"] == "all")
    assert (of_all["case"], of_all["n"], of_all["hit3"]) == ("phantom key frames", 2, 0.5)


def test_the_headline_has_ours_beside_the_baselines() -> None:
    figures = Figures()
    headline([], figures)
    assert figures.headline == {}
    kept = {"ours": (4,), "frangi": (9,), "frangi3": (9, 5, 0), "vesselness": (7,), "darkening": (8,)}
    headline([run(kept), run({**kept, "ours": ()})], figures)
    assert figures.headline == {
        "phantom_keyframe_hit3": 0.5,
        "phantom_frangi_hit3": 0.0,
        "phantom_frangi3_hit3": 1.0,
        "phantom_vesselness_hit3": 1.0,
        "phantom_darkening_hit3": 0.0,
        "phantom_regret": pytest.approx(0.51),
        "phantom_runs_without": 0.5,
    }
    assert figures.intervals.keys() == figures.headline.keys()
    low, high = figures.intervals["phantom_regret"]
    assert (low, high) == pytest.approx((0.02, 1.0))
