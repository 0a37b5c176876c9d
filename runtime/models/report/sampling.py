"""Which token comes next: the likeliest, or one drawn with a seed. The same logits and seed give the same token.

Not for: what a grammar allows (grammar.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.errors import EngineError
from cathrt.runtime.models.report.prompt_parts import Asked

Choose = Callable[[NDArray[np.float32], NDArray[np.bool_] | None], int]


def chooser(asked: Asked) -> Choose:
    """The function that takes logits (vocabulary,) and what is allowed, None for all, and returns a token's id.

    It raises EngineError for logits that are not finite, or where nothing is allowed.
    """
    if asked.temperature <= 0.0:
        return lambda logits, allowed: int(np.argmax(_allowed(logits, allowed)))
    draws = np.random.Generator(np.random.PCG64(asked.seed))
    return lambda logits, allowed: _drawn(_allowed(logits, allowed), asked, draws.random())


def _allowed(logits: NDArray[np.float32], allowed: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    if not np.isfinite(logits).all():
        wrong = int(np.count_nonzero(~np.isfinite(logits)))
        raise EngineError(
            f"{wrong} of {len(logits)} logits are not finite: the network overflows in this precision: export the "
            "bundle in bfloat16 or float32"
        )
    if allowed is None:
        return logits
    if not allowed.any():
        raise EngineError("the grammar allows no token of the vocabulary: the tokenizer cannot write this schema")
    return np.where(allowed, logits, np.float32(-np.inf))


def _drawn(logits: NDArray[np.float32], asked: Asked, draw: float) -> int:
    """Of the likeliest tokens that together have probability top_p, at least one; ties in the order of their ids."""
    scaled: NDArray[Any] = (logits.astype(np.float64) - float(logits.max())) / asked.temperature
    order = np.argsort(-scaled, kind="stable")
    probable = np.exp(scaled[order])
    summed = np.cumsum(probable / probable.sum())
    kept = min(int(np.searchsorted(summed, asked.top_p)) + 1, int(np.count_nonzero(probable)))
    return int(order[min(int(np.searchsorted(summed[:kept], draw * summed[kept - 1], side="right")), kept - 1)])
