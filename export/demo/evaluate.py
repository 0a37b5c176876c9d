"""What the weights are worth on phantom frames they have not seen: thresholds chosen, scores counted.

Findings come from the runtime's own KeyframeModel, so a score here means what an alert means there. Not for: real
angiograms (judge.py). N frames; logits (N, 6) in the order of dataset.LABELS.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from cathrt.export.demo.dataset import LABELS, QUALITIES, SIDES, PhantomFrames
from cathrt.runtime.alert import KeyframeFinding
from cathrt.runtime.bundle import KeyframeSemantics
from cathrt.runtime.models.keyframe import KeyframeModel

OUTPUT = "logits"
# A key frame counts if the run's best frame by score lies this near one that the phantom calls "better".
HIT_FRAMES = 2
GRID = tuple(round(0.02 * step, 2) for step in range(1, 50))
# Thresholds are the lowest that keep these on the validation seeds.
LATERALITY_PRECISION = 0.98
FALSE_KEY_FRAMES_PER_FRAME = 0.001

Logits = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FrameScores:
    """Per frame. laterality_*: over frames with an opacified artery; "unknown" counts as a miss of the true side.

    quality_f1_macro: better, bad, others by the largest of the three sums. expected_calibration_error: of the
    likeliest class, 15 equal bins. unknown_when_opacified: share of "unknown" where there is an artery.
    named_when_empty: share of a named side where there is none.
    """

    frames: int
    opacified_frames: int
    laterality_f1_macro: float
    unknown_when_opacified: float
    named_when_empty: float
    quality_f1_macro: float
    expected_calibration_error: float


@dataclass(frozen=True, slots=True)
class RunScores:
    """Per run. key_frame_hit: share of runs with a "better" frame whose best-scored frame lies within HIT_FRAMES of one
    and reaches the threshold. false_key_frame_runs: share of runs without coronaries with any frame at the threshold.
    laterality_right: share of coronary runs whose side by sum of opacified frames' votes is right.
    """

    coronary_runs: int
    runs_with_better: int
    other_runs: int
    key_frame_hit: float
    false_key_frame_runs: float
    laterality_right: float


def semantics(laterality: float, visible: float, key_frame: float) -> KeyframeSemantics:
    """The manifest's section with these three thresholds."""
    return KeyframeSemantics(OUTPUT, LABELS, laterality, visible, key_frame)


def findings_of(logits: Logits, meaning: KeyframeSemantics) -> list[KeyframeFinding]:
    """What the runtime would say of each row."""
    model = KeyframeModel(meaning)
    return [model.finding({OUTPUT: row}) for row in logits]


def fit_temperature(logits: Logits, targets: NDArray[np.float32]) -> float:
    """The divisor of the logits, 0.3 to 3, that makes the targets likeliest (Guo et al. 2017)."""
    candidates = np.geomspace(0.3, 3.0, 231)
    return float(candidates[np.argmin([_cross_entropy(logits / divisor, targets) for divisor in candidates])])


def choose_thresholds(logits: Logits, frames: PhantomFrames) -> KeyframeSemantics:
    """Thresholds from validation frames, each by its own rule.

    visible: best F1 of "an artery is opacified". laterality: the lowest from 0.5 at which LATERALITY_PRECISION of the
    named sides are right. key frame: best F1 of "better" among those that let through no more than
    FALSE_KEY_FRAMES_PER_FRAME of the frames without contrast.
    """
    scores = _softmax(logits)
    side, quality = _truth(frames.targets)
    opacified = quality != "others"
    visible_score = scores[:, [label.quality != "others" for label in LABELS]].sum(axis=1)
    visible = max(GRID, key=lambda t: _f1(visible_score >= t, opacified))

    left = scores[:, [label.laterality == "left" for label in LABELS]].sum(axis=1)
    named = opacified & (visible_score >= visible)
    right_side = np.where(left >= 0.5, "left", "right") == side
    side_score = np.maximum(left, 1.0 - left)
    sides = [t for t in GRID if t >= 0.5 and _share(right_side[named & (side_score >= t)]) >= LATERALITY_PRECISION]
    laterality = sides[0] if sides else GRID[-1]

    better_score = scores[:, [label.quality == "better" for label in LABELS]].sum(axis=1)
    quiet = [t for t in GRID if _share(better_score[~opacified] >= t) <= FALSE_KEY_FRAMES_PER_FRAME]
    key_frame = max(quiet or GRID[-1:], key=lambda t: _f1(better_score >= t, quality == "better"))
    return semantics(laterality, visible, key_frame)


