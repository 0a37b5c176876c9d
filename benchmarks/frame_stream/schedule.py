"""When each picture of a stream is meant to arrive: fixed before the stream begins, whatever becomes of the pictures.

Not for: sending them (generator.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Pauses:
    """The pedal: pressed for so long, then let go for so long, and so on. No picture arrives while it is let go."""

    pressed_s: float
    paused_s: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """An even cadence for so many seconds; with pauses there is at least one. The pictures are numbered from 0."""

    rate_hz: float
    seconds: float
    pauses: Pauses | None = None

    @property
    def offsets_ns(self) -> NDArray[np.int64]:
        """From the stream's beginning to each picture's intended arrival."""
        count = max(1, round(self.seconds * self.rate_hz))
        if self.pauses is None:
            return np.round(np.arange(count) * 1e9 / self.rate_hz).astype(np.int64)
        pressed = max(1, round(self.pauses.pressed_s * self.rate_hz))
        cycle_s = self.pauses.pressed_s + self.pauses.paused_s
        cycles = max(2, round(self.seconds / cycle_s))
        one = np.arange(pressed) * 1e9 / self.rate_hz
        return np.round(np.concatenate([cycle * cycle_s * 1e9 + one for cycle in range(cycles)])).astype(np.int64)

    @property
    def first_after_pause(self) -> NDArray[np.bool_]:
        """Which pictures are the first ones after a pause; the stream's very first one comes after none."""
        gaps = np.diff(self.offsets_ns, prepend=0)
        return gaps > 1.5e9 / self.rate_hz


def pauses_from_text(text: str) -> Pauses:
    """PRESSED/PAUSED in seconds, as in "2/3". Raises ValueError."""
    pressed, _, paused = text.partition("/")
    try:
        found = Pauses(float(pressed), float(paused))
    except ValueError:
        found = Pauses(0.0, 0.0)
    if not (0.0 < found.pressed_s < 3600.0 and 0.0 < found.paused_s < 3600.0):
        raise ValueError(f"pause pattern {text!r}: expected seconds pressed and paused, as in 2/3")
    return found
