"""F1 of the sides and of what else a frame's answers are counted by.

For the comparison of two networks, for the training and for benchmarks.accuracy, which all mean the same figure. Not
for: calibration (demo/evaluate.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SIDES = ("left", "right")


def confusion(found: NDArray[np.str_], true: NDArray[np.str_], names: Sequence[str]) -> NDArray[np.int64]:
    """(len(names), len(names) + 1): a row per true name, a column per answer, the last for any other ("unknown").

    true: each of them one of names.
    """
    known = [[int(((true == row) & (found == column)).sum()) for column in names] for row in names]
    other = [[int((true == row).sum()) - sum(counts)] for row, counts in zip(names, known, strict=True)]
    return np.hstack([np.array(known, np.int64), np.array(other, np.int64)])


def f1_macro_of_counts(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean F1 of the names of each confusion matrix, (..., names, names + 1) to (...). A name never met scores 0."""
    named = counts[..., :-1]
    right = np.diagonal(named, axis1=-2, axis2=-1)
    involved = counts.sum(axis=-1) + named.sum(axis=-2)
    return np.asarray((2.0 * right / np.maximum(involved, 1)).mean(axis=-1))


def f1_macro(found: NDArray[np.str_], true: NDArray[np.str_], names: Sequence[str]) -> float:
    """Mean F1 of `names`, of which each true one must be; any other answer ("unknown") is a miss of the true one."""
    return float(f1_macro_of_counts(confusion(found, true, names)))
