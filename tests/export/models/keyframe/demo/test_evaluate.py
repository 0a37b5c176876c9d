"""How scores are counted, on rows made up so that the answer is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from cathrt.export.models.keyframe.demo.evaluate import (
    HIT_FRAMES,
    CalibrationBin,
    JudgedRun,
    calibration_bins,
    calibration_error,
    findings_of,
    frame_scores,
    is_hit,
    judged_run,
    run_scores,
    semantics,
)
from cathrt.export.models.keyframe.demo.outsiders import OUTSIDER_REASONS
from cathrt.export.models.keyframe.scores import confusion, f1_macro, f1_macro_of_counts
from cathrt.runtime.frame import Geometry
from cathrt.runtime.model_kind import Judged
from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig
from cathrt.runtime.models.keyframe.run import KeyframeOnFrames, KeyframeRun
from tests.export.made_up import RATE_HZ, course, filling, frames_of, logits_for, rows_for
from tests.lines import BUNDLE, ArraySource

MEANING = semantics(0.6, 0.5, 0.5, 0.3, 0.5)
POLICY = KeyframePolicyConfig()


def test_a_perfect_model_scores_one_and_names_no_side_of_empty_frames() -> None:
    frames = frames_of(["LCA-better", "RCA-better", "LCA-bad", "RCA-bad", None, None])
    for meaning in (MEANING, semantics(0.6, 0.5, 0.5)):
        scores = frame_scores(rows_for(frames), frames, meaning)
        assert scores.laterality_f1_macro == 1.0
        assert scores.quality_f1_macro == 1.0
        assert scores.unknown_when_opacified == 0.0
        assert scores.named_when_empty == 0.0
        assert scores.refused == 0.0
        assert (scores.frames, scores.opacified_frames) == (6, 4)


def test_readability_error_is_the_mean_distance_from_the_truth() -> None:
    frames = frames_of(["LCA-better", "LCA-bad"], readability=[0.8, 0.4])
    scores = frame_scores(rows_for(frames, readability=[0.7, 0.6]), frames, MEANING)
    assert scores.readability_error == pytest.approx(0.15, abs=1e-6)


def test_frames_taken_for_no_angiogram_are_refused_and_name_no_side() -> None:
    frames = frames_of(["LCA-better"] * 3)
    rows = np.concatenate([rows_for(frames_of(["LCA-better"] * 2)), rows_for(frames_of(["LCA-better"]), angiogram=0.1)])
    findings = findings_of(rows, MEANING)
    assert [finding.outside for finding in findings] == [None, None, OUTSIDER_REASONS[0][0]]
    scores = frame_scores(rows, frames, MEANING)
    assert scores.refused == pytest.approx(1 / 3)
    assert scores.unknown_when_opacified == pytest.approx(1 / 3)


def test_a_readable_frame_whose_side_the_truth_does_not_know_is_asked_for_none() -> None:
    frames = frames_of(["LCA-better", "LCA-bad"])
    frames.targets[1] = (0, 0.5, 0, 0, 0.5, 0)
    scores = frame_scores(rows_for(frames), frames, MEANING)
    assert (scores.opacified_frames, scores.laterality_f1_macro) == (1, 0.5)  # of the right side there is none


def test_unknown_is_a_miss_of_the_true_side() -> None:
    found = np.array(["left", "unknown", "right", "right"])
    true = np.array(["left", "left", "right", "right"])
    assert f1_macro(found, true, ("left", "right")) == pytest.approx((2 / 3 + 1.0) / 2)


def test_confusion_has_a_row_per_true_name_and_a_last_column_for_other_answers() -> None:
    found = np.array(["left", "unknown", "right", "right", "left"])
    true = np.array(["left", "left", "right", "right", "right"])
    assert confusion(found, true, ("left", "right")).tolist() == [[1, 0, 1], [1, 2, 0]]


def test_f1_of_many_confusion_matrices_is_the_f1_of_each() -> None:
    counts = np.array([[[1, 0, 1], [0, 2, 0]], [[3, 0, 0], [0, 1, 0]], [[0, 0, 0], [0, 2, 0]]])
    assert f1_macro_of_counts(counts) == pytest.approx([(2 / 3 + 1) / 2, 1.0, 0.5])


def test_calibration_bins_hold_mean_score_and_share_right_and_leave_empty_ones_out() -> None:
    bins = calibration_bins(np.array([0.5, 0.52, 1.0, 0.98]), np.array([0.0, 1.0, 1.0, 0.5]))
    assert [(entry.answers, entry.right) for entry in bins] == [(2, 0.5), (2, 0.75)]
    assert [entry.score for entry in bins] == pytest.approx([0.51, 0.99])


def test_calibration_error_weighs_each_bin_by_its_answers() -> None:
    assert calibration_error([CalibrationBin(3, 0.9, 0.7), CalibrationBin(1, 0.5, 0.6)]) == pytest.approx(0.175)
    with pytest.raises(ValueError, match="calibration of nothing is not 0"):
        calibration_error([])


def judged_right(readability: Sequence[float], **rows: object) -> JudgedRun:
    """A run of the right artery with this readability, as judged by a model that knows it, but for `rows`."""
    frames = frames_of(filling(readability), readability=readability)
    found = rows_for(frames, **rows)  # type: ignore[arg-type]
    return judged_run(findings_of(found, MEANING), RATE_HZ, MEANING, POLICY)


def test_a_run_is_judged_with_its_best_frame_first_and_its_side() -> None:
    judged = judged_right(course(30))
    assert judged.ranked[0] == 30
    assert judged.side == "right"
    assert len(judged.announced) == 1
    assert abs(judged.announced[0] - 30) <= HIT_FRAMES


def test_a_run_that_is_no_angiogram_ranks_nothing_and_names_no_side() -> None:
    judged = judged_right(course(30), angiogram=0.1)
    assert (judged.announced, judged.ranked, judged.side) == ((), (), "unknown")


def test_a_run_below_the_threshold_still_ranks_its_best_frame() -> None:
    low = [0.4 * value for value in course(30)]
    judged = judged_run(
        findings_of(rows_for(frames_of(filling(course(30)), readability=low)), MEANING), RATE_HZ, MEANING, POLICY
    )
    assert judged.ranked == (30,)


def test_what_a_run_shows_all_the_time_is_neither_announced_nor_ranked_below_twice_the_evidence() -> None:
    steady = findings_of(rows_for(frames_of(["RCA-better"] * 60, readability=[0.55] * 60)), MEANING)
    told = [judged_run(steady, RATE_HZ, replace(MEANING, run_evidence=least), POLICY) for least in (0.25, 0.3)]
    assert [(bool(run.announced), bool(run.ranked), run.side) for run in told] == [
        (True, True, "right"),
        (False, False, "unknown"),
    ]


def test_a_still_is_a_run_that_one_frame_decides() -> None:
    clear, faint = judged_right([0.55]), judged_right([0.2])
    assert (clear.announced, clear.ranked, clear.side) == ((0,), (0,), "right"), "it has no baseline to stand out from"
    assert (faint.announced, faint.ranked, faint.side) == ((), (), "unknown")


def test_an_angle_that_does_not_go_with_the_side_makes_it_unknown() -> None:
    readability = course(30)
    frames = frames_of(filling(readability), readability=readability)
    found = rows_for(frames, logits=logits_for(frames, sharpness=3.0))
    caudal = Geometry(positioner_primary_angle_deg=-10.0, positioner_secondary_angle_deg=-30.0)
    with_angle, without = (
        judged_run(findings_of(found, MEANING), RATE_HZ, MEANING, POLICY, geometry) for geometry in (caudal, None)
    )
    assert (with_angle.side, without.side) == ("unknown", "right")


@pytest.mark.parametrize("peak", [8, 30, 55])
@pytest.mark.parametrize("angiogram", [0.999, 0.1])
def test_what_is_counted_is_what_the_runtime_makes_of_a_run(peak: int, angiogram: float) -> None:
    readability = course(peak)
    found = rows_for(frames_of(filling(readability), readability=readability), angiogram=angiogram)
    findings = findings_of(found, MEANING)
    judged = judged_run(findings, RATE_HZ, MEANING, POLICY)
    bundle = replace(BUNDLE, manifest=replace(BUNDLE.manifest, model=MEANING))
    run = KeyframeRun(KeyframeOnFrames(bundle, POLICY), ArraySource([0.5]).run)
    raised = [
        raised.about.index
        for index, finding in enumerate(findings)
        for raised in run.observe(Judged(index, 1000.0 * index / RATE_HZ, "", finding))
    ]
    raised += [last.about.index for last in run.finish()]
    result = run.result("fake")
    assert judged.announced == tuple(raised)
    assert judged.ranked == result.marked_frames
    assert judged.side == result.laterality


def test_a_hit_lies_within_three_frames_of_a_frame_as_good_as_the_best() -> None:
    readability = np.array([0.1, 0.2, 0.79, 0.8, 0.5, 0.5, 0.5, 0.5], np.float32)
    assert is_hit([6], readability)
    assert not is_hit([7], readability)
    assert is_hit([7, 0], readability), "0 lies two frames from 2, which has 0.99 of the best"
    assert not is_hit([], readability)


def test_runs_are_counted_by_hits_regret_sides_and_silence() -> None:
    truth = course(30)
    frames = frames_of(filling(truth), readability=truth)
    right, late = rows_for(frames), rows_for(frames, readability=course(36))
    silent = rows_for(frames, logits=logits_for(frames_of([None] * 60)), readability=[0.0] * 60)
    empty = frames_of([None] * 60, readability=[0.01] * 60)
    scores = run_scores([(frames, right), (frames, late), (frames, silent), (empty, rows_for(empty))], MEANING, POLICY)
    assert (scores.coronary_runs, scores.readable_runs, scores.other_runs) == (4, 3, 0)
    assert scores.key_frame_hit == pytest.approx(1 / 3)
    assert scores.without_key_frame == pytest.approx(1 / 3)
    assert scores.laterality_right == pytest.approx(2 / 4)
    lost = 1.0 - frames.readability[36] / 0.9
    assert scores.regret == pytest.approx((0.0 + lost + 1.0) / 3, abs=1e-6)


def test_a_key_frame_in_a_run_without_coronaries_is_a_false_one() -> None:
    quiet = frames_of([None] * 40, coronary=False)
    shouting = rows_for(quiet, logits=logits_for(frames_of(["LCA-better"] * 40)), readability=[0.9] * 40)
    scores = run_scores([(quiet, rows_for(quiet)), (quiet, shouting)], MEANING, POLICY)
    assert (scores.other_runs, scores.false_key_frame_runs, scores.named_side_runs) == (2, 0.5, 0.5)
    assert (scores.coronary_runs, scores.readable_runs) == (0, 0)
