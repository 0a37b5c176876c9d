"""What the weights are worth on phantom frames they have not seen: scores counted.

Findings and key frames come from the runtime's own reader and policy, so a score here means what an alert means there.
F1 and calibration are defined here for benchmarks.accuracy too, which evaluates the finished bundle through the whole
line, also on real angiograms; nothing here does.
N frames; rows (N, 6 + 1 + 1 + reasons): the last layer's, in the order of dataset.LABELS, readability, domain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cathrt.export.models.keyframe.demo.dataset import LABELS, QUALITIES, PhantomFrames, rate_of
from cathrt.export.models.keyframe.demo.outsiders import OUTSIDER_REASONS
from cathrt.export.models.keyframe.scores import SIDES, f1_macro
from cathrt.runtime.frame import Geometry
from cathrt.runtime.model_kind import Judged
from cathrt.runtime.models.keyframe.announce import KeyFrameAnnouncer
from cathrt.runtime.models.keyframe.finding import KeyframeModel
from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig
from cathrt.runtime.models.keyframe.records import KeyframeFinding
from cathrt.runtime.models.keyframe.run import key_frames_of_run
from cathrt.runtime.models.keyframe.section import DomainOutput, DomainReason, KeyframeSection, ReadabilityOutput
from cathrt.runtime.models.keyframe.side import run_outside, run_side

OUTPUT, READABILITY, DOMAIN = "logits", "readability", "domain"
POOR_BELOW = 0.3  # a twentieth of generated runs has no frame above it
# A key frame counts if it lies this near a best frame: one that has this share of the run's best readability.
HIT_FRAMES = 3
BEST_SHARE = 0.95
NOTHING_TO_READ = 0.05  # a run whose best frame is below it has no key frame to find
CALIBRATION_BINS = 15

Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FrameScores:
    """Per frame. laterality_*: over frames with an opacified artery; "unknown" counts as a miss of the true side.

    quality_f1_macro: better, bad, others by the largest of the three sums. expected_calibration_error: of the
    likeliest class, 15 equal bins. unknown_when_opacified: share of "unknown" where there is an artery.
    named_when_empty: share of a named side where there is none. readability_error: mean distance from the truth.
    refused: share of frames taken for no angiogram.
    """

    frames: int
    opacified_frames: int
    laterality_f1_macro: float
    unknown_when_opacified: float
    named_when_empty: float
    quality_f1_macro: float
    readability_error: float
    refused: float
    expected_calibration_error: float


@dataclass(frozen=True, slots=True)
class RunScores:
    """Per run, of the runtime's policy. key_frame_hit: share of coronary runs with something to read whose first-ranked
    key frame lies within HIT_FRAMES of a best frame. regret: 1 - its readability by the run's best, mean; a run without
    a key frame counts 1. without_key_frame: share of these runs. laterality_right: of coronary runs, unknown is wrong.
    false_key_frame_runs, named_side_runs: share of the runs without coronaries in which a key frame is announced or
    ranked, or a side named.
    """

    coronary_runs: int
    readable_runs: int
    other_runs: int
    key_frame_hit: float
    regret: float
    without_key_frame: float
    laterality_right: float
    false_key_frame_runs: float
    named_side_runs: float


@dataclass(frozen=True, slots=True)
class JudgedRun:
    """What the runtime makes of one run: places in it of the frames announced and ranked, and the side."""

    announced: tuple[int, ...]
    ranked: tuple[int, ...]
    side: str


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """The answers whose score falls into one of CALIBRATION_BINS equal bins of [0, 1].

    score: their mean score. right: how often they were right; an answer that is half right counts half.
    """

    answers: int
    score: float
    right: float


def semantics(
    laterality: float,
    visible: float,
    key_frame: float,
    run_evidence: float | None = None,
    domain: float | None = None,
) -> KeyframeSection:
    """The manifest's section with these thresholds; without one for the domain, that of a network of six classes."""
    plain = KeyframeSection(OUTPUT, LABELS, laterality, visible, key_frame, run_evidence=run_evidence)
    if domain is None:
        return plain
    reasons = tuple(DomainReason(*reason) for reason in OUTSIDER_REASONS)
    return replace(
        plain,
        readability=ReadabilityOutput(READABILITY, POOR_BELOW),
        domain=DomainOutput(DOMAIN, reasons, domain),
    )


def findings_of(rows: Rows, meaning: KeyframeSection) -> list[KeyframeFinding]:
    """What the runtime would say of each frame."""
    model = KeyframeModel(meaning)
    ends = len(LABELS), len(LABELS) + 1
    return [
        model.finding({OUTPUT: row[: ends[0]], READABILITY: row[ends[0] : ends[1]], DOMAIN: row[ends[1] :]}, "")
        for row in rows
    ]


