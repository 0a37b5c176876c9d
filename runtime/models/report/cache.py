"""Keys and values of the positions computed so far, in arrays that the decoder reads where they are.

Their capacity is always the smallest size of the decoder's that holds them: so what is computed depends on the prompt
alone, not on what was answered before. Not for: which of them a position may look at (masks.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.engines.sized import layer_tensors
from cathrt.runtime.errors import EngineError

_PAGE = 4096  # bytes


class KeyValueCache:
    """capacities: the sizes C that the decoder has. The first `length` rows of each array count."""

    def __init__(self, layers: int, kv_heads: int, head_dim: int, capacities: Sequence[int]) -> None:
        self._names = layer_tensors(layers)
        self._heads, self._dim = kv_heads, head_dim
        self._capacities = sorted(capacities)
        self._length = 0
        self._capacity = self._capacities[0]
        self._arrays = {name: self._empty(self._capacity) for name in self._names}

    @property
    def length(self) -> int:
        return self._length

    @property
    def capacity(self) -> int:
        return self._capacity

    @property
    def most(self) -> int:
        """Positions that it can hold."""
        return self._capacities[-1]

    @property
    def feeds(self) -> Mapping[str, NDArray[Any]]:
        """The decoder's inputs keys_NN and values_NN, (kv_heads, C, head_dim). Valid until the cache changes."""
        return self._arrays

    def append(self, outputs: Mapping[str, NDArray[Any]], count: int) -> None:
        """Take the first `count` rows of new_keys_NN and new_values_NN. Raises EngineError where there is no room."""
        start, stop = self._length, self._length + count
        self._settle(stop)
        for name in self._names:
            self._arrays[name][:, start:stop] = outputs[f"new_{name}"][:, :count]
        self._length = stop

    def truncate(self, length: int) -> None:
        """Forget all positions from `length` on; a longer cache than there is stays as it is."""
        self._length = min(self._length, length)
        self._settle(self._length)

    def _settle(self, length: int) -> None:
        """Bring the arrays to the smallest capacity for so many rows, one at a time, with the rows that count."""
        capacity = next((size for size in self._capacities if size >= length), None)
        if capacity is None:
            raise EngineError(f"{length} positions, the decoder's cache holds {self.most}: ask for a shorter answer")
        if capacity == self._capacity:
            return
        self._capacity = capacity
        kept = min(self._length, capacity)
        for name, old in self._arrays.items():
            new = self._empty(capacity)
            new[:, :kept] = old[:, :kept]
            self._arrays[name] = new

    def _empty(self, capacity: int) -> NDArray[np.float32]:
        """Zeros that begin on a page, since vendors copy what is aligned worse; a page takes memory once it is used."""
        shape = (self._heads, capacity, self._dim)
        memory = np.zeros(math.prod(shape) + _PAGE // 4, np.float32)
        start = -memory.ctypes.data % _PAGE // 4
        return memory[start : start + math.prod(shape)].reshape(shape)
