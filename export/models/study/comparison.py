"""How an engine's answers differ from the float32 network's on the same studies, question by question.

What decides is told in clinical terms: which calls flip and how near to the threshold they were, how far raw outputs
are off in logits, how far amounts are off in their own unit. Not for: running either (answering.py, reference.py), or
how much may differ (gate.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cathrt.export.qualify.intervals import Share
from cathrt.runtime.errors import EngineError
from cathrt.runtime.models.study.answers import StudyAnswer, answers_of
from cathrt.runtime.models.study.section import StudyQuestion, StudySection

Float32 = NDArray[np.float32]
_PERCENT = 100.0


@dataclass(frozen=True, slots=True)
class Flip:
    """A call that the engine makes otherwise. margin: how far the float32 output lay from the threshold, or above the
    second category, in its own unit (logits, points)."""

    question: str
    study: int
    before: str
    after: str
    margin: float

    def __str__(self) -> str:
        return f"{self.question}, study {self.study}: {self.before} → {self.after} (margin {self.margin:.3g})"


@dataclass(frozen=True, slots=True)
class QuestionDifference:
    """One question over all studies. error: largest of a raw output. called: studies in which something is called;
    flips: those of them that differ. nearest: the least margin of a call. mean_error: of an amount within its bounds,
    in its unit; None for others."""

    name: str
    form: str
    error: float
    called: int
    flips: tuple[Flip, ...]
    nearest: float | None
    mean_error: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that differs. feature_error: largest of the clips' features, relative to the largest feature.
    feature_noise: root mean square of the errors, relative to that of the features. not_finite: studies of which the
    engine gives NaN or infinity, which are in nothing else."""

    clips: int
    studies: int
    questions: tuple[QuestionDifference, ...]
    feature_error: float
    feature_noise: float
    not_finite: int

    @property
    def same(self) -> Share | None:
        """Calls that are the same, of all calls; None where nothing is called."""
        called = sum(one.called for one in self.questions)
        return Share(called - len(self.flips), called) if called else None

    @property
    def flips(self) -> tuple[Flip, ...]:
        """Of all questions, the surest first."""
        return tuple(sorted((flip for one in self.questions for flip in one.flips), key=lambda flip: -flip.margin))

    @property
    def logit_error(self) -> float | None:
        """Largest of any probability's or category's raw output; None without such questions."""
        return max((one.error for one in self.questions if one.form != "amount"), default=None)

    @property
    def percent_error(self) -> float | None:
        """Largest mean error of an amount, in percent of the width of its bounds; of one without two bounds in its own
        unit. None without such questions."""
        return max((one.mean_error for one in self.questions if one.mean_error is not None), default=None)


def compared(
    section: StudySection, features: tuple[Float32, Float32], outputs: tuple[Sequence[Float32], Sequence[Float32]]
) -> Comparison:
    """features: (C, L, F), of the float32 network and of the engine. outputs: (1, columns) a study, likewise.

    Raises EngineError where the sizes differ, or the float32 network's are not finite.
    """
    before, after = features
    if before.shape != after.shape or len(outputs[0]) != len(outputs[1]):
        raise EngineError(
            f"study encoder: found features {after.shape}, the network gives {before.shape}: export again"
        )
    if not np.isfinite(before).all() or not all(np.isfinite(one).all() for one in outputs[0]):
        raise EngineError("the float32 network gives NaN or infinity: check the weights")
    pairs = [
        (number, one, two) for number, (one, two) in enumerate(zip(*outputs, strict=True)) if np.isfinite(two).all()
    ]
    answers = [(number, answers_of(section, one), answers_of(section, two)) for number, one, two in pairs]
    starts = np.cumsum([0, *(question.columns for question in section.questions)])
    questions = tuple(
        _question(
            question,
            [(number, own[place], other[place]) for number, own, other in answers],
            [(one[0, starts[place] : starts[place + 1]], two[0, starts[place] : starts[place + 1]])
             for _, one, two in pairs],
        )
        for place, question in enumerate(section.questions)
    )  # fmt: skip
    difference = after.astype(np.float64) - before
    largest, power = float(np.abs(before).max()), float(np.square(before, dtype=np.float64).mean())
    return Comparison(
        clips=len(before),
        studies=len(outputs[0]),
        questions=questions,
        feature_error=float(np.abs(difference).max()) / max(largest, 1e-12),
        feature_noise=(float(np.square(difference).mean()) / max(power, 1e-24)) ** 0.5,
        not_finite=len(outputs[0]) - len(pairs),
    )


def _question(
    question: StudyQuestion,
    answers: Sequence[tuple[int, StudyAnswer, StudyAnswer]],
    raw: Sequence[tuple[Float32, Float32]],
) -> QuestionDifference:
    margins = [_margin(question, own, columns) for (_, own, _), (columns, _) in zip(answers, raw, strict=True)]
    flips = tuple(
        Flip(question.name, number, _call(own), _call(other), margin)
        for (number, own, other), margin in zip(answers, margins, strict=True)
        if margin is not None and _call(own) != _call(other)
    )
    found = [margin for margin in margins if margin is not None]
    mean_error = None
    if question.form == "amount" and answers:
        mean_error = sum(abs(own.value - other.value) for _, own, other in answers) / len(answers) * _scale(question)
    return QuestionDifference(
        name=question.name,
        form=question.form,
        error=max((float(np.abs(two.astype(np.float64) - one).max()) for one, two in raw), default=0.0),
        called=len(found),
        flips=flips,
        nearest=min(found, default=None),
        mean_error=mean_error,
    )


def _margin(question: StudyQuestion, own: StudyAnswer, columns: Float32) -> float | None:
    """How sure the float32 network's call is; None where nothing is called."""
    if question.form == "category":
        second, best = np.partition(columns.astype(np.float64), -2)[-2:]
        return float(best - second)
    return None if own.margin is None else abs(own.margin)


def _call(answer: StudyAnswer) -> str:
    return answer.category or ("positive" if answer.positive else "negative")


def _scale(question: StudyQuestion) -> float:
    """From an amount's unit to percent of the width of its bounds; 1 without two bounds."""
    if question.low is None or question.high is None:
        return 1.0
    return _PERCENT / (question.high - question.low)
