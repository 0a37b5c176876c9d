"""How well another form of a decoder agrees with its reference: same tokens, first divergence, error of the logits.

Both see the same tokens, the reference's, so that an early difference does not hide what follows. Not for: how much is
allowed (the gate), or how either is run. N positions, V tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.errors import EngineError

NextLogits = Callable[[int], NDArray[np.float32]]  # (V,) after one more token


@dataclass(frozen=True, slots=True)
class LogitAgreement:
    """positions: compared. same: of them, where both have the same largest logit. first_divergence: 0-based position of
    the first where not; None where there is none. Errors are absolute, over positions with finite logits of the other
    alone; not_finite counts the rest, which are never the same. largest_logit: of the reference, in magnitude.
    margin_at_divergence: how far the reference's best logit lay above the one the other chose there.
    """

    positions: int
    same: int
    first_divergence: int | None
    margin_at_divergence: float | None
    largest_error: float
    mean_error: float
    largest_logit: float
    not_finite: int

    @property
    def share(self) -> float:
        return self.same / self.positions


def agreement_of(reference: NDArray[np.float32], other: NDArray[np.float32]) -> LogitAgreement:
    """Of logits (N, V) at the same positions. Raises EngineError where the reference's are not finite."""
    if reference.shape != other.shape or reference.ndim != 2 or not len(reference):
        raise ValueError(f"logits {reference.shape} and {other.shape}, expected two of the same (N, V), N at least 1")
    if not np.isfinite(reference).all():
        raise EngineError("the reference's logits are not finite: the weights are broken, expected finite ones")
    finite: NDArray[np.bool_] = np.asarray(np.isfinite(other).all(axis=1))
    best, chosen = reference.argmax(axis=1), np.where(finite, other.argmax(axis=1), -1)
    same = np.equal(best, chosen)
    first = None if same.all() else int(np.argmin(same))
    margin = None
    if first is not None and finite[first]:
        margin = float(reference[first, best[first]] - reference[first, chosen[first]])
    errors = np.abs(other[finite].astype(np.float64) - reference[finite])
    return LogitAgreement(
        positions=len(reference),
        same=int(same.sum()),
        first_divergence=first,
        margin_at_divergence=margin,
        largest_error=float(errors.max(initial=0.0)),
        mean_error=float(errors.mean()) if errors.size else 0.0,
        largest_logit=float(np.abs(reference).max()),
        not_finite=int((~finite).sum()),
    )


def greedy_agreement(
    first_logits: tuple[NDArray[np.float32], NDArray[np.float32]],
    reference: NextLogits,
    other: NextLogits,
    tokens: int,
    end_tokens: Sequence[int] = (),
) -> tuple[LogitAgreement, list[int]]:
    """Decode `tokens` greedily by the reference, give both the same tokens, and compare; and the tokens.

    first_logits: (V,) of the reference and of the other after the prompt. end_tokens: any of them ends it sooner.
    Up to its first divergence, the other would have written these tokens by itself.
    """
    kept: tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]] = ([], [])
    now, beside = first_logits
    written: list[int] = []
    while True:
        kept[0].append(now)
        kept[1].append(beside)
        written.append(int(now.argmax()))
        if len(written) == tokens or written[-1] in end_tokens:
            return agreement_of(np.stack(kept[0]), np.stack(kept[1])), written
        now, beside = reference(written[-1]).copy(), other(written[-1]).copy()
