"""How answers are counted: intervals of known value, and phantom runs made by hand so that each figure is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.figures import Figures, SideAnswer
from benchmarks.judged_runs import JudgedFrame, JudgedRun, judge
from benchmarks.phantom_runs import FIRST_SEED, PhantomRun, measure_phantoms, seeds_to_judge
from cathrt.export.models.keyframe.demo import train_keyframe
from cathrt.runtime.phantom import FrameLabel, PhantomSource, SceneKind, sample_scene
from tests.lines import LABELS, ArraySource, line

QUIET = [0.1, 0.11, 0.12, 0.1, 0.11]
FILLING = [0.1, 0.4, 0.8, 0.9, 0.95, 0.8, 0.4, 0.1]  # P(left better); the best frame is 4


def said(found: str, forced: str) -> JudgedFrame:
    return JudgedFrame(found, forced, None)


def labels(qualities: Sequence[str], side: str | None = "left") -> tuple[FrameLabel, ...]:
    """Labels of these qualities; "others" shows no side."""
    first = PhantomSource(sample_scene(7, matrix=64)).labels[0]
    return tuple(
        replace(first, quality=quality, laterality=None if quality == "others" else side) for quality in qualities
    )


def phantom(scores: list[float], truth: tuple[FrameLabel, ...], kind: SceneKind = "coronary") -> PhantomRun:
    return PhantomRun(1, kind, judge(ArraySource(scores), line()), truth)


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


def test_the_first_ranked_key_frame_must_lie_within_two_frames_of_a_better_one() -> None:
    near = phantom(FILLING, labels(["others"] * 2 + ["better"] + ["bad"] * 5))
    far = phantom(FILLING, labels(["others"] + ["better"] + ["bad"] * 6))
    without = phantom(FILLING, labels(["others"] + ["bad"] * 7))
    assert measured(near).headline["phantom_keyframe_hit"] == 1.0
    assert measured(far).headline["phantom_keyframe_hit"] == 0.0
    assert "phantom_keyframe_hit" not in measured(without).headline, "no better frame, nothing to hit"
    missed = phantom(QUIET, labels(["better"] * 5))
    assert measured(near, missed).headline["phantom_keyframe_hit"] == 0.5


def test_a_key_frame_in_a_run_without_coronaries_is_a_false_one() -> None:
    quiet = phantom(QUIET, labels(["others"] * 5, None), "no_contrast")
    loud = phantom(FILLING, labels(["others"] * 8, None), "lv_gram")
    figures = measured(quiet, loud, phantom(FILLING, labels(["bad"] * 8)))
    assert figures.headline["phantom_false_keyframe_rate"] == 0.5
    assert figures.headline["phantom_other_runs"] == 2
    assert figures.rows[0]["other_kinds"]["lv_gram"] == {"runs": 1, "with_key_frame": 1}
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


def test_no_seed_was_trained_tuned_or_measured_on_and_a_third_is_not_coronary() -> None:
    seeds = seeds_to_judge(9)
    assert seeds[:9] == list(range(FIRST_SEED, FIRST_SEED + 9))
    assert len(set(seeds)) == len(seeds)
    assert seeds_to_judge(0) == []
    others = [sample_scene(seed, kind=None).kind != "coronary" for seed in seeds]
    assert 3 * sum(others) >= len(seeds)
    assert all(others[9:])
    assert min(seeds) > train_keyframe.TEST_START + 5_000_000


def test_a_run_is_judged_by_the_line_and_its_source_closed() -> None:
    source = ArraySource([0.1, 0.2, 0.8, 0.9, 0.25, 0.1])
    run = judge(source, line())
    assert isinstance(run, JudgedRun)
    assert source.closed
    assert [frame.found for frame in run.frames] == ["unknown", "unknown", "left", "left", "unknown", "unknown"]
    assert run.key_frames == list(run.announced) == list(run.result.marked_frames) == [3]