def frame_scores(logits: Logits, frames: PhantomFrames, meaning: KeyframeSemantics) -> FrameScores:
    """Count over single frames."""
    found = np.array([finding.laterality for finding in findings_of(logits, meaning)])
    side, quality = _truth(frames.targets)
    opacified = quality != "others"
    scores = _softmax(logits)
    by_quality = np.stack([scores[:, [label.quality == q for label in LABELS]].sum(axis=1) for q in QUALITIES], axis=1)
    found_quality = np.array(QUALITIES)[by_quality.argmax(axis=1)]
    return FrameScores(
        frames=len(frames),
        opacified_frames=int(opacified.sum()),
        laterality_f1_macro=f1_macro(found[opacified], side[opacified], SIDES),
        unknown_when_opacified=_share(found[opacified] == "unknown"),
        named_when_empty=_share(found[~opacified] != "unknown"),
        quality_f1_macro=f1_macro(found_quality, quality, QUALITIES),
        expected_calibration_error=_calibration_error(scores, frames.targets),
    )


def run_scores(runs: Iterable[tuple[PhantomFrames, Logits]], meaning: KeyframeSemantics) -> RunScores:
    """Count over whole runs, frames in order."""
    hits, false_alerts, sides_right = [], [], []
    for frames, logits in runs:
        findings = findings_of(logits, meaning)
        key_scores = np.array([finding.key_frame_score for finding in findings])
        side, quality = _truth(frames.targets)
        if not frames.coronary.any():
            false_alerts.append(bool((key_scores >= meaning.key_frame_threshold).any()))
            continue
        better = np.flatnonzero(quality == "better")
        if len(better):
            best = int(key_scores.argmax())
            near = bool(np.abs(better - best).min() <= HIT_FRAMES)
            hits.append(near and key_scores[best] >= meaning.key_frame_threshold)
        votes = {name: sum(finding.laterality == name for finding in findings) for name in SIDES}
        true_side = next(name for name in side if name != "none") if (side != "none").any() else None
        if true_side:
            sides_right.append(votes[true_side] > sum(votes.values()) / 2)
    return RunScores(
        coronary_runs=len(sides_right),
        runs_with_better=len(hits),
        other_runs=len(false_alerts),
        key_frame_hit=_share(hits),
        false_key_frame_runs=_share(false_alerts),
        laterality_right=_share(sides_right),
    )


def as_evidence(scores: FrameScores | RunScores) -> dict[str, float | int]:
    """Numbers for the manifest, four decimals."""
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(scores).items()}


def _truth(targets: NDArray[np.float32]) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """Side ("left", "right", "none") and quality of each row."""
    left = targets[:, [label.laterality == "left" for label in LABELS]].sum(axis=1)
    side = np.where(left > 0.75, "left", np.where(left < 0.25, "right", "none"))
    quality = np.array([LABELS[column].quality for column in targets.argmax(axis=1)])
    return side, quality


def _softmax(logits: Logits) -> NDArray[np.float64]:
    exponentials = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def _cross_entropy(logits: Logits, targets: NDArray[np.float32]) -> float:
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_scores = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-(targets * log_scores).sum(axis=1).mean())


def _f1(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    named = int(found.sum() + true.sum())
    return 2.0 * int((found & true).sum()) / named if named else 0.0


def f1_macro(found: NDArray[np.str_], true: NDArray[np.str_], names: Sequence[str]) -> float:
    """Mean F1 of `names`; any other answer ("unknown") is a miss of the true one."""
    return float(np.mean([_f1(found == name, true == name) for name in names]))


def _calibration_error(scores: NDArray[np.float64], targets: NDArray[np.float32]) -> float:
    """|score of the likeliest class - how often it is the class|, weighted over 15 bins; half labels count half."""
    likeliest = scores.argmax(axis=1)
    confidence = scores[np.arange(len(scores)), likeliest]
    right = targets[np.arange(len(scores)), likeliest]
    bins = np.minimum((confidence * 15).astype(int), 14)
    gaps = [abs(float((confidence - right)[bins == b].sum())) for b in range(15)]
    return sum(gaps) / len(scores)


def _share(values: Sequence[bool] | NDArray[np.bool_]) -> float:
    """Share of True. Of nothing it is 0: the counts beside it tell."""
    return float(np.mean(values)) if len(values) else 0.0
