"""Raw outputs become probabilities, amounts and categories, and calls at the thresholds."""

from __future__ import annotations

import numpy as np
import pytest

from cathrt.runtime.errors import EngineError
from cathrt.runtime.models.study.answers import answers_of, logit
from cathrt.runtime.models.study.section import StudyClip, StudyQuestion, StudySection

SECTION = StudySection(
    product="made up",
    clip=StudyClip(16, 224, 224, 1, 122.0, 28.8),
    runs=4,
    empty="hidden",
    views=0,
    questions=(
        StudyQuestion("stenosis", "Stenosis", "stenosis", "amount", "prox_rca", low=0.0, high=100.0, unit="%"),
        StudyQuestion("cto", "CTO", "cto", "probability", "prox_rca", threshold=0.0134),
        StudyQuestion("category", "Category", "category", "category", categories=("zero", "low", "high")),
        StudyQuestion("score", "Score", "score", "amount", low=0.0, threshold=16.9),
    ),
)


def answered(*columns: float) -> list[object]:
    found = answers_of(SECTION, np.array([columns], np.float32))
    return [
        (one.question.name, pytest.approx(one.value, abs=1e-6), one.category, one.positive) for one in found
    ]  # fmt: skip


def test_each_question_is_read_in_its_form() -> None:
    assert answered(42.5, 0.0, 1.0, 3.0, 2.0, 20.0) == [
        ("stenosis", 42.5, None, None),
        ("cto", 0.5, None, True),
        ("category", pytest.approx(0.665241, abs=1e-6), "low", None),
        ("score", 20.0, None, True),
    ]


def test_amounts_stay_within_their_bounds_and_far_logits_are_finite() -> None:
    found = answers_of(SECTION, np.array([[130.0, -1e4, 0, 0, 0, -3.0]], np.float32))
    assert [one.value for one in found] == [100.0, 0.0, pytest.approx(1 / 3), 0.0]
    assert answers_of(SECTION, np.array([[-1.0, 1e4, 0, 0, 0, 0]], np.float32))[1].value == 1.0


@pytest.mark.parametrize(("raw", "positive"), [(logit(0.0134) + 0.01, True), (logit(0.0134) - 0.01, False)])
def test_a_call_is_made_at_the_threshold_and_its_margin_is_in_logits(raw: float, positive: bool) -> None:
    found = answers_of(SECTION, np.array([[0, raw, 0, 0, 0, 0]], np.float32))[1]
    assert found.positive is positive
    assert found.margin == pytest.approx(0.01 if positive else -0.01, abs=1e-5)


def test_outputs_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(EngineError, match="its outputs are NaN or infinite"):
        answers_of(SECTION, np.full((1, 6), np.nan, np.float32))


def test_outputs_of_another_size_are_refused() -> None:
    with pytest.raises(EngineError, match=r"found outputs \(1, 5\), expected \(1, 6\)"):
        answers_of(SECTION, np.zeros((1, 5), np.float32))
