"""The head's raw outputs, read question by question: probabilities, amounts, categories, and what is called positive.

Not for: what an answer means for a patient, or wording it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.errors import EngineError
from cathrt.runtime.models.study.section import StudyQuestion, StudySection


@dataclass(frozen=True, slots=True)
class StudyAnswer:
    """The answer to one question.

    value: a probability, an amount within its bounds, or the probability of the likeliest category. category: that
    one's name. positive: whether it is called; None where the question has no threshold. margin: how far the raw
    output lies beyond the threshold, in logits or in units of the amount; below 0 where it is negative, None without.
    """

    question: StudyQuestion
    value: float
    category: str | None = None
    positive: bool | None = None
    margin: float | None = None


def answers_of(section: StudySection, logits: NDArray[np.float32]) -> tuple[StudyAnswer, ...]:
    """logits: (1, columns) of the head. Raises EngineError where they are not finite or of another size."""
    if logits.shape != (1, section.columns):
        raise EngineError(f"study head: found outputs {logits.shape}, expected {(1, section.columns)}: export it again")
    if not np.isfinite(logits).all():
        raise EngineError("study head: its outputs are NaN or infinite: check the features, or export it again")
    return tuple(_answer(question, columns) for question, columns in _columns(section, logits[0].astype(np.float64)))


def _columns(section: StudySection, logits: NDArray[np.float64]) -> Iterator[tuple[StudyQuestion, NDArray[np.float64]]]:
    start = 0
    for question in section.questions:
        yield question, logits[start : start + question.columns]
        start += question.columns


def _answer(question: StudyQuestion, columns: NDArray[np.float64]) -> StudyAnswer:
    raw = float(columns[0])
    if question.form == "category":
        shares = np.exp(columns - columns.max())
        best = int(shares.argmax())
        return StudyAnswer(question, float(shares[best] / shares.sum()), question.categories[best])
    if question.form == "probability":
        margin = None if question.threshold is None else raw - logit(question.threshold)
        value = 1.0 / (1.0 + math.exp(-raw)) if raw >= 0 else math.exp(raw) / (1.0 + math.exp(raw))
    else:
        value = raw if question.low is None else max(raw, question.low)
        value = value if question.high is None else min(value, question.high)
        margin = None if question.threshold is None else raw - question.threshold
    return StudyAnswer(question, value, None, None if margin is None else margin > 0, margin)


def logit(probability: float) -> float:
    """Of a probability between 0 and 1."""
    return math.log(probability) - math.log1p(-probability)
