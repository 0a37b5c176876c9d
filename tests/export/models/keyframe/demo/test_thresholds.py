"""Temperature and thresholds, on rows made up so that the answer is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.export.models.keyframe.demo.dataset import PhantomFrames
from cathrt.export.models.keyframe.demo.evaluate import POOR_BELOW, findings_of, judged_run
from cathrt.export.models.keyframe.demo.thresholds import GRID, choose_thresholds, fit_temperature
from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig
from cathrt.runtime.models.keyframe.section import KeyframeSection
from tests.export.made_up import COLUMN, course, filling, frames_of, logits_for, rows_for

Run = tuple[PhantomFrames, NDArray[np.float32]]


def chosen(*runs: Run) -> KeyframeSection:
    return choose_thresholds(runs, KeyframePolicyConfig())


def coronary(side: str = "RCA", angiogram: float = 0.999) -> Run:
    frames = frames_of(filling(course(30), side), readability=course(30))
    return frames, rows_for(frames, angiogram=angiogram)


def negative(visible: float | NDArray[np.float32] = 0.002, readability: Sequence[float] = (0.0,) * 60) -> Run:
    """A run without coronaries of which a model thinks this: visibility of a left artery, readability by frame."""
    frames = frames_of([None] * 60, coronary=False)
    logits = np.full((60, 6), -30.0, np.float32)
    logits[:, COLUMN["LCA-better"]] = np.log(visible)
    logits[:, COLUMN["LCA-others"]] = np.log(0.99 - visible)
    logits[:, COLUMN["RCA-others"]] = np.log(0.01)
    return frames, rows_for(frames, logits=logits, readability=readability)


def test_temperature_undoes_a_known_overconfidence() -> None:
    draw = np.random.default_rng(3)
    logits = draw.normal(size=(4000, 6)).astype(np.float32) * 2.0
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([draw.choice(6, p=row / row.sum()) for row in chances.astype(np.float64)])
    targets = np.eye(6, dtype=np.float32)[labels]
    assert fit_temperature(logits * 1.8, targets) == pytest.approx(1.8, rel=0.07)


def test_a_key_frame_is_what_is_not_poor_and_the_evidence_keeps_quiet() -> None:
    seen = np.where(np.abs(np.arange(60) - 30) <= 3, np.float32(0.9), np.float32(0.002))  # in seven frames
    loud = [0.6 * value / 0.9 for value in course(30)]
    quiet, risen = (chosen(coronary(), negative(seen, values)) for values in ([0.0] * 60, loud))
    assert quiet.key_frame_threshold == risen.key_frame_threshold == POOR_BELOW
    assert quiet.run_evidence == GRID[0]
    announced = judged_run(findings_of(negative(seen, loud)[1], risen), 15.0, risen, KeyframePolicyConfig())
    assert (announced.announced, announced.ranked, announced.side) == ((), (), "unknown")


def test_what_looks_like_an_artery_all_the_time_raises_the_evidence_and_not_the_key_frame_threshold() -> None:
    seen = np.where(np.abs(np.arange(60) - 30) <= 3, np.float32(0.9), np.float32(0.002))  # in seven frames
    steady = chosen(coronary(), negative(seen, [0.5] * 60))
    assert steady.run_evidence == 0.26, "half of it is baseline"
    assert steady.key_frame_threshold == POOR_BELOW


def test_no_side_is_named_in_runs_without_coronaries() -> None:
    seen = np.where(np.abs(np.arange(60) - 30) <= 3, np.float32(0.9), np.float32(0.002))  # in seven frames
    rising = [0.6 * value / 0.9 for value in course(30)]
    none, some = chosen(coronary(), negative()), chosen(coronary(), negative(seen, rising))
    assert none.run_evidence == GRID[0]
    assert some.run_evidence is not None
    assert 0.3 < some.run_evidence < 0.9, "a run that rises by 0.6 must not have a side"


def test_an_artery_seen_in_a_tenth_of_empty_frames_is_allowed_and_in_more_is_not() -> None:
    frames, rows = coronary()
    empty = np.flatnonzero(frames.targets.max(axis=1) < 1.0)
    assert len(empty) > 20
    few, many = rows.copy(), rows.copy()
    seen = logits_for(frames_of(["RCA-bad"]), sharpness=3.0)[0]  # visible at 0.83
    few[empty[: len(empty) // 12], :6], many[empty[: len(empty) // 5], :6] = seen, seen
    assert chosen((frames, few)).visible_threshold < 0.5
    assert chosen((frames, many)).visible_threshold > 0.8


def test_a_side_that_is_often_wrong_raises_the_laterality_threshold() -> None:
    frames = frames_of(["LCA-better"] * 50 + ["RCA-better"] * 50 + [None] * 10)
    sure = logits_for(frames)
    unsure = sure.copy()
    unsure[:10] = 0.0
    unsure[:10, COLUMN["RCA-better"]], unsure[:10, COLUMN["LCA-better"]] = 4.0, 3.2  # wrong, at 0.68
    assert chosen((frames, rows_for(frames, logits=sure))).laterality_threshold == 0.5
    assert 0.66 < chosen((frames, rows_for(frames, logits=unsure))).laterality_threshold < 0.8


def test_the_domain_threshold_refuses_next_to_no_angiogram() -> None:
    for angiogram, most in ((0.999, 0.5), (0.25, 0.2), (0.03, 0.02)):
        domain = chosen(coronary(angiogram=angiogram)).domain
        assert domain is not None
        assert domain.threshold == most
