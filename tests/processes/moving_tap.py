"""A live source in memory: new pictures at a steady pace, then the last one held. Not for: anything but its pace."""

from __future__ import annotations

import threading
import time

import numpy as np

from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Grayscale, VoiWindow
from cathrt.runtime.ports import Missing, Picture
from tests.lines import SIZE

# A mean of 100 is a score of 0.5 (tests/lines.py).
GRAYSCALE = Grayscale(8, voi=VoiWindow(100.0, 200.0, "LINEAR_EXACT"))


class MovingTap:
    """`moving` new pictures, brighter from one to the next, then the last one `held` times, and so on.

    held: 0 for new pictures without end, of the same brightness.
    """

    def __init__(self, moving: int, stop: threading.Event, *, held: int = 0, rate_hz: float = 30.0) -> None:
        self.name = "moving"
        self._moving, self._held = moving, held
        self._period_s = 1.0 / rate_hz
        self._stop = stop
        self._count = 0
        self._random = np.random.default_rng(5)
        self._scene = self._random.integers(20, 160, (SIZE, SIZE), np.uint8)
        self._pixels = self._scene

    def next(self) -> Picture | Missing:
        if self._stop.wait(self._period_s):
            raise SourceError("moving: closed")
        place = self._count % (self._moving + self._held) if self._held else self._count
        self._count += 1
        if place < self._moving:
            rise = np.uint8(min(3 * place, 72)) if self._held else np.uint8(0)
            self._pixels = self._scene + rise + self._random.integers(0, 20, (SIZE, SIZE), np.uint8)
            self._pixels.setflags(write=False)
        return Picture(self._pixels, GRAYSCALE, time.monotonic_ns())

    def close(self) -> None:
        self._stop.set()
