"""Which token is taken."""

from __future__ import annotations

import numpy as np
import pytest

from cathrt.runtime.errors import EngineError
from cathrt.runtime.models.report.prompt_parts import Asked
from cathrt.runtime.models.report.sampling import chooser

LOGITS = np.log(np.asarray([0.1, 0.5, 0.25, 0.15], np.float32))
GREEDY = Asked(10, 1.0)


def asked(temperature: float = 1.0, top_p: float = 1.0, seed: int = 0) -> Asked:
    return Asked(10, 1.0, temperature=temperature, top_p=top_p, seed=seed)


def test_without_temperature_the_likeliest_is_taken_and_the_first_of_equals() -> None:
    assert chooser(GREEDY)(LOGITS, None) == 1
    assert chooser(GREEDY)(np.zeros(5, np.float32), None) == 0


def test_only_what_is_allowed_is_taken() -> None:
    allowed = np.asarray([True, False, False, True])
    assert chooser(GREEDY)(LOGITS, allowed) == 3
    choose = chooser(asked(temperature=5.0))
    assert {choose(LOGITS, allowed) for _ in range(200)} == {0, 3}


def test_the_same_seed_draws_the_same_tokens_and_another_one_others() -> None:
    def drawn(seed: int) -> list[int]:
        choose = chooser(asked(seed=seed))
        return [choose(LOGITS, None) for _ in range(50)]

    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4)


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    choose = chooser(asked())
    counts = np.bincount([choose(LOGITS, None) for _ in range(8000)], minlength=4) / 8000
    np.testing.assert_allclose(counts, np.exp(LOGITS), atol=0.02)


@pytest.mark.parametrize(("top_p", "kept"), [(1.0, {0, 1, 2, 3}), (0.8, {1, 2, 3}), (0.7, {1, 2}), (0.01, {1})])
def test_top_p_keeps_the_likeliest_that_together_reach_it(top_p: float, kept: set[int]) -> None:
    choose = chooser(asked(top_p=top_p))
    assert {choose(LOGITS, None) for _ in range(500)} == kept


def test_a_low_temperature_takes_the_likeliest() -> None:
    choose = chooser(asked(temperature=0.01))
    assert {choose(LOGITS, None) for _ in range(200)} == {1}


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("how", [GREEDY, asked()], ids=["greedy", "drawn"])
def test_logits_that_are_not_finite_are_an_engine_error(wrong: float, how: Asked) -> None:
    logits = LOGITS.copy()
    logits[2] = wrong
    with pytest.raises(EngineError, match="1 of 4 logits are not finite"):
        chooser(how)(logits, None)


def test_nothing_allowed_is_an_engine_error() -> None:
    with pytest.raises(EngineError, match="allows no token"):
        chooser(GREEDY)(LOGITS, np.zeros(4, np.bool_))