def judged_run(
    findings: Sequence[KeyframeFinding],
    rate_hz: float,
    meaning: KeyframeSection,
    policy: KeyframePolicyConfig,
    geometry: Geometry | None = None,
) -> JudgedRun:
    """Take a whole run through the runtime's policy. geometry: None for a run that tells no angles."""
    reader = KeyframeModel(meaning)
    frames = [Judged(index, 1000.0 * index / rate_hz, "", finding) for index, finding in enumerate(findings)]
    announcer = KeyFrameAnnouncer(meaning.key_frame_threshold, policy, meaning.run_evidence)
    raised = [
        announcer.observe(frame, eligible=reader.may_be_key_frame(finding))
        for frame, finding in zip(frames, findings, strict=True)
    ]
    announced = tuple(frame.index for frame in [*raised, announcer.finish()] if frame is not None)
    if run_outside(findings) is not None:
        return JudgedRun(announced, (), "unknown")
    side = run_side(frames, reader, meaning, policy, geometry or Geometry())
    ranked = key_frames_of_run(frames, side, meaning, policy)
    return JudgedRun(announced, tuple(frame.index for frame in ranked), side.laterality)


def frame_scores(rows: Rows, frames: PhantomFrames, meaning: KeyframeSection) -> FrameScores:
    """Count over single frames."""
    findings = findings_of(rows, meaning)
    found = np.array([finding.laterality for finding in findings])
    side, quality = truth(frames.targets)
    opacified = (quality != "others") & (side != "none")
    scores = softmax(rows[:, : len(LABELS)])
    by_quality = np.stack([scores[:, [label.quality == q for label in LABELS]].sum(axis=1) for q in QUALITIES], axis=1)
    found_quality = np.array(QUALITIES)[by_quality.argmax(axis=1)]
    readable = np.array([finding.score for finding in findings])
    return FrameScores(
        frames=len(frames),
        opacified_frames=int(opacified.sum()),
        laterality_f1_macro=f1_macro(found[opacified], side[opacified], SIDES),
        unknown_when_opacified=share_of(found[opacified] == "unknown"),
        named_when_empty=share_of(found[~opacified] != "unknown"),
        quality_f1_macro=f1_macro(found_quality, quality, QUALITIES),
        readability_error=float(np.abs(readable - frames.readability).mean()),
        refused=share_of([finding.outside is not None for finding in findings]),
        expected_calibration_error=_calibration_error(scores, frames.targets),
    )


def run_scores(
    runs: Iterable[tuple[PhantomFrames, Rows]], meaning: KeyframeSection, policy: KeyframePolicyConfig
) -> RunScores:
    """Count over whole runs, frames in order."""
    hits, regrets, without, false, named, right = [], [], [], [], [], []
    for frames, rows in runs:
        judged = judged_run(findings_of(rows, meaning), rate_of(frames), meaning, policy)
        if not frames.coronary.any():
            false.append(bool(judged.announced or judged.ranked))
            named.append(judged.side != "unknown")
            continue
        side, _ = truth(frames.targets)
        right.append(judged.side in side)
        best = float(frames.readability.max())
        if best >= NOTHING_TO_READ:
            without.append(not judged.ranked)
            hits.append(is_hit(judged.ranked[:1], frames.readability))
            regrets.append(1.0 - float(frames.readability[judged.ranked[0]]) / best if judged.ranked else 1.0)
    return RunScores(
        coronary_runs=len(right),
        readable_runs=len(hits),
        other_runs=len(false),
        key_frame_hit=share_of(hits),
        regret=float(np.mean(regrets)) if regrets else 0.0,
        without_key_frame=share_of(without),
        laterality_right=share_of(right),
        false_key_frame_runs=share_of(false),
        named_side_runs=share_of(named),
    )


def is_hit(frames: Sequence[int], readability: NDArray[np.float32]) -> bool:
    """Whether any of these frames lies within HIT_FRAMES of a best one."""
    best = np.flatnonzero(readability >= BEST_SHARE * readability.max())
    return any(int(np.abs(best - frame).min()) <= HIT_FRAMES for frame in frames)


def as_evidence(scores: FrameScores | RunScores) -> dict[str, float | int]:
    """Numbers for the manifest, four decimals."""
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(scores).items()}


def truth(targets: NDArray[np.float32]) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """Side ("left", "right", "none") and quality of each row."""
    left = targets[:, [label.laterality == "left" for label in LABELS]].sum(axis=1)
    side = np.where(left > 0.75, "left", np.where(left < 0.25, "right", "none"))
    quality = np.array([LABELS[column].quality for column in targets.argmax(axis=1)])
    return side, quality


def softmax(logits: Rows) -> NDArray[np.float64]:
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
