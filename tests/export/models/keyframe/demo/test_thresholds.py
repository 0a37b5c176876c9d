"""Temperature and thresholds, on logits made up so that the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.export.models.keyframe.demo.dataset import PhantomFrames
from cathrt.export.models.keyframe.demo.thresholds import choose_key_frame_threshold, choose_thresholds, fit_temperature
from tests.export.made_up import COLUMN, frames_of, logits_for

Run = tuple[PhantomFrames, NDArray[np.float32]]


def test_temperature_undoes_a_known_overconfidence() -> None:
    draw = np.random.default_rng(3)
    logits = draw.normal(size=(4000, 6)).astype(np.float32) * 2.0
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([draw.choice(6, p=row / row.sum()) for row in chances.astype(np.float64)])
    targets = np.eye(6, dtype=np.float32)[labels]
    assert fit_temperature(logits * 1.8, targets) == pytest.approx(1.8, rel=0.07)


def run_that_peaks(names: list[str | None], at: int, score: float, *, coronary: bool = True) -> Run:
    """A run whose best frame by P(better) is `at`, with that score."""
    frames = frames_of(names, coronary=coronary)
    logits = np.zeros((len(names), 6), np.float32)
    logits[:, COLUMN["RCA-others"]] = 9.0
    logits[at] = 0.0
    logits[at, COLUMN["LCA-better"]], logits[at, COLUMN["RCA-better"]] = -30.0, np.log(4.0 * score / (1.0 - score))
    return frames, logits


def test_the_key_frame_threshold_lies_above_the_best_of_runs_without_coronaries() -> None:
    filled: list[str | None] = [None, "RCA-bad", "RCA-better", "RCA-bad"]
    runs = [run_that_peaks(filled, 2, score) for score in (0.35, 0.6, 0.9)]
    runs += [run_that_peaks([None] * 4, 1, score, coronary=False) for score in (0.05, 0.5)]
    assert 0.5 < choose_key_frame_threshold(runs) <= 0.6


def test_without_false_finds_the_key_frame_threshold_lets_every_found_run_through() -> None:
    filled: list[str | None] = [None, "RCA-bad", "RCA-better", "RCA-bad"]
    runs = [run_that_peaks(filled, 2, score) for score in (0.35, 0.6, 0.9)]
    runs.append(run_that_peaks([None] * 4, 1, 0.1, coronary=False))
    assert 0.1 < choose_key_frame_threshold(runs) <= 0.35


def test_a_best_frame_far_from_a_better_one_is_a_false_find() -> None:
    late: list[str | None] = ["RCA-better", *["RCA-bad"] * 5]
    runs = [run_that_peaks(late, 5, 0.7) for _ in range(3)]
    runs += [run_that_peaks([None, "RCA-better"], 1, 0.8)]
    assert 0.7 < choose_key_frame_threshold(runs) <= 0.8


def test_a_side_that_is_often_wrong_raises_the_laterality_threshold() -> None:
    frames = frames_of(["LCA-better"] * 50 + ["RCA-better"] * 50 + [None] * 10)
    sure = logits_for(frames)
    unsure = sure.copy()
    unsure[:10] = 0.0
    unsure[:10, COLUMN["RCA-better"]], unsure[:10, COLUMN["LCA-better"]] = 4.0, 3.2  # wrong, at 0.68
    assert choose_thresholds([(frames, sure)]).laterality_threshold == 0.5
    assert 0.66 < choose_thresholds([(frames, unsure)]).laterality_threshold < 0.8
