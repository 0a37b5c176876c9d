"""What looks at a run rest on: its description, and a stretch and the noise of its first frames. Read once a run.

Not for: the frames (frame_store.py).
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Run, VoiWindow
from cathrt.runtime.pictures.grey import stretch_of
from cathrt.runtime.web.runs.frame_store import FrameStore

_MOST_RUNS = 256
_MOST_LOST = 15  # at the beginning of a run
_NOISE = 1.4826 / math.sqrt(2.0)  # of one frame, from the median absolute difference of two
_LEAST_NOISE = 0.5  # stored values: quantisation


@dataclass(frozen=True, slots=True, eq=False)
class RunFacts:
    """run: as its decoder describes it. stretch: the window of its first frame's middle 99 %. noise: standard deviation
    of a pixel that stands still, in stored values."""

    run: Run
    stretch: VoiWindow
    noise: float


class FactsBook:
    """Of the newest runs that were looked at. Thread-safe."""

    def __init__(self, store: FrameStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._known: OrderedDict[str, RunFacts] = OrderedDict()

    def of(self, key: str, file: Path) -> RunFacts:
        """Raises SourceError where no frame of the run can be read, RefusedError as FrameStore does."""
        with self._lock:
            found = self._known.get(key)
        if found is None:
            found = self._read(key, file)
            with self._lock:
                self._known[key] = found
                while len(self._known) > _MOST_RUNS:
                    self._known.popitem(last=False)
        return found

    def _read(self, key: str, file: Path) -> RunFacts:
        run = self._store.run_of(key, file)
        pictures: list[NDArray[Any]] = []
        for frame in self._store.frames(key, file, 0, _MOST_LOST + 1):
            if frame.pixels is not None:
                pictures.append(frame.pixels)
            if len(pictures) == 2:
                break
        if not pictures:
            raise SourceError("none of the first frames of the run can be read")
        return RunFacts(run, stretch_of(pictures[0], run.grayscale), noise_of(pictures[0], pictures[-1]))


def noise_of(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Standard deviation of one frame's noise, from two neighbouring frames of which most pixels stand still."""
    difference = np.abs(second.astype(np.int32) - first.astype(np.int32))
    return max(_LEAST_NOISE, float(np.median(difference)) * _NOISE)
