"""What a network is worth: where the line between chance and better lies, and when there is too little to say."""

from __future__ import annotations

import pytest

from cathrt.export.qualify.intervals import Share
from cathrt.export.qualify.worth import FEWEST, Worth, WorthFigure
from cathrt.runtime.bundle.manifest import BETTER, NO_BETTER, TOO_FEW, WorthVerdict


def figure(hits: int, of: int, chance: float, what: str = "laterality", on: str = "generated runs") -> WorthFigure:
    return WorthFigure(what, on, Share(hits, of) if of else None, chance, "the commonest side")


@pytest.mark.parametrize(
    ("hits", "of", "chance", "expected"),
    [
        (50, 50, 0.6, BETTER),
        (30, 50, 0.6, NO_BETTER),  # exactly as often
        (36, 50, 0.6, NO_BETTER),  # more often, but 0.583 is the lower end of what it may be
        (37, 50, 0.6, BETTER),  # 0.604
        (0, 50, 0.6, NO_BETTER),
        (FEWEST - 1, FEWEST - 1, 0.5, TOO_FEW),
        (FEWEST, FEWEST, 0.5, BETTER),
        (0, 0, 0.5, TOO_FEW),
    ],
)
def test_better_is_whose_intervals_lower_end_lies_above_chance(
    hits: int, of: int, chance: float, expected: WorthVerdict
) -> None:
    assert figure(hits, of, chance).verdict == expected


def test_a_network_must_be_better_in_every_question() -> None:
    good, bad = figure(50, 50, 0.6), figure(10, 50, 0.3, "key frame")
    assert Worth((good, bad)).verdict == NO_BETTER
    assert Worth((good, figure(40, 50, 0.3, "key frame"))).verdict == BETTER
    assert Worth((good, figure(9, 9, 0.3, "key frame"))).verdict == TOO_FEW


def test_being_better_on_given_runs_is_enough_where_generated_ones_mean_nothing_to_it() -> None:
    generated, given = figure(25, 50, 0.6), figure(58, 60, 0.5, on="given runs")
    assert Worth((generated, given)).verdict == BETTER
    assert Worth((generated, figure(3, 3, 0.5, on="given runs"))).verdict == NO_BETTER


def test_of_several_verdicts_the_worst_counts() -> None:
    good, bad, few = figure(50, 50, 0.6, "a"), figure(10, 50, 0.6, "b"), figure(1, 1, 0.6, "c")
    assert Worth((good, few, bad)).verdict == NO_BETTER
    assert Worth((few, good)).verdict == TOO_FEW
    assert Worth((good,)).verdict == BETTER
