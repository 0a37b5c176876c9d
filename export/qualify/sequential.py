"""How many runs are enough: a test that may be looked at after every run without its error growing.

A share of a run lies in [0, 1]: of its frames that agree, say, or 1 for the same key frame and 0 for another. Runs are
independent draws; frames of one run are not, so a run counts once, whatever happened in it. For a bet of `size` the
capital

    K_n = (1 + size (x_1 - m)) (1 + size (x_2 - m)) ... (1 + size (x_n - m)),    K_0 = 1,

cannot be expected to grow where the true mean is on the wrong side of m, so with a probability of ERROR at most it ever
reaches 1 / ERROR (Ville 1939), also as a mean over several bets, and whatever the order of looking and stopping. This
is the betting test of Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B
86:1 (2024). Not for: what counts as a share (a kind's Criteria) or the limits themselves (Gate).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

ERROR = 0.05
Standing = Literal["proven", "refuted", "open"]

_MISSES = 5.0  # times as many misses as the limit allows: what is shown not to be
_ROUNDING = 1e-9
_LEAST_MISSES = 0.01  # of a limit; a stricter one is asked of the figure, not of the proof


@dataclass(frozen=True, slots=True)
class Proof:
    """What a sequence of runs says of one share.

    name: of the limit in the gate. runs: that had a share. proven, refuted: capital, at its highest, of the bets that
    the true mean is above `floor`, and that it is below `limit`.
    """

    name: str
    limit: float
    runs: int
    proven: float
    refuted: float

    @property
    def floor(self) -> float:
        """What the true mean is shown to be above."""
        return floor_of(self.limit)

    @property
    def standing(self) -> Standing:
        """Each side is wrong with a probability of ERROR at most."""
        if self.refuted >= 1.0 / ERROR:
            return "refuted"
        return "proven" if self.floor <= 0.0 or self.proven >= 1.0 / ERROR else "open"


def floor_of(limit: float) -> float:
    """The mean share that a gate of this limit must rule out: 0.95 from 0.99 on."""
    return max(0.0, 1.0 - _MISSES * max(_LEAST_MISSES, 1.0 - limit))


class Bets:
    """The test of one share, run by run."""

    def __init__(self, name: str, limit: float) -> None:
        """limit: 0 to 1, of the gate. A limit of 1 is refuted by any miss."""
        self._name, self._limit, self._runs = name, limit, 0
        floor = floor_of(limit)
        tested = min(limit, 1.0 - _LEAST_MISSES)
        # Above the floor: half of the money on no miss at all, half on as many misses as the limit allows. Each size is
        # the one of the likelihood ratio of that mean to the floor's (Wald 1945), for shares of 0 and 1.
        self._for = [_Bet(floor, expected) for expected in (1.0, tested)] if 0.0 < floor < tested else []
        self._against = [_Bet(tested, floor)] if 0.0 < floor < tested else []
        self._proven = self._refuted = 1.0
        self._missed = 0.0  # sum of 1 - share

    def add(self, share: float) -> None:
        """One more run."""
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"{self._name}: a share of {share}: expected 0 to 1")
        self._runs += 1
        self._missed += 1.0 - share
        self._proven = max(self._proven, _capital(self._for, share))
        self._refuted = max(self._refuted, _capital(self._against, share))
        if share < 1.0 <= self._limit:
            self._refuted = max(self._refuted, 1.0 / ERROR)

    @property
    def proof(self) -> Proof:
        return Proof(self._name, self._limit, self._runs, self._proven, self._refuted)

    @property
    def decided(self) -> bool:
        """Whether it is refuted, or proven with a mean that keeps the limit. A share between the two goes on: that the
        floor is ruled out holds whenever one stops."""
        standing = self.proof.standing
        return standing == "refuted" or (standing == "proven" and self._missed <= self._allowed(self._runs))

    def still_needed(self) -> int:
        """How many more runs without a miss would decide it."""
        if self.decided:
            return 0
        logarithms, more = [(bet.logarithm, bet.growth(1.0)) for bet in self._for], 0
        if self.proof.standing == "open":
            while _mean_exp([now + more * growth for now, growth in logarithms]) < 1.0 / ERROR:
                more += 1
        while self._missed > self._allowed(self._runs + more):
            more += 1
        return more

    def _allowed(self, runs: int) -> float:
        """How much so many runs may miss."""
        return (1.0 - self._limit) * runs + _ROUNDING


class _Bet:
    """Money on a mean other than `mean`. logarithm: of its capital, beginning with that of 1."""

    def __init__(self, mean: float, expected: float) -> None:
        self._mean, self._size = mean, (expected - mean) / (mean * (1.0 - mean))
        self.logarithm = 0.0

    def growth(self, share: float) -> float:
        factor = 1.0 + self._size * (share - self._mean)
        return math.log(factor) if factor > 0.0 else -math.inf


def _capital(bets: Sequence[_Bet], share: float) -> float:
    """The mean capital of the bets after one more share."""
    for bet in bets:
        bet.logarithm += bet.growth(share)
    return _mean_exp([bet.logarithm for bet in bets])


def _mean_exp(logarithms: Sequence[float]) -> float:
    return sum(math.exp(min(one, 700.0)) for one in logarithms) / len(logarithms) if logarithms else 1.0
