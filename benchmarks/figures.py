"""Counting answers: sides with their confusion matrix, F1 and unknown rate, rates of runs, and how sure all of it is.

docs/status.md defines every figure. F1 and calibration themselves are those of export/models/keyframe
(scores.py, demo/evaluate.py), which the training reports with. Not for: where answers come from (judged_runs.py).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.judged_runs import JudgedFrame
from cathrt.export.models.keyframe.demo.evaluate import CalibrationBin, calibration_bins, calibration_error
from cathrt.export.models.keyframe.scores import SIDES, confusion, f1_macro_of_counts
from cathrt.export.qualify.intervals import Interval, bootstrap, wilson
from cathrt.runtime.models.keyframe.records import Laterality

Counts = NDArray[np.int64]


@dataclass(slots=True)
class Figures:
    """What was measured, and nothing that was not: a figure that could not be had has no key.

    rows: JSON objects, one a line. headline, intervals: by key. reliability: calibration bins by what they are of.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    headline: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, Interval] = field(default_factory=dict)
    reliability: dict[str, tuple[CalibrationBin, ...]] = field(default_factory=dict)

    def rate(self, key: str, hits: Sequence[bool]) -> None:
        """The share of True with its Wilson interval. Of nothing there is no share, and no key."""
        if hits:
            self.headline[key] = sum(hits) / len(hits)
            self.intervals[key] = wilson(sum(hits), len(hits))

    def mean(self, key: str, values: Sequence[float]) -> None:
        """The mean over runs with its bootstrap interval. Of nothing there is no mean, and no key."""
        if values:
            self.headline[key] = float(np.mean(values))
            sums = np.array([(value, 1.0) for value in values])
            self.intervals[key] = bootstrap(sums, lambda drawn: np.asarray(drawn[..., 0] / drawn[..., 1]))

    def calibration(self, prefix: str, scores: Sequence[float], right: Sequence[float]) -> None:
        """The expected calibration error, and its bins for the plot; of no answer there is none."""
        if scores:
            bins = calibration_bins(np.asarray(scores, np.float64), np.asarray(right, np.float64))
            self.headline[f"{prefix}_calibration_error"] = calibration_error(bins)
            self.reliability[prefix] = bins

    def sides(self, prefix: str, answers: Sequence[SideAnswer]) -> dict[str, Any]:
        """Adds F1, forced F1 and unknown rate of single frames; returns the confusion matrix by name for the row.

        With frames of one side only there is no F1 of two: it is left out and named on stderr.
        """
        if not answers:
            return {}
        found, forced = (_counts_by_run(answers, side) for side in (_found, _forced))
        self._counted(f"{prefix}_unknown_rate", found, _unknown_share)
        if len(found) == len(answers):  # a frame a run: each for itself
            self.intervals[f"{prefix}_unknown_rate"] = wilson(int(found[:, :, -1].sum()), len(answers))
        if len({answer.true for answer in answers}) == len(SIDES):
            self._counted(f"{prefix}_laterality_f1", found, f1_macro_of_counts)
            self._counted(f"{prefix}_laterality_f1_forced", forced, f1_macro_of_counts)
        else:
            print(f"not measured: {prefix}_laterality_f1: all frames are {answers[0].true}", file=sys.stderr)
        return {
            side: dict(zip((*SIDES, "unknown"), map(int, row), strict=True))
            for side, row in zip(SIDES, found.sum(axis=0), strict=True)
        }

    def _counted(self, key: str, counts: Counts, statistic: Callable[[Counts], NDArray[np.float64]]) -> None:
        """A statistic of the summed counts, with its bootstrap interval."""
        self.headline[key] = float(statistic(counts.sum(axis=0)))
        self.intervals[key] = bootstrap(counts, statistic)


@dataclass(frozen=True, slots=True)
class SideAnswer:
    """A frame whose artery is known. run: number of the run it is of; frames of one run are no independent sample."""

    run: int
    true: str
    frame: JudgedFrame


def _counts_by_run(answers: Sequence[SideAnswer], side: Callable[[JudgedFrame], Laterality]) -> Counts:
    """(runs, 2, 3) confusion matrices."""
    by_run: dict[int, list[SideAnswer]] = {}
    for answer in answers:
        by_run.setdefault(answer.run, []).append(answer)
    return np.stack(
        [
            confusion(np.array([side(a.frame) for a in run]), np.array([a.true for a in run]), SIDES)
            for run in by_run.values()
        ]
    )


def _found(frame: JudgedFrame) -> Laterality:
    return frame.found


def _forced(frame: JudgedFrame) -> Laterality:
    return frame.forced


def _unknown_share(counts: Counts) -> NDArray[np.float64]:
    return np.asarray(counts[..., -1].sum(axis=-1) / counts.sum(axis=(-2, -1)))
