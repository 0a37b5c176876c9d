"""Tells a replay: a run whose pictures were shown before, in an earlier run of the same source.

Remembers signatures, 4 KB a picture. Not for: repeats within a run (pedal.py).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.line.pedal_signatures import change

_PICTURES = 1024  # remembered: 4 MB a source
_PICTURES_OF_RUN = 128  # at most: the first ones
_EVERY = 27  # of 1,024 blocks, 38 in all rows and columns say which remembered picture it may be
_FAR = 4.0  # grey values; how much further apart a block is does not count, a clock may run in it
_LEAST_ALIKE = 4  # pictures that were shown before
_SHARE_ALIKE = 0.6  # of the run's


class EarlierRuns:
    """What the latest runs of one source have shown."""

    def __init__(self) -> None:
        self._signatures: NDArray[np.float32] = np.empty((0, 0), np.float32)
        self._coarse = self._signatures
        self._runs = np.empty(0, np.int64)  # of which run each is
        self._next = self._count = 0  # place of the next, and how many there are
        self._run = self._asked = self._alike = 0
        self._last: int | None = None  # place of the last that was alike

    def begin(self) -> None:
        """A new run begins; the one before becomes an earlier one."""
        self._run += 1
        self._asked = self._alike = 0
        self._last = None

    def show(self, signature: NDArray[np.float32], limit: float) -> None:
        """Remember a new picture of this run. limit: how far two showings of one pulse may be apart."""
        flat = signature.ravel()
        if flat.size != self._signatures.shape[1]:
            self._make_room(flat.size)
        self._asked += 1
        found = self._found(flat, limit)
        if found is not None and found != self._last:
            self._alike += 1
            self._last = found
        if self._asked <= _PICTURES_OF_RUN:
            self._add(flat)

    @property
    def is_replay(self) -> bool:
        """Whether this run shows what an earlier one has shown."""
        return self._alike >= _LEAST_ALIKE and self._alike >= _SHARE_ALIKE * self._asked

    def _found(self, flat: NDArray[np.float32], limit: float) -> int | None:
        """The remembered picture of an earlier run that shows the same."""
        if self._count == 0:
            return None
        apart = np.abs(self._coarse[: self._count] - flat[::_EVERY])
        sums = np.minimum(apart, _FAR, out=apart).sum(axis=1)
        sums[self._runs[: self._count] == self._run] = np.inf
        place = int(sums.argmin())
        alike = np.isfinite(sums[place]) and change(self._signatures[place], flat) <= limit
        return place if alike else None

    def _add(self, flat: NDArray[np.float32]) -> None:
        self._signatures[self._next] = flat
        self._coarse[self._next] = flat[::_EVERY]
        self._runs[self._next] = self._run
        self._next = (self._next + 1) % _PICTURES
        self._count = min(self._count + 1, _PICTURES)

    def _make_room(self, blocks: int) -> None:
        """For signatures of so many blocks; those of others can be compared with nothing any more."""
        self._signatures = np.empty((_PICTURES, blocks), np.float32)
        self._coarse = np.empty((_PICTURES, -(-blocks // _EVERY)), np.float32)
        self._runs = np.zeros(_PICTURES, np.int64)
        self._next = self._count = 0
