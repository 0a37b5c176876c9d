"""Whether an engine answers as its reference does: the logits of both compared run by run.

Pure functions on arrays and numbers; docs/export.md defines every figure. Not for: running networks
(qualify/measure.py), how much may differ (gate.py), drawing (page.py), or how right the reference itself is
(benchmarks.accuracy).
N frames of a run, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cathrt.export.models.keyframe.differences import (
    KEY_FRAME_TOLERANCE,
    Comparison,
    Flip,
    KeyFrameChange,
    LateralityChange,
    LogitError,
    SideChange,
)
from cathrt.export.models.keyframe.scores import SIDES, confusion, f1_macro_of_counts
from cathrt.export.models.keyframe.truth import Side
from cathrt.export.qualify.criteria import FrameName, RunAnswers
from cathrt.export.qualify.intervals import Share, bootstrap
from cathrt.runtime.errors import EngineError
from cathrt.runtime.model_kind import Judged
from cathrt.runtime.models.keyframe.finding import KeyframeModel
from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig
from cathrt.runtime.models.keyframe.ranking import rank_key_frames
from cathrt.runtime.models.keyframe.records import KeyframeFinding, Laterality
from cathrt.runtime.models.keyframe.section import KeyframeSection

# In a run of one or two frames any choice lies within the tolerance of any other.
_FEWEST_FRAMES_TO_CHOOSE_FROM = KEY_FRAME_TOLERANCE + 2


@dataclass(frozen=True, slots=True, eq=False)
class RunLogits:
    """One run as both networks answered it.

    frames: (N,) 0-based index in the run, rising. due_ms: (N,) from the run's first frame. sides: N true sides, None
    where not known. reference, engine: (N, C) float64.
    """

    name: str
    frames: NDArray[np.int64]
    due_ms: NDArray[np.float64]
    sides: tuple[Side | None, ...]
    reference: NDArray[np.float64]
    engine: NDArray[np.float64]


def run_logits(run: RunAnswers, output: str, classes: int) -> RunLogits:
    """The logits out of all that the networks gave. Raises EngineError for a truth that is no side."""

    def rows(answers: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        return answers[output].reshape(len(run.frames), -1) if len(run.frames) else np.zeros((0, classes))

    sides = tuple(None if truth is None else _side(truth) for truth in run.truths)
    return RunLogits(run.name, run.frames, run.due_ms, sides, rows(run.reference), rows(run.engine))


def compare(runs: Sequence[RunLogits], semantics: KeyframeSection, policy: KeyframePolicyConfig) -> Comparison:
    """Everything that differs between reference and engine, as the runtime would read either's logits.

    A frame on which the engine is not finite agrees with nothing, names no side and is no key frame, as in the line.
    Raises ValueError where there is no frame at all, EngineError where logits have the wrong shape or the reference
    itself is not finite.
    """
    if not any(len(run.frames) for run in runs):
        raise ValueError("no frame to compare: expected at least one")
    labels, model = [label.name for label in semantics.labels], KeyframeModel(semantics)
    flips: list[Flip] = []
    not_finite: list[FrameName] = []
    sides: list[SideChange] = []
    counts: list[NDArray[np.int64]] = []
    keys: list[tuple[str, int | None, int | None]] = []
    for number, run in enumerate(runs):
        _check_shapes(run, len(labels))
        before, after = (_findings(model, semantics.output, logits) for logits in (run.reference, run.engine))
        names = [FrameName(number, run.name, int(frame)) for frame in run.frames]
        for where, old, new in zip(names, before, after, strict=True):
            if old is None:
                raise EngineError(f"{where}: the reference gives logits that are not finite: check its weights")
            if new is None:
                not_finite.append(where)
            elif _likeliest(old) != _likeliest(new):
                flips.append(_flip(where, old, new, labels))
        told = [(side_of(old), side_of(new)) for old, new in zip(before, after, strict=True)]
        known = [(w, true, *pair) for w, true, pair in zip(names, run.sides, told, strict=True) if true is not None]
        sides += [SideChange(w, true, old, new) for w, true, old, new in known if old != new]
        if known:
            counts.append(_confusions(known))
        if len(run.frames) >= _FEWEST_FRAMES_TO_CHOOSE_FROM:
            old_key, new_key = (_key_frame(run, found, semantics, policy) for found in (before, after))
            keys.append((run.name, old_key, new_key))
    frames = sum(len(run.frames) for run in runs)
    changes = tuple(KeyFrameChange(*key) for key in keys if not _same_key_frame(key[1], key[2]))
    by_run = np.stack(counts) if counts else np.zeros((0, 2, len(SIDES), len(SIDES) + 1), np.int64)
    left, right = (int(number) for number in by_run[:, 0].sum(axis=(0, 2)))
    return Comparison(
        runs=sum(len(run.frames) > 0 for run in runs),
        frames=frames,
        labels=tuple(labels),
        agreement=Share(frames - len(flips) - len(not_finite), frames),
        flips=tuple(sorted(flips, key=lambda flip: -flip.margin_before)),
        not_finite=tuple(not_finite),
        logit_error=_logit_error(runs),
        known_frames=(left, right),
        laterality=_laterality_change(by_run) if left and right else None,
        side_changes=tuple(sides),
        key_frames=Share(len(keys) - len(changes), len(keys)) if keys else None,
        key_frame_changes=changes,
        runs_without_key_frame=sum(before is None and after is None for _, before, after in keys),
    )


def margin(scores: Sequence[float]) -> float:
    """Distance of the two best scores."""
    second, best = sorted(scores)[-2:]
    return best - second


def side_of(finding: KeyframeFinding | None) -> Laterality:
    """The side a finding names; a frame without one names none."""
    return "unknown" if finding is None else finding.laterality


def _side(truth: str) -> Side:
    if truth == "left":
        return "left"
    if truth == "right":
        return "right"
    raise EngineError(f"found {truth!r} as a frame's true side, expected left or right: mend its source")


def _check_shapes(run: RunLogits, classes: int) -> None:
    for name, logits in (("reference", run.reference), ("engine", run.engine)):
        if logits.shape != (len(run.frames), classes):
            raise EngineError(
                f"{run.name}: the {name} gives logits {logits.shape}, expected {(len(run.frames), classes)}: "
                "compare networks of the same labels"
            )


def _findings(model: KeyframeModel, output: str, logits: NDArray[np.float64]) -> list[KeyframeFinding | None]:
    """What the runtime says of each row; None where a logit is not finite."""
    return [model.finding({output: row}, "") if np.isfinite(row).all() else None for row in logits]


def _likeliest(finding: KeyframeFinding) -> int:
    return int(np.argmax(finding.class_scores))


def _flip(where: FrameName, before: KeyframeFinding, after: KeyframeFinding, labels: Sequence[str]) -> Flip:
    return Flip(
        where=where,
        class_before=labels[_likeliest(before)],
        class_after=labels[_likeliest(after)],
        margin_before=margin(before.class_scores),
        margin_after=margin(after.class_scores),
        scores_before=before.class_scores,
        scores_after=after.class_scores,
    )


def _confusions(known: Sequence[tuple[FrameName, Side, Laterality, Laterality]]) -> NDArray[np.int64]:
    """(2, sides, sides + 1): the reference's confusion matrix and the engine's."""
    true = np.array([side for _, side, _, _ in known])
    told = (np.array([answer[column] for answer in known]) for column in (2, 3))
    return np.stack([confusion(found, true, SIDES) for found in told])


def _laterality_change(by_run: NDArray[np.int64]) -> LateralityChange:
    before, after = (float(value) for value in f1_macro_of_counts(by_run.sum(axis=0)))

    def change(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        f1 = f1_macro_of_counts(counts)
        return f1[:, 1] - f1[:, 0]

    return LateralityChange(before, after, bootstrap(by_run, change))


def _key_frame(
    run: RunLogits, findings: Sequence[KeyframeFinding | None], semantics: KeyframeSection, policy: KeyframePolicyConfig
) -> int | None:
    scored = [
        Judged(int(index), float(due), verdict_id="", finding=finding)
        for index, due, finding in zip(run.frames, run.due_ms, findings, strict=True)
        if finding is not None
    ]
    ranked = rank_key_frames(scored, semantics.key_frame_threshold, policy)
    return ranked[0].index if ranked else None


def _same_key_frame(before: int | None, after: int | None) -> bool:
    if before is None or after is None:
        return before is after
    return abs(before - after) <= KEY_FRAME_TOLERANCE


def _logit_error(runs: Sequence[RunLogits]) -> LogitError | None:
    largest, total, count, at = -1.0, 0.0, 0, None
    for number, run in enumerate(runs):
        finite = np.isfinite(run.engine).all(axis=1)
        if not finite.any():
            continue
        errors = np.abs(run.engine[finite] - run.reference[finite])
        total, count = total + float(errors.sum()), count + errors.size
        if errors.max() > largest:
            largest = float(errors.max())
            at = FrameName(number, run.name, int(run.frames[finite][errors.max(axis=1).argmax()]))
    if at is None:
        return None
    return LogitError(largest, total / count, at, max(float(np.abs(run.reference).max(initial=0.0)) for run in runs))
