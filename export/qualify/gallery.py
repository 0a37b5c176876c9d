"""The frames of a qualification whose pictures tell most of a difference.

Not for: what a picture tells (a kind's Criteria), or drawing it (html.py).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.export.qualify.criteria import Criteria, Outputs
from cathrt.export.qualify.runs import PreparedFrame
from cathrt.runtime.bundle.manifest import Manifest, Preprocessing

PICTURES = 24  # frames whose picture is kept


class Gallery:
    """The pictures of one run that tell most, at most PICTURES."""

    def __init__(self, manifest: Manifest, preprocessing: Preprocessing, criteria: Criteria[Any, Any]) -> None:
        self._manifest, self._preprocessing, self._picture = manifest, preprocessing, criteria.shown.picture
        self.kept: list[tuple[float, int, int, NDArray[np.uint8]]] = []

    def look(self, number: int, frame: PreparedFrame, reference: Outputs, engine: Outputs) -> None:
        tells = self._picture(self._manifest, reference, engine)
        if tells is None:
            return
        if len(self.kept) < PICTURES:
            heapq.heappush(self.kept, (tells, -number, -frame.index, self._grey(frame)))
        elif tells > self.kept[0][0]:
            heapq.heapreplace(self.kept, (tells, -number, -frame.index, self._grey(frame)))

    def _grey(self, frame: PreparedFrame) -> NDArray[np.uint8]:
        """The first channel as the grey it was made from."""
        tensor = frame.tensors[self._preprocessing.input]
        channel = tensor[0, 0] if self._preprocessing.layout == "NCHW" else tensor[0, :, :, 0]
        grey = channel * self._preprocessing.std[0] + self._preprocessing.mean[0]
        picture: NDArray[np.uint8] = np.clip(np.rint(grey * 255.0), 0, 255).astype(np.uint8)
        return picture


def most_telling(galleries: Iterable[Gallery]) -> dict[tuple[int, int], NDArray[np.uint8]]:
    """By run number and frame, at most PICTURES of them all."""
    every = heapq.merge(*(sorted(gallery.kept, key=_rank) for gallery in galleries), key=_rank)
    return {(-number, -index): grey for _, number, index, grey in islice(every, PICTURES)}


def _rank(entry: tuple[float, int, int, NDArray[np.uint8]]) -> tuple[float, int, int]:
    """What tells most comes first; of equals, what was seen first."""
    tells, number, index, _ = entry
    return -tells, -number, -index
