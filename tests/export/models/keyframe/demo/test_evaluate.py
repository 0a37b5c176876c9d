"""How scores are counted, on logits made up so that the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from cathrt.export.models.keyframe.demo.evaluate import (
    CalibrationBin,
    calibration_bins,
    calibration_error,
    frame_scores,
    run_scores,
    semantics,
)
from cathrt.export.models.keyframe.scores import confusion, f1_macro, f1_macro_of_counts
from tests.export.made_up import COLUMN, frames_of, logits_for


def test_a_perfect_model_scores_one_and_names_no_side_of_empty_frames() -> None:
    frames = frames_of(["LCA-better", "RCA-better", "LCA-bad", "RCA-bad", None, None])
    scores = frame_scores(logits_for(frames), frames, semantics(0.6, 0.5, 0.5))
    assert scores.laterality_f1_macro == 1.0
    assert scores.quality_f1_macro == 1.0
    assert scores.unknown_when_opacified == 0.0
    assert scores.named_when_empty == 0.0
    assert (scores.frames, scores.opacified_frames) == (6, 4)


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


def test_a_best_frame_two_frames_off_counts_and_three_off_does_not() -> None:
    frames = frames_of([None] * 5 + ["RCA-bad"] * 4 + ["RCA-better"] * 2 + ["RCA-bad"] * 4)
    meaning = semantics(0.6, 0.5, 0.5)
    for best, hit in ((7, 1.0), (6, 0.0)):
        logits = logits_for(frames_of([None] * 5 + ["RCA-bad"] * 10))
        logits[best] = 0.0
        logits[best, COLUMN["RCA-better"]] = 8.0
        scores = run_scores([(frames, logits)], meaning)
        assert scores.key_frame_hit == hit
        assert scores.laterality_right == 1.0


def test_a_key_frame_in_a_run_without_coronaries_is_a_false_one() -> None:
    quiet, loud = frames_of([None] * 4, coronary=False), frames_of([None] * 4, coronary=False)
    shouting = logits_for(loud)
    shouting[2, COLUMN["LCA-better"]] = 12.0
    scores = run_scores([(quiet, logits_for(quiet)), (loud, shouting)], semantics(0.6, 0.5, 0.5))
    assert (scores.other_runs, scores.false_key_frame_runs) == (2, 0.5)
    assert (scores.coronary_runs, scores.runs_with_better) == (0, 0)
