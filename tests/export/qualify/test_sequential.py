"""The test that decides how many runs are enough: its error at the limit, by simulation, however often one looks."""

from __future__ import annotations

import numpy as np
import pytest

from cathrt.export.qualify.sequential import ERROR, Bets, Proof, floor_of

RUNS = 240


def proof_of(shares: list[float], limit: float = 0.99) -> Proof:
    """Looks after every run, and stops at the first decision."""
    bets = Bets("agreement", limit)
    for share in shares:
        bets.add(share)
        if bets.proof.standing != "open":
            break
    return bets.proof


def rate(standing: str, draw: np.random.Generator, mean: float, kind: str, limit: float = 0.99) -> float:
    """How often sequences of this true mean end so. kind: whole runs fail, or frames of runs do."""
    found = 0
    trials = 1500
    for _ in range(trials):
        if kind == "whole runs":
            shares = (draw.random(RUNS) < mean).astype(float)
        else:  # half of the runs are flawless, the others lose frames
            shares = np.where(draw.random(RUNS) < 0.5, 1.0, draw.binomial(75, 2.0 * mean - 1.0, RUNS) / 75)
        found += proof_of(shares.tolist(), limit).standing == standing
    return found / trials


@pytest.mark.parametrize("kind", ["whole runs", "frames of some runs"])
@pytest.mark.parametrize("below", [0.0, 0.01])
def test_a_share_at_the_floor_or_below_is_proven_no_more_often_than_the_stated_error(kind: str, below: float) -> None:
    found = rate("proven", np.random.default_rng(1), floor_of(0.99) - below, kind)
    assert found <= ERROR + 3.0 * np.sqrt(ERROR * (1 - ERROR) / 1500)


@pytest.mark.parametrize("kind", ["whole runs", "frames of some runs"])
def test_a_share_at_the_limit_is_refuted_no_more_often_than_the_stated_error(kind: str) -> None:
    found = rate("refuted", np.random.default_rng(2), 0.99, kind)
    assert found <= ERROR + 3.0 * np.sqrt(ERROR * (1 - ERROR) / 1500)


def test_looking_after_every_run_as_a_fixed_sample_may_be_would_break_the_error() -> None:
    """What the test is for: the exact binomial test at 5 %, asked again after each run, is wrong far more often."""
    draw, wrong, trials = np.random.default_rng(3), 0, 1500
    floor = floor_of(0.99)
    for _ in range(trials):
        misses = np.cumsum(draw.random(RUNS) >= floor)
        runs = np.arange(1, RUNS + 1)
        none = floor**runs
        one = none + runs * (1 - floor) * floor ** (runs - 1)
        wrong += bool(((misses == 0) & (none <= ERROR) | (misses == 1) & (one <= ERROR)).any())
    assert wrong / trials > 1.25 * ERROR


def test_a_good_network_is_proven_and_a_bad_one_refuted_almost_always() -> None:
    draw = np.random.default_rng(4)
    assert rate("proven", draw, 0.998, "whole runs") > 0.99
    assert rate("refuted", draw, 0.9, "whole runs") > 0.99


def test_sixty_four_runs_without_a_miss_prove_and_one_miss_asks_for_130() -> None:
    flawless = proof_of([1.0] * RUNS)
    assert (flawless.runs, flawless.standing, flawless.floor) == (64, "proven", 0.95)
    assert proof_of([0.0] + [1.0] * RUNS).runs == 130
    assert proof_of([1.0] * 63).standing == "open"


def test_a_share_that_is_proven_but_misses_its_limit_goes_on_until_it_keeps_it() -> None:
    bets, decided_at = Bets("key_frames", 0.99), 0
    shares = [1.0, 1.0, 1.0, 0.0] * 2 + [1.0] * RUNS
    for number, share in enumerate(shares, 1):
        bets.add(share)
        if bets.decided:
            decided_at = number
            break
        assert bets.still_needed() > 0
    assert bets.proof.standing == "proven"
    assert decided_at == 200, "two misses are one in a hundred of two hundred runs"


def test_what_is_still_needed_is_what_it_takes() -> None:
    bets = Bets("agreement", 0.99)
    for share in (1.0, 0.96, 1.0):
        bets.add(share)
    needed = bets.still_needed()
    for _ in range(needed - 1):
        bets.add(1.0)
    assert bets.proof.standing == "open"
    bets.add(1.0)
    assert bets.proof.standing == "proven"
    assert bets.still_needed() == 0


def test_a_limit_of_one_is_refuted_by_the_first_miss() -> None:
    assert proof_of([1.0, 1.0, 0.99], limit=1.0).standing == "refuted"
    assert proof_of([1.0] * RUNS, limit=1.0).runs == 64


def test_a_stricter_limit_asks_more_of_the_figure_and_not_of_the_proof() -> None:
    assert floor_of(0.999) == floor_of(0.99) == floor_of(1.0) == 0.95
    assert floor_of(0.9) == pytest.approx(0.5)


def test_a_limit_that_asks_for_nothing_needs_no_proof() -> None:
    assert proof_of([], limit=0.0).standing == "proven"


def test_what_is_no_share_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"agreement: a share of 1\.5"):
        Bets("agreement", 0.99).add(1.5)
