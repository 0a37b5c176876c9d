"""How answers are counted: intervals of known value, and phantom runs made by hand so that each figure is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest

from benchmarks.figures import Figures, SideAnswer
from benchmarks.judged_runs import JudgedFrame, JudgedRun, judge
from benchmarks.keyframe_baselines import COURSES, choices, due_ms
from benchmarks.phantom_measures import measure_phantoms
from benchmarks.phantom_runs import FIRST_SEED, PhantomCase, PhantomRun, cases_to_judge, judge_phantom
from benchmarks.realism import FIRST_SEED as REALISM_SEED
from cathrt.export.models.keyframe.demo import train_keyframe
from cathrt.export.qualify.runs import FIRST_SEED as QUALIFICATION_SEED
from cathrt.export.quantize.calibration import FIRST_SEED as CALIBRATION_SEED
from cathrt.runtime.config import Config
from cathrt.runtime.line.pipeline import Line
from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig
from cathrt.runtime.phantom import FrameLabel, PhantomSource, SceneKind, sample_scene
from cathrt.runtime.phantom.hardship import HARDSHIPS
from tests.lines import LABELS, ArraySource, line

QUIET = [0.1, 0.11, 0.12, 0.1, 0.11]
FILLING = [0.1, 0.4, 0.8, 0.9, 0.95, 0.8, 0.4, 0.1]  # P(left better); the best frame is 4


def flickering() -> Line:
    """Frames of these runs get brighter as they score higher, which is no motion."""
    return line(config=Config(policy={"keyframe": KeyframePolicyConfig(stillness=0.0)}))


def said(found: str, forced: str) -> JudgedFrame:
    return JudgedFrame(found, forced, None)


def labels(qualities: Sequence[str], side: str | None = "left") -> tuple[FrameLabel, ...]:
    """Labels of these qualities; "others" shows no side. "better" is the best there is, "bad" half as readable."""
    first = PhantomSource(sample_scene(7, matrix=64)).labels[0]
    readable = {"better": 0.6, "bad": 0.3, "others": 0.0}
    return tuple(
        replace(
            first,
            quality=quality,
            readability=readable[quality],
            contrast_phase="none" if quality == "others" else "full",
            laterality=None if quality == "others" else side,
        )
        for quality in qualities
    )


def phantom(scores: list[float], truth: tuple[FrameLabel, ...], kind: SceneKind = "coronary") -> PhantomRun:
    """A run whose frames score so; "Frangi" would keep the last frame."""
    source = ArraySource(scores)
    due, judged = due_ms(source.run), judge(source, flickering())
    courses = {name: np.arange(len(scores), dtype=float) for name in (*COURSES, "p_better")}
    case = PhantomCase(1, "natural" if kind == "coronary" else "other", kind)
    return PhantomRun(case, judged, truth, due_ms=due, choices=choices(judged, courses, due))


def measured(*runs: PhantomRun) -> Figures:
    figures = Figures()
    measure_phantoms(runs, LABELS, "fake", figures)
    return figures


def test_frames_of_one_run_do_not_count_as_so_many_samples() -> None:
    frames = [("left", "left")] * 30 + [("left", "unknown")] * 10 + [("right", "right")] * 30 + [("right", "left")] * 10
    apart, together = Figures(), Figures()
    apart.sides("x", [SideAnswer(run, true, said(found, found)) for run, (true, found) in enumerate(frames)])
    together.sides("x", [SideAnswer(run // 10, true, said(found, found)) for run, (true, found) in enumerate(frames)])
    assert apart.headline == together.headline
    narrow, wide = (np.diff(f.intervals["x_laterality_f1"])[0] for f in (apart, together))
    assert wide > 1.5 * narrow


def test_unknown_is_a_miss_and_forced_asks_for_the_likelier_side() -> None:
    figures = Figures()
    answers = [("left", "left", "left"), ("left", "unknown", "left"), ("right", "right", "right")]
    counts = figures.sides("x", [SideAnswer(i, true, said(*both)) for i, (true, *both) in enumerate(answers)])
    assert counts == {"left": {"left": 1, "right": 0, "unknown": 1}, "right": {"left": 0, "right": 1, "unknown": 0}}
    assert figures.headline["x_laterality_f1"] == pytest.approx((2 / 3 + 1) / 2)
    assert figures.headline["x_laterality_f1_forced"] == 1.0
    assert figures.headline["x_unknown_rate"] == pytest.approx(1 / 3)


def test_the_first_ranked_key_frame_must_lie_within_three_frames_of_a_best_one() -> None:
    near = phantom(FILLING, labels(["others", "better"] + ["bad"] * 6))
    far = phantom(FILLING, labels(["better"] + ["bad"] * 7))
    (best,) = near.run.result.marked_frames[:1]
    assert best == 4
    assert measured(near).headline["phantom_keyframe_hit3"] == 1.0
    assert measured(near).headline["phantom_frangi_hit3"] == 0.0, "the last frame"
    assert measured(near).headline["phantom_regret"] == pytest.approx(0.5)
    assert measured(far).headline["phantom_keyframe_hit3"] == 0.0
    silent = phantom(QUIET, labels(["better"] * 5))
    both = measured(near, silent)
    assert both.headline["phantom_keyframe_hit3"] == both.headline["phantom_runs_without"] == 0.5
    assert both.headline["phantom_regret"] == pytest.approx(0.75)


def test_a_coronary_run_in_which_nothing_can_be_read_is_counted_apart() -> None:
    figures = measured(phantom(FILLING, labels(["others"] * 8)), phantom(QUIET, labels(["better"] * 5)))
    row = figures.rows[0]
    assert row["runs_with_something_to_find"] == 1
    assert row["nothing_to_find"] == {"runs": 1, "with_key_frame": 1, "with_side": 1}
    assert figures.headline["phantom_runs_without"] == 1.0
    assert "phantom_regret" not in measured(phantom(FILLING, labels(["others"] * 8))).headline


def test_key_frames_have_rows_for_all_runs_for_parts_views_and_hardships() -> None:
    run = replace(phantom(FILLING, labels(["better"] * 8)), view="LAO caudal", hardships=("metal", "video"))
    rows = [row for row in measured(run).rows if row["case"] == "phantom key frames"]
    assert {row["group"] for row in rows} == {
        "all", "natural", "view: LAO caudal", "hardship: metal", "hardship: video"
    }  # fmt: skip
    plain = measured(replace(run, hardships=())).rows
    assert {row["group"] for row in plain if "group" in row} == {
        "all", "natural", "view: LAO caudal", "hardship: none"
    }  # fmt: skip


def test_a_key_frame_in_a_run_without_coronaries_is_a_false_one() -> None:
    quiet = phantom(QUIET, labels(["others"] * 5, None), "no_contrast")
    loud = phantom(FILLING, labels(["others"] * 8, None), "lv_gram")
    figures = measured(quiet, loud, phantom(FILLING, labels(["bad"] * 8)))
    assert figures.headline["phantom_false_keyframe_rate"] == 0.5
    assert figures.headline["phantom_named_side_rate"] == 0.5
    assert figures.headline["phantom_other_runs"] == 2
    assert figures.rows[0]["other_kinds"]["lv_gram"] == {"runs": 1, "with_key_frame": 1, "with_side": 1}
    assert "phantom_false_keyframe_rate" not in measured(phantom(FILLING, labels(["bad"] * 8))).headline


def test_sides_are_asked_of_opacified_frames_and_of_runs_that_fill() -> None:
    filling = phantom(FILLING, labels(["others"] * 2 + ["bad"] * 4 + ["others"] * 2))
    other_side = phantom(FILLING, labels(["others"] * 2 + ["bad"] * 4 + ["others"] * 2, "right"))
    figures = measured(filling, other_side, phantom(QUIET, labels(["others"] * 5, None), "empty"))
    assert figures.headline["phantom_frames"] == 8
    assert figures.rows[0]["confusion"]["right"]["left"] == 4
    assert figures.headline["phantom_run_laterality_correct"] == 0.5


def test_calibration_counts_a_class_as_half_right_where_a_frame_shows_no_side() -> None:
    figures = measured(phantom([0.02, 0.021, 0.022], labels(["others"] * 3)))
    (entry,) = figures.reliability["phantom"]
    assert (entry.answers, entry.right) == (3, 0.5)
    assert figures.headline["phantom_calibration_error"] == pytest.approx(entry.score - 0.5)


def test_no_seed_was_trained_tuned_or_measured_on() -> None:
    cases = cases_to_judge(9)
    seeds = [case.seed for case in cases]
    assert len(set(seeds)) == len(seeds)
    taken = (train_keyframe.TEST_START, REALISM_SEED, CALIBRATION_SEED, QUALIFICATION_SEED)
    assert min(seeds) == min(FIRST_SEED.values()) >= max(taken) + 5_000_000
    assert cases_to_judge(0) == []
    starts = sorted(FIRST_SEED.values())
    assert min(later - former for former, later in pairwise(starts)) >= 100_000


def test_half_of_the_coronary_runs_have_a_hardship_in_turn_and_as_many_runs_have_no_coronary() -> None:
    cases = cases_to_judge(27)
    assert [case.part for case in cases] == ["natural"] * 14 + ["hardship"] * 13 + ["other"] * 27
    assert [case.hardship for case in cases[14:27]] == [*HARDSHIPS, *HARDSHIPS[:2]]
    assert {case.kind for case in cases[:27]} == {"coronary"}
    kinds = [case.kind for case in cases_to_judge(64) if case.part == "other"]
    assert set(kinds) == set(get_args(SceneKind)) - {"coronary"}
    assert (kinds.count("no_contrast"), kinds.count("closed_collimator")) == (16, 4)
    scene = cases[-1].scene(64)
    assert scene.kind == cases[-1].kind
    forced = cases[14].scene(64)
    assert (forced.kind, cases[14].hardship in forced.hardships) == ("coronary", True)


def test_only_coronary_runs_are_put_before_the_baselines() -> None:
    natural, other = cases_to_judge(1)
    run = judge_phantom(natural, 64, line())
    assert len(run.run.frames) == len(run.labels) == len(run.due_ms)
    assert all(run.choices[name] for name in (*COURSES, "p_better"))
    assert len(run.choices["frangi3"]) == 3
    assert run.view != "unknown view"
    without = judge_phantom(other, 64, line())
    assert (without.case.kind, without.choices) == ("no_contrast", {})


def test_a_run_is_judged_by_the_line_and_its_source_closed() -> None:
    source = ArraySource(FILLING)
    run = judge(source, flickering())
    assert isinstance(run, JudgedRun)
    assert source.closed
    assert [frame.found for frame in run.frames] == ["unknown"] + ["left"] * 6 + ["unknown"]
    assert run.key_frames == list(run.announced) == list(run.result.marked_frames) == [4]
