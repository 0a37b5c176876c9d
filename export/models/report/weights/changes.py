"""What an adapter does to one weight: a product of two small matrices, with or without DoRA's lengths, or a new weight.

All in float32, row by row in blocks, so that beside the weight itself almost nothing is needed. Not for: which tensors
of an adapter make a change (adapter.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.errors import ConfigError

_BLOCK = 1 << 22  # values of a weight that are worked on at a time
_PROBE_SEED = 14

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class LowRank:
    """weight + scale * left @ right. left: (rows, rank); right: (rank, columns). A weight of more axes is taken as rows
    of everything behind the first.

    magnitude: DoRA's: the length that each row has afterwards (each column, where by_column); None for LoRA.
    """

    left: Floats
    right: Floats
    scale: float
    magnitude: Floats | None = None
    by_column: bool = False

    def same(self, other: LowRank) -> bool:
        """Whether both are the same change."""
        if (self.magnitude is None) != (other.magnitude is None) or self.by_column != other.by_column:
            return False
        pairs = [(self.left, other.left), (self.right, other.right)]
        if self.magnitude is not None and other.magnitude is not None:
            pairs.append((self.magnitude, other.magnitude))
        return self.scale == other.scale and all(np.array_equal(one, two) for one, two in pairs)


@dataclass(frozen=True, slots=True)
class Extent:
    """How much a weight changed. Norms are Frobenius'. probe_error: how far the merged weight's product with a random
    vector is from the product that the base and the adapter give apart, relative to the largest value."""

    change_norm: float
    weight_norm: float
    probe_error: float


def merge_low_rank(weight: Floats, change: LowRank, name: str) -> Extent:
    """Change `weight` in place. Raises ConfigError where the outcome is not finite."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        extent = _merge(weight.reshape(len(weight), -1), change)
    if not np.isfinite(extent.change_norm):
        raise ConfigError(f"{name}: the merged weight is not finite: take an earlier checkpoint of the adapter")
    return extent


def extent_of_new(new: Floats, old: Floats) -> Extent:
    """Of a weight that takes another's place."""
    squares = before = 0.0
    new_rows, old_rows = new.reshape(len(new), -1), old.reshape(len(old), -1)
    for part in _blocks(new_rows.shape):
        squares += _square(new_rows[part] - old_rows[part])
        before += _square(old_rows[part])
    return Extent(squares**0.5, before**0.5, 0.0)


def _merge(rows: Floats, change: LowRank) -> Extent:
    columns, lengths = None, change.magnitude
    if change.by_column and lengths is not None:
        columns, lengths = lengths / _column_lengths(rows, change), None
    probe = np.random.default_rng(_PROBE_SEED).standard_normal(rows.shape[1], dtype=np.float32)
    probed = probe if columns is None else probe * columns
    through = change.right @ probed
    changed = before = worst = largest = 0.0
    for part in _blocks(rows.shape):
        block = rows[part]
        apart = block @ probed + np.float32(change.scale) * (change.left[part] @ through)
        merged = _added(block, change, part)
        if columns is not None:
            merged *= columns
        elif lengths is not None:
            factors = lengths[part] / np.linalg.norm(merged, axis=1)
            merged *= factors[:, None]
            apart *= factors
        together = merged @ probe
        worst = max(worst, float(np.abs(together - apart).max()))
        largest = max(largest, float(np.abs(together).max()))
        before += _square(block)
        changed += _square(merged - block)
        block[...] = merged
    return Extent(changed**0.5, before**0.5, worst / largest if largest else worst)


def _added(block: Floats, change: LowRank, part: slice) -> Floats:
    """The rows with the product added, before DoRA gives them their lengths."""
    merged: Floats = change.left[part] @ change.right
    merged *= np.float32(change.scale)
    merged += block
    return merged


def _column_lengths(rows: Floats, change: LowRank) -> Floats:
    squares = np.zeros(rows.shape[1], np.float64)
    for part in _blocks(rows.shape):
        merged = _added(rows[part], change, part)
        squares += np.einsum("rc,rc->c", merged, merged, dtype=np.float64)
    lengths: Floats = np.sqrt(squares).astype(np.float32)
    return lengths


def _blocks(shape: tuple[int, ...]) -> list[slice]:
    height = max(1, _BLOCK // max(1, shape[1]))
    return [slice(start, start + height) for start in range(0, shape[0], height)]


def _square(values: Floats) -> float:
    flat = values.reshape(-1)
    return float(np.dot(flat, flat))
