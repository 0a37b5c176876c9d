"""Temperature and thresholds, set on whole validation runs: each by a rule of its own, none by a real angiogram.

Not for: counting how good they turn out (evaluate.py). Logits (N, 6) in the order of dataset.LABELS.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cathrt.export.models.keyframe.demo.dataset import LABELS, PhantomFrames
from cathrt.export.models.keyframe.demo.evaluate import HIT_FRAMES, Logits, semantics, share_of, softmax, truth
from cathrt.runtime.models.keyframe.section import KeyframeSection

GRID = tuple(round(0.02 * step, 2) for step in range(1, 50))
NAMED_WHEN_EMPTY = 0.1
LATERALITY_PRECISION = 0.98
FALSE_KEY_FRAME_RUNS = 0.005

Runs = Sequence[tuple[PhantomFrames, Logits]]


def fit_temperature(logits: Logits, targets: NDArray[np.float32]) -> float:
    """The divisor of the logits, 0.3 to 3, that makes the targets likeliest (Guo et al. 2017)."""
    candidates = np.geomspace(0.3, 3.0, 231)
    return float(candidates[np.argmin([_cross_entropy(logits / divisor, targets) for divisor in candidates])])


def choose_thresholds(runs: Runs) -> KeyframeSection:
    """Thresholds from whole runs.

    visible: the lowest that at most NAMED_WHEN_EMPTY of the frames without an opacified artery reach; a side too many
    before contrast costs a run's vote little, since votes weigh by visibility. laterality: the lowest from 0.5 at which
    LATERALITY_PRECISION of the named sides are right. key frame: see choose_key_frame_threshold.
    """
    logits = np.concatenate([found for _, found in runs])
    scores = softmax(logits)
    side, quality = truth(np.concatenate([frames.targets for frames, _ in runs]))
    opacified = quality != "others"
    visible_score = scores[:, [label.quality != "others" for label in LABELS]].sum(axis=1)
    visible = next((t for t in GRID if share_of(visible_score[~opacified] >= t) <= NAMED_WHEN_EMPTY), GRID[-1])

    left = scores[:, [label.laterality == "left" for label in LABELS]].sum(axis=1)
    named = opacified & (visible_score >= visible)
    right_side = np.where(left >= 0.5, "left", "right") == side
    side_score = np.maximum(left, 1.0 - left)
    sides = [t for t in GRID if t >= 0.5 and share_of(right_side[named & (side_score >= t)]) >= LATERALITY_PRECISION]
    return semantics(sides[0] if sides else GRID[-1], visible, choose_key_frame_threshold(runs))


def choose_key_frame_threshold(runs: Runs) -> float:
    """Best F1 over runs, among the thresholds that let through a key frame on at most FALSE_KEY_FRAME_RUNS of the runs
    without coronaries.

    A run is found if its best-scored frame reaches the threshold within HIT_FRAMES of a "better" one. One that has a
    "better" frame and is not found is missed; any other run that reaches the threshold is a false find.
    """
    best, near, has_better, coronary = [], [], [], []
    better_columns = [label.quality == "better" for label in LABELS]
    for frames, logits in runs:
        score = softmax(logits)[:, better_columns].sum(axis=1)
        better = np.flatnonzero(truth(frames.targets)[1] == "better")
        at = int(score.argmax())
        best.append(float(score[at]))
        has_better.append(len(better) > 0)
        near.append(len(better) > 0 and int(np.abs(better - at).min()) <= HIT_FRAMES)
        coronary.append(bool(frames.coronary.any()))
    reached = {t: np.array(best) >= t for t in GRID}
    other = ~np.array(coronary)
    quiet = [t for t in GRID if share_of(reached[t][other]) <= FALSE_KEY_FRAME_RUNS] or [GRID[-1]]

    def f1_of_runs(t: float) -> float:
        found = int((reached[t] & np.array(near)).sum())
        false, missed = int(reached[t].sum()) - found, int((np.array(has_better) & ~(reached[t] & near)).sum())
        return 2.0 * found / max(1, 2 * found + false + missed)

    return max(quiet, key=f1_of_runs)


def _cross_entropy(logits: Logits, targets: NDArray[np.float32]) -> float:
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_scores = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-(targets * log_scores).sum(axis=1).mean())
