"""Whether an engine answers as its reference does: labels of frames and of runs, and logits.

Not for: running networks (qualify/measure.py), how much may differ (gate.py), or drawing (page.py).
N frames of a run, C labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cathrt.export.qualify.criteria import FrameName, RunAnswers
from cathrt.export.qualify.intervals import Share
from cathrt.export.qualify.logits import LogitError, Logits, logit_error
from cathrt.runtime.errors import EngineError
from cathrt.runtime.model_kind import Judged
from cathrt.runtime.models.generic.finding import finding_of, softmax
from cathrt.runtime.models.generic.records import GenericFinding
from cathrt.runtime.models.generic.run import most_held
from cathrt.runtime.models.generic.section import GenericSection


@dataclass(frozen=True, slots=True)
class Flip:
    """A frame of another label. margin: distance of the reference's two best scores, which are softmax."""

    where: FrameName
    before: str
    after: str
    margin: float
    score_before: float
    score_after: float

    def __str__(self) -> str:
        scores = f"{self.score_before:.3f} → {self.score_after:.3f}"
        return f"{self.where}: {self.before} → {self.after} (scores {scores}, margin {self.margin:.3f})"


@dataclass(frozen=True, slots=True)
class RunChange:
    """A run whose label is another one."""

    run: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        return f"{self.run}: {self.before or 'no label'} → {self.after or 'no label'}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that differs. flips: surest first. not_finite: frames on which the engine gives NaN or infinity. run_labels:
    runs of the same label. known: frames whose true label is known."""

    runs: int
    frames: int
    agreement: Share
    flips: tuple[Flip, ...]
    not_finite: tuple[FrameName, ...]
    logit_error: LogitError | None
    run_labels: Share
    run_changes: tuple[RunChange, ...]
    known: int


@dataclass(frozen=True, slots=True, eq=False)
class RunFindings:
    """One run of at least one frame as the runtime reads both networks' logits. engine: None where not finite."""

    frames: Sequence[FrameName]
    reference: Sequence[Judged]
    engine: Sequence[Judged | None]


def compare_runs(runs: Sequence[RunAnswers], section: GenericSection) -> Comparison:
    """Everything that differs. Raises ValueError where there is no frame, EngineError where outputs have another shape
    or the reference is not finite."""
    answered = [(number, run) for number, run in enumerate(runs) if len(run.frames)]
    if not answered:
        raise ValueError("no frame to compare: expected at least one")
    flips: list[Flip] = []
    not_finite: list[FrameName] = []
    changes: list[RunChange] = []
    for number, run in answered:
        found = findings_of(number, run, section)
        for place, (where, old, new) in enumerate(zip(found.frames, found.reference, found.engine, strict=True)):
            if new is None:
                not_finite.append(where)
            elif _label(old) != _label(new):
                flips.append(_flip(where, old, new, rows(run.reference, section, run)[place]))
        before, after = label_of(found.reference), label_of([one for one in found.engine if one is not None])
        if before != after:
            changes.append(RunChange(run.name, before, after))
    frames = sum(len(run.frames) for _, run in answered)
    return Comparison(
        runs=len(answered),
        frames=frames,
        agreement=Share(frames - len(flips) - len(not_finite), frames),
        flips=tuple(sorted(flips, key=lambda flip: -flip.margin)),
        not_finite=tuple(not_finite),
        logit_error=logit_error(_logits(answered, section)),
        run_labels=Share(len(answered) - len(changes), len(answered)),
        run_changes=tuple(changes),
        known=sum(truth in section.labels for _, run in answered for truth in run.truths),
    )


def findings_of(number: int, run: RunAnswers, section: GenericSection) -> RunFindings:
    """Of a run of at least one frame."""
    frames = [FrameName(number, run.name, int(frame)) for frame in run.frames]

    def judged(answers: Mapping[str, NDArray[np.float64]]) -> list[Judged | None]:
        return [
            _judged(section, logits, int(index), float(due_ms))
            for logits, index, due_ms in zip(rows(answers, section, run), run.frames, run.due_ms, strict=True)
        ]

    reference = []
    for where, one in zip(frames, judged(run.reference), strict=True):
        if one is None:
            raise EngineError(f"{where}: the reference gives logits that are not finite: check the model's weights")
        reference.append(one)
    return RunFindings(frames, reference, judged(run.engine))


def label_of(frames: Sequence[Judged]) -> str | None:
    """The label that a run has in the line."""
    held = most_held([(one, _label(one)) for one in frames])
    return _label(held[0]) if held else None


def rows(answers: Mapping[str, NDArray[np.float64]], section: GenericSection, run: RunAnswers) -> NDArray[np.float64]:
    """(N, C) logits. Raises EngineError where a network gives others."""
    found = answers.get(section.output)
    expected = (len(run.frames), len(section.labels))
    if found is None or found.size != expected[0] * expected[1]:
        raise EngineError(
            f"{run.name}: found {section.output} {None if found is None else found.shape}, expected {expected}: "
            "compare networks of the same labels"
        )
    return found.reshape(expected)


def _judged(section: GenericSection, logits: NDArray[np.float64], index: int, due_ms: float) -> Judged | None:
    if not np.isfinite(logits).all():
        return None
    return Judged(index, due_ms, "", finding_of(section, {section.output: logits}, ""))


def _label(judged: Judged) -> str:
    assert isinstance(judged.finding, GenericFinding)
    return judged.finding.label


def _flip(where: FrameName, before: Judged, after: Judged, logits: NDArray[np.float64]) -> Flip:
    second, best = np.sort(softmax(logits))[-2:]
    return Flip(
        where, _label(before), _label(after), float(best - second), before.finding.score, after.finding.score
    )  # fmt: skip


def _logits(answered: Sequence[tuple[int, RunAnswers]], section: GenericSection) -> list[Logits]:
    return [
        Logits(number, run.name, run.frames, rows(run.reference, section, run), rows(run.engine, section, run))
        for number, run in answered
    ]
