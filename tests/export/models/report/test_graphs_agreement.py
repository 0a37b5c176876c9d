"""What two decoders' logits say of each other."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.runtime.errors import EngineError
from tests.export.models.report.logit_agreement import agreement_of, greedy_agreement

REFERENCE = np.asarray([[0.0, 2.0, 1.0], [3.0, 0.0, 1.0], [0.0, 0.5, 4.0]], np.float32)


def test_equal_logits_agree_everywhere() -> None:
    found = agreement_of(REFERENCE, REFERENCE.copy())
    assert (found.same, found.share, found.first_divergence, found.largest_error) == (3, 1.0, None, 0.0)
    assert found.largest_logit == 4.0


def test_the_first_divergence_and_the_margin_there_are_named() -> None:
    other = REFERENCE.copy()
    other[1] = [0.0, 1.0, 2.0]
    found = agreement_of(REFERENCE, other)
    assert (found.same, found.first_divergence, found.margin_at_divergence) == (2, 1, 2.0)
    assert found.largest_error == 3.0


def test_logits_that_are_not_finite_never_agree() -> None:
    other = REFERENCE.copy()
    other[0] = np.nan
    found = agreement_of(REFERENCE, other)
    assert (found.not_finite, found.same, found.first_divergence, found.margin_at_divergence) == (1, 2, 0, None)
    assert found.largest_error == 0.0


def test_a_reference_that_is_not_finite_is_refused() -> None:
    with pytest.raises(EngineError, match="not finite"):
        agreement_of(np.full((1, 3), np.inf, np.float32), REFERENCE[:1])


def test_logits_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="expected two of the same"):
        agreement_of(REFERENCE, REFERENCE[:2])


def test_both_see_the_tokens_of_the_reference() -> None:
    seen: list[int] = []

    def other(token: int) -> NDArray[np.float32]:
        seen.append(token)
        logits: NDArray[np.float32] = -REFERENCE[token]
        return logits

    found, tokens = greedy_agreement((REFERENCE[0], REFERENCE[1]), REFERENCE.__getitem__, other, 4)
    assert tokens == [1, 0, 1, 0]
    assert seen == [1, 0, 1]
    assert (found.positions, found.same, found.first_divergence) == (4, 0, 0)


def test_an_end_token_ends_the_comparison() -> None:
    firsts, step = (REFERENCE[0], REFERENCE[0]), REFERENCE.__getitem__
    _, tokens = greedy_agreement(firsts, step, step, 9, end_tokens=(0,))
    assert tokens == [1, 0]
