"""How an engine's answers differ from the float32 network's, position by position, on the same text.

Forced: the engine is given a text's own tokens one by one, and each next token's logits are compared. Greedy: the
engine takes its likeliest token each time, and the network is asked what it would have taken. Not for: running either
(answers.py, reference.py), or how much may differ (gate.py).
N positions, V tokens of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cathrt.export.qualify.intervals import Share
from cathrt.runtime.errors import EngineError

Logits = NDArray[np.float32]
# Of the largest logit: two tokens so near to each other are as good as one, since sums in another order change more.
TIE = 2e-5
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Difference:
    """A position where the engine's likeliest token is another. margin: of the network's two best logits."""

    case: str
    position: int
    before: int
    after: int
    margin: float

    def __str__(self) -> str:
        return f"{self.case}, token {self.position}: {self.before} → {self.after} (margin {self.margin:.3g})"


@dataclass(frozen=True, slots=True)
class Greedy:
    """An answer that the engine wrote by itself. same: tokens before the first that the network does not take."""

    case: str
    tokens: int
    same: int

    def __str__(self) -> str:
        if self.same == self.tokens:
            return f"{self.case}: all {self.tokens} tokens are the network's"
        return f"{self.case}: the network takes another token after {self.same} of {self.tokens}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that differs, over all cases.

    same: positions of the same likeliest token, ties among them. differences: the surest first, not all of them.
    not_finite: positions at which the engine gives NaN or infinity. logit_error: largest, relative to the largest
    logit. noise: root mean square of the errors, relative to how far the logits of a position lie apart. mean_kl: mean
    divergence of the engine's distribution from the network's, in nats. image_error: of the pictures' embeddings,
    relative to the largest. None where nothing finite, or no picture, was compared.
    """

    cases: int
    same: Share
    ties: int
    differences: tuple[Difference, ...]
    not_finite: int
    logit_error: float | None
    noise: float | None
    mean_kl: float | None
    image_error: float | None
    greedy: tuple[Greedy, ...]

    @property
    def positions(self) -> int:
        return self.same.of

    @property
    def greedy_share(self) -> float | None:
        """The least share of a greedy answer that comes before its first divergence."""
        return min((one.same / one.tokens for one in self.greedy if one.tokens), default=None)


class ComparisonSoFar:
    """Takes one case after the other, so that logits need not be held."""

    def __init__(self) -> None:
        self._cases = self._positions = self._same = self._ties = self._not_finite = 0
        self._largest_error = self._largest_logit = self._kl = self._error_squares = self._spread_squares = 0.0
        self._image_error: float | None = None
        self._differences: list[Difference] = []
        self._greedy: list[Greedy] = []

    def forced(self, case: str, reference: Logits, engine: Logits) -> None:
        """reference, engine: (N, V), of the same tokens. Raises EngineError where the shapes differ, or the reference
        is not finite."""
        if reference.shape != engine.shape:
            raise EngineError(f"{case}: found logits {engine.shape}, the network gives {reference.shape}: export again")
        _require_finite(case, reference)
        self._cases += 1
        self._positions += len(reference)
        for position, (before, after) in enumerate(zip(reference, engine, strict=True)):
            self._row(case, position, before.astype(np.float64), after.astype(np.float64))

    def _row(self, case: str, position: int, before: NDArray[np.float64], after: NDArray[np.float64]) -> None:
        if not np.isfinite(after).all():
            self._not_finite += 1
            return
        largest = float(np.abs(before).max())
        self._largest_logit = max(self._largest_logit, largest)
        self._largest_error = max(self._largest_error, float(np.abs(after - before).max()))
        self._error_squares += float(np.square(after - before).sum())
        self._spread_squares += float(np.square(before - before.mean()).sum())
        self._kl += divergence(before, after)
        best, chosen = int(before.argmax()), int(after.argmax())
        if best == chosen:
            self._same += 1
        elif float(before[best] - before[chosen]) <= TIE * largest:
            self._same += 1
            self._ties += 1
        else:
            second, first = np.partition(before, -2)[-2:]
            self._differences.append(Difference(case, position, best, chosen, float(first - second)))

    def picture(self, reference: NDArray[np.float32], engine: NDArray[np.float32]) -> None:
        """Embeddings of one picture, of the same shape. Raises EngineError where the reference is not finite."""
        _require_finite("a picture", reference)
        largest = max(float(np.abs(reference).max()), float(np.finfo(np.float32).tiny))
        error = float(np.abs(engine.astype(np.float64) - reference).max()) / largest
        # A NaN stays: max() of it and a number depends on their order.
        before = 0.0 if self._image_error is None else self._image_error
        self._image_error = error if np.isnan(error) or error > before else before

    def greedy(self, case: str, tokens: Sequence[int], reference: Logits) -> None:
        """tokens: what the engine wrote. reference: (N, V), the network's logits for each of them."""
        _require_finite(case, reference)
        same = 0
        for token, row in zip(tokens, reference, strict=True):
            best = int(row.argmax())
            if token != best and float(row[best] - row[token]) > TIE * float(np.abs(row).max()):
                break
            same += 1
        self._greedy.append(Greedy(case, len(tokens), same))

    def result(self) -> Comparison:
        """Raises ValueError where there was no position."""
        if not self._positions:
            raise ValueError("no position to compare: expected at least one")
        finite = self._positions - self._not_finite
        return Comparison(
            cases=self._cases,
            same=Share(self._same, self._positions),
            ties=self._ties,
            differences=tuple(sorted(self._differences, key=lambda one: -one.margin)[:_SHOWN]),
            not_finite=self._not_finite,
            logit_error=self._largest_error / max(self._largest_logit, 1e-12) if finite else None,
            noise=(self._error_squares / max(self._spread_squares, 1e-24)) ** 0.5 if finite else None,
            mean_kl=self._kl / finite if finite else None,
            image_error=self._image_error,
            greedy=tuple(self._greedy),
        )


def divergence(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """Kullback-Leibler, in nats, of the distribution of logits `after` from that of `before`."""
    own, other = _log_softmax(before), _log_softmax(after)
    return max(0.0, float((np.exp(own) * (own - other)).sum()))


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits - logits.max()
    normalised: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum())
    return normalised


def _require_finite(case: str, values: NDArray[np.float32]) -> None:
    if not np.isfinite(values).all():
        raise EngineError(f"{case}: the float32 network gives NaN or infinity: check the weights")
