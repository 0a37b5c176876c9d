"""What the weights are worth on phantom frames they have not seen: scores counted.

Findings come from the runtime's own KeyframeModel, so a score here means what an alert means there. F1 and calibration
are defined here for benchmarks.accuracy too, which evaluates the finished bundle through the whole line, also on real
angiograms; nothing here does. N frames; logits (N, 6) in the order of dataset.LABELS.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from cathrt.export.models.keyframe.demo.dataset import LABELS, QUALITIES, PhantomFrames
from cathrt.export.models.keyframe.scores import SIDES, f1_macro
from cathrt.runtime.models.keyframe.finding import KeyframeModel
from cathrt.runtime.models.keyframe.records import KeyframeFinding
from cathrt.runtime.models.keyframe.section import KeyframeSection

OUTPUT = "logits"
# A key frame counts if the run's best frame by score lies this near one that the phantom calls "better".
HIT_FRAMES = 2
CALIBRATION_BINS = 15

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


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """The answers whose score falls into one of CALIBRATION_BINS equal bins of [0, 1].

    score: their mean score. right: how often they were right; an answer that is half right counts half.
    """

    answers: int
    score: float
    right: float


def semantics(laterality: float, visible: float, key_frame: float) -> KeyframeSection:
    """The manifest's section with these three thresholds."""
    return KeyframeSection(OUTPUT, LABELS, laterality, visible, key_frame)


def findings_of(logits: Logits, meaning: KeyframeSection) -> list[KeyframeFinding]:
    """What the runtime would say of each row."""
    model = KeyframeModel(meaning)
    return [model.finding({OUTPUT: row}, "") for row in logits]


def frame_scores(logits: Logits, frames: PhantomFrames, meaning: KeyframeSection) -> FrameScores:
    """Count over single frames."""
    found = np.array([finding.laterality for finding in findings_of(logits, meaning)])
    side, quality = truth(frames.targets)
    opacified = quality != "others"
    scores = softmax(logits)
    by_quality = np.stack([scores[:, [label.quality == q for label in LABELS]].sum(axis=1) for q in QUALITIES], axis=1)
    found_quality = np.array(QUALITIES)[by_quality.argmax(axis=1)]
    return FrameScores(
        frames=len(frames),
        opacified_frames=int(opacified.sum()),
        laterality_f1_macro=f1_macro(found[opacified], side[opacified], SIDES),
        unknown_when_opacified=share_of(found[opacified] == "unknown"),
        named_when_empty=share_of(found[~opacified] != "unknown"),
        quality_f1_macro=f1_macro(found_quality, quality, QUALITIES),
        expected_calibration_error=_calibration_error(scores, frames.targets),
    )


def run_scores(runs: Iterable[tuple[PhantomFrames, Logits]], meaning: KeyframeSection) -> RunScores:
    """Count over whole runs, frames in order."""
    hits, false_alerts, sides_right = [], [], []
    for frames, logits in runs:
        findings = findings_of(logits, meaning)
        key_scores = np.array([finding.score for finding in findings])
        side, quality = truth(frames.targets)
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
        key_frame_hit=share_of(hits),
        false_key_frame_runs=share_of(false_alerts),
        laterality_right=share_of(sides_right),
    )


def as_evidence(scores: FrameScores | RunScores) -> dict[str, float | int]:
    """Numbers for the manifest, four decimals."""
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(scores).items()}


def truth(targets: NDArray[np.float32]) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """Side ("left", "right", "none") and quality of each row."""
    left = targets[:, [label.laterality == "left" for label in LABELS]].sum(axis=1)
    side = np.where(left > 0.75, "left", np.where(left < 0.25, "right", "none"))
    quality = np.array([LABELS[column].quality for column in targets.argmax(axis=1)])
    return side, quality


def softmax(logits: Logits) -> NDArray[np.float64]:
    exponentials = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def calibration_bins(scores: NDArray[np.float64], right: NDArray[np.float64]) -> tuple[CalibrationBin, ...]:
    """The answers by their score, (N,) in [0, 1], and how right each was, (N,) in [0, 1]; empty bins left out."""
    which = np.minimum((scores * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    filled = [which == number for number in np.unique(which)]
    return tuple(CalibrationBin(int(i.sum()), float(scores[i].mean()), float(right[i].mean())) for i in filled)


def calibration_error(bins: Sequence[CalibrationBin]) -> float:
    """Expected calibration error: |score - right| of each bin, weighted by its answers. Raises ValueError without."""
    answers = sum(entry.answers for entry in bins)
    if not answers:
        raise ValueError("no answer in any bin: expected at least one; calibration of nothing is not 0")
    return sum(entry.answers * abs(entry.score - entry.right) for entry in bins) / answers


def _calibration_error(scores: NDArray[np.float64], targets: NDArray[np.float32]) -> float:
    """Of the likeliest class."""
    rows, likeliest = np.arange(len(scores)), scores.argmax(axis=1)
    return calibration_error(calibration_bins(scores[rows, likeliest], targets[rows, likeliest].astype(np.float64)))


def share_of(values: Sequence[bool] | NDArray[np.bool_]) -> float:
    """Share of True. Of nothing it is 0: the counts beside it tell."""
    return float(np.mean(values)) if len(values) else 0.0
