"""How scores are counted and thresholds chosen, on logits made up so that the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.export.demo.dataset import LABELS, PhantomFrames
from cathrt.export.demo.evaluate import (
    choose_thresholds,
    f1_macro,
    fit_temperature,
    frame_scores,
    run_scores,
    semantics,
)

COLUMN = {label.name: column for column, label in enumerate(LABELS)}
NEITHER = np.array([0, 0, 0.5, 0, 0, 0.5], np.float32)


def frames_of(names: list[str | None], *, coronary: bool = True) -> PhantomFrames:
    """A run with these labels in order; None is a frame that shows no side."""
    targets = np.stack([NEITHER if name is None else np.eye(6, dtype=np.float32)[COLUMN[name]] for name in names])
    count = len(names)
    return PhantomFrames(
        images=np.zeros((count, 1, 1), np.uint8),
        targets=targets,
        scene=np.zeros(count, np.int64),
        frame=np.arange(count),
        coronary=np.full(count, coronary),
        vessels=np.zeros((count, 1, 1), np.uint8),
    )


def logits_for(frames: PhantomFrames, sharpness: float = 6.0) -> NDArray[np.float32]:
    """Logits of a model that is right about every frame."""
    return (frames.targets * sharpness).astype(np.float32)


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


def test_temperature_undoes_a_known_overconfidence() -> None:
    draw = np.random.default_rng(3)
    logits = draw.normal(size=(4000, 6)).astype(np.float32) * 2.0
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([draw.choice(6, p=row / row.sum()) for row in chances.astype(np.float64)])
    targets = np.eye(6, dtype=np.float32)[labels]
    assert fit_temperature(logits * 1.8, targets) == pytest.approx(1.8, rel=0.07)


def test_the_key_frame_threshold_lies_above_every_empty_frame() -> None:
    frames = frames_of(["LCA-better"] * 20 + ["RCA-better"] * 20 + ["LCA-bad"] * 10 + [None] * 20)
    logits = logits_for(frames)
    logits[-1, COLUMN["LCA-better"]] = 2.5  # an empty frame with P(better) of about 0.2
    meaning = choose_thresholds(logits, frames)
    empty_score = float(np.exp(2.5) / (np.exp(2.5) + 2 * np.exp(3.0) + 3.0))
    assert empty_score < meaning.key_frame_threshold < 0.95


def test_a_side_that_is_often_wrong_raises_the_laterality_threshold() -> None:
    frames = frames_of(["LCA-better"] * 50 + ["RCA-better"] * 50 + [None] * 10)
    sure = logits_for(frames)
    unsure = sure.copy()
    unsure[:10] = 0.0
    unsure[:10, COLUMN["RCA-better"]], unsure[:10, COLUMN["LCA-better"]] = 4.0, 3.2  # wrong, at 0.68
    assert choose_thresholds(sure, frames).laterality_threshold == 0.5
    assert 0.66 < choose_thresholds(unsure, frames).laterality_threshold < 0.8


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
