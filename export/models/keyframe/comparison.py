"""Whether an engine answers as its reference does: the outputs of both compared run by run.

Pure functions on arrays and numbers; docs/export.md defines every figure. Not for: running networks
(qualify/measure.py), the further outputs (further.py), key frames (key_frames.py), how much may differ (gate.py),
drawing (page.py), or how right the reference itself is (benchmarks.accuracy).
N frames of a run, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cathrt.export.models.keyframe.differences import (
    Comparison,
    Flip,
    KeyFrameChange,
    LateralityChange,
    SideChange,
)
from cathrt.export.models.keyframe.findings import RunFindings, finding_of
from cathrt.export.models.keyframe.further import domain_changes, readability_error
from cathrt.export.models.keyframe.key_frames import FEWEST_FRAMES, KeyFrames, key_frames_of
from cathrt.export.models.keyframe.outputs import outputs_of
from cathrt.export.models.keyframe.scores import SIDES, confusion, f1_macro_of_counts
from cathrt.export.models.keyframe.truth import Side
from cathrt.export.qualify.criteria import FrameName, RunAnswers
from cathrt.export.qualify.intervals import Share, bootstrap
from cathrt.export.qualify.logits import Logits, logit_error
from cathrt.runtime.errors import EngineError
from cathrt.runtime.models.keyframe.finding import KeyframeModel
from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig
from cathrt.runtime.models.keyframe.records import KeyframeFinding, Laterality
from cathrt.runtime.models.keyframe.section import KeyframeSection


@dataclass(frozen=True, slots=True, eq=False)
class RunLogits:
    """One run as both networks answered it.

    frames: (N,) 0-based index in the run, rising. due_ms: (N,) from the run's first frame. sides: N true sides, None
    where not known. reference, engine: (N, C) float64, logits. further_reference, further_engine: further outputs by
    name, (N, columns) float64. generated, wanted: as in RunAnswers.
    """

    name: str
    frames: NDArray[np.int64]
    due_ms: NDArray[np.float64]
    sides: tuple[Side | None, ...]
    reference: NDArray[np.float64]
    engine: NDArray[np.float64]
    further_reference: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    further_engine: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    generated: bool = False
    wanted: frozenset[int] | None = None


def run_logits(run: RunAnswers, semantics: KeyframeSection) -> RunLogits:
    """The outputs that have a meaning, out of all that the networks gave. Raises EngineError for a truth that is no
    side, and for a network without one of these outputs."""
    columns = outputs_of(semantics)

    def rows(name: str, answers: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
        if not len(run.frames):
            return {output: np.zeros((0, count)) for output, count in columns.items()}
        if missing := [output for output in columns if output not in answers]:
            raise EngineError(f"{run.name}: the {name} gives {list(answers)}, expected {missing} too: export it again")
        return {output: answers[output].reshape(len(run.frames), -1) for output in columns}

    sides = tuple(None if truth is None else _side(truth) for truth in run.truths)
    reference, engine = rows("reference", run.reference), rows("engine", run.engine)
    logits = reference.pop(semantics.output), engine.pop(semantics.output)
    return RunLogits(run.name, run.frames, run.due_ms, sides, *logits, reference, engine, run.generated, run.wanted)


def compare(runs: Sequence[RunLogits], semantics: KeyframeSection, policy: KeyframePolicyConfig) -> Comparison:
    """Everything that differs between reference and engine, as the runtime would read either's outputs.

    A frame on which the engine is not finite agrees with nothing, names no side and is no key frame, as in the line.
    Raises ValueError where there is no frame at all, EngineError where outputs have the wrong shape or the reference
    itself is not finite.
    """
    if not any(len(run.frames) for run in runs):
        raise ValueError("no frame to compare: expected at least one")
    labels, model = [label.name for label in semantics.labels], KeyframeModel(semantics)
    flips: list[Flip] = []
    not_finite: list[FrameName] = []
    sides: list[SideChange] = []
    counts: list[NDArray[np.int64]] = []
    keys: list[KeyFrames] = []
    answers: list[RunFindings] = []
    for number, run in enumerate(runs):
        _check_shapes(run, semantics)
        answers.append(found := run_findings(number, run, model, semantics.output))
        names, before, after = found.frames, found.reference, found.engine
        for where, old, new in zip(names, before, after, strict=True):
            if new is None:
                not_finite.append(where)
            elif _likeliest(old) != _likeliest(new):
                flips.append(_flip(where, old, new, labels))
        told = [(side_of(old), side_of(new)) for old, new in zip(before, after, strict=True)]
        known = [(w, true, *pair) for w, true, pair in zip(names, run.sides, told, strict=True) if true is not None]
        sides += [SideChange(w, true, old, new) for w, true, old, new in known if old != new]
        if known:
            counts.append(_confusions(known))
        if len(run.frames) >= FEWEST_FRAMES:
            keys.append(key_frames_of(found, semantics, policy))
    frames = sum(len(run.frames) for run in runs)
    changes = tuple(KeyFrameChange(key.run, key.before, key.after) for key in keys if not key.same)
    domain, outside = domain_changes(answers) if semantics.domain is not None else (None, ())
    by_run = np.stack(counts) if counts else np.zeros((0, 2, len(SIDES), len(SIDES) + 1), np.int64)
    left, right = (int(number) for number in by_run[:, 0].sum(axis=(0, 2)))
    return Comparison(
        runs=sum(len(run.frames) > 0 for run in runs),
        frames=frames,
        labels=tuple(labels),
        agreement=Share(frames - len(flips) - len(not_finite), frames),
        flips=tuple(sorted(flips, key=lambda flip: -flip.margin_before)),
        not_finite=tuple(not_finite),
        logit_error=logit_error(
            [Logits(number, run.name, run.frames, run.reference, run.engine) for number, run in enumerate(runs)]
        ),
        known_frames=(left, right),
        laterality=_laterality_change(by_run) if left and right else None,
        side_changes=tuple(sides),
        key_frames=Share(len(keys) - len(changes), len(keys)) if keys else None,
        key_frame_changes=changes,
        runs_without_key_frame=sum(key.before is None and key.after is None for key in keys),
        readability=readability_error(answers) if semantics.readability is not None else None,
        runs_as_readable=sum(key.as_readable and not key.near for key in keys),
        domain=domain,
        domain_changes=outside,
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


def _check_shapes(run: RunLogits, semantics: KeyframeSection) -> None:
    expected = {output: (len(run.frames), columns) for output, columns in outputs_of(semantics).items()}
    for name, logits, further in (
        ("reference", run.reference, run.further_reference),
        ("engine", run.engine, run.further_engine),
    ):
        found = {semantics.output: logits.shape, **{output: rows.shape for output, rows in further.items()}}
        for output in expected.keys() | found.keys():
            if found.get(output) != expected.get(output):
                raise EngineError(
                    f"{run.name}: the {name} gives {output} {found.get(output)}, expected {expected.get(output)}: "
                    "compare networks of the same labels"
                )


def run_findings(number: int, run: RunLogits, model: KeyframeModel, output: str) -> RunFindings:
    """What the runtime says of each frame. Raises EngineError where the reference is not finite."""
    frames = [FrameName(number, run.name, int(frame)) for frame in run.frames]

    def findings(rows: Mapping[str, NDArray[np.float64]]) -> list[KeyframeFinding | None]:
        return [finding_of(model, {name: rows[name][place] for name in rows}) for place in range(len(frames))]

    reference = []
    for where, finding in zip(frames, findings({output: run.reference, **run.further_reference}), strict=True):
        if finding is None:
            raise EngineError(f"{where}: the reference gives outputs that are not finite: check its weights")
        reference.append(finding)
    return RunFindings(frames, run.due_ms, reference, findings({output: run.engine, **run.further_engine}))


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
