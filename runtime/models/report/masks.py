"""What each new position may look at, as the decoder's two masks: True is seen.

Global layers: everything before, and all of the same picture. Sliding layers: of that, what is less than `window`
positions back. Not for: how a prompt is cut into runs (chunks.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.models.report.chunks import Span


@dataclass(frozen=True, slots=True, eq=False)
class Masks:
    """positions: of the new rows, (T,) int64. whole, sliding: (T, C + T) bool, the cache's rows first."""

    positions: NDArray[np.int64]
    whole: NDArray[np.bool_]
    sliding: NDArray[np.bool_]


def masks(length: int, count: int, rows: int, capacity: int, window: int, spans: Sequence[Span] = ()) -> Masks:
    """Of `count` new positions behind `length` cached ones, in a run of `rows` rows with a cache of `capacity`.

    spans: pictures; one that overlaps the new positions lies in them whole. Rows behind `count` are padding: nobody
    sees them, and they see what the last real row does.
    """
    positions = length + np.minimum(np.arange(rows, dtype=np.int64), count - 1)
    keys = np.concatenate([np.arange(capacity, dtype=np.int64), length + np.arange(rows, dtype=np.int64)])
    real = np.concatenate([np.arange(capacity) < length, np.arange(rows) < count])
    queries = positions[:, None]
    whole = keys <= queries
    for span in spans:
        if span.start < length + count and span.stop > length:
            whole |= _within(queries, span) & _within(keys, span)
    whole &= real
    return Masks(positions, whole, whole & (keys > queries - window))


def _within(positions: NDArray[np.int64], span: Span) -> NDArray[np.bool_]:
    return (positions >= span.start) & (positions < span.stop)
