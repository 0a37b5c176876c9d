"""How far two signatures of pictures are apart, and how far the noise of coding alone can bring them.

Figures were chosen on seeds below 24 of benchmarks/live_runs.py. Not for: what follows from a change (pedal.py).
"""

from __future__ import annotations

from collections import deque
from math import exp

import numpy as np
from numpy.typing import NDArray

FULL_SCALE = 255.0  # grey values of signatures run from 0 to this

# Blocks that may change while the picture does not: a clock, a counter, an ECG trace burnt into it.
_UNHEARD_SHARE = 0.1
# Another scene: less alike than two pulses in a row ever are (0.96), and far more different than noise.
_SCENE_CORRELATION, _SCENE_CHANGE = 0.9, 12.0

_NOISE_MARGIN = 2.0  # times the largest change among repeats is still none
_LEAST_LIMIT, _MOST_LIMIT = 0.04, 0.5
_LEAST_REPEATS = 16  # before so many were seen, the largest limit holds
_KEPT_NS = 20e9  # noise that is not seen any more is forgotten like this
# A coder without loss: so many of the pictures that came right after a new one were exactly the same. Coders with loss
# repeat one in ten like this.
_LEAST_EXACT, _FOLLOWERS_REMEMBERED, _LEAST_FOLLOWERS = 0.6, 32, 4


def change(before: NDArray[np.float32], now: NDArray[np.float32]) -> float:
    """How much the blocks have changed, grey values of FULL_SCALE: all but the most changed tenth at most so much."""
    moved = np.abs(now - before).ravel()
    rank = min(int((1.0 - _UNHEARD_SHARE) * moved.size), moved.size - 1)
    moved.partition(rank)
    return float(moved[rank])


def another_scene(before: NDArray[np.float32], now: NDArray[np.float32], moved: float) -> bool:
    """Whether more has changed than brightness and what moves from pulse to pulse. moved: change() of the two."""
    if moved <= _SCENE_CHANGE:
        return False
    a, b = before - before.mean(), now - now.mean()
    spread = float(np.vdot(a, a)) * float(np.vdot(b, b))
    return float(np.vdot(a, b)) < _SCENE_CORRELATION * spread**0.5 or spread == 0.0


class CodingNoise:
    """What is known of how much a source changes pictures that are the same."""

    def __init__(self) -> None:
        self._level = 0.0
        self._repeats = 0
        self._at_ns = 0
        self._differed = False
        self._followers: deque[bool] = deque(maxlen=_FOLLOWERS_REMEMBERED)

    @property
    def limit(self) -> float:
        """The largest change that is none."""
        if self._repeats < _LEAST_REPEATS:
            return _MOST_LIMIT
        return min(max(_NOISE_MARGIN * self._level, _LEAST_LIMIT), _MOST_LIMIT)

    @property
    def lossy(self) -> bool:
        """Whether new pictures come in steps: some repeat was not exact, and most of what follows new ones is not."""
        if not self._differed or len(self._followers) < _LEAST_FOLLOWERS:
            return self._differed
        return sum(self._followers) < _LEAST_EXACT * len(self._followers)

    def follows(self, *, exact: bool) -> None:
        """What came right after a picture that was new: exactly the same or not."""
        self._followers.append(exact)

    def repeats(self, moved: float) -> None:
        """How much changed in a picture that is no new one."""
        self._differed = self._differed or moved > 0.0

    def learn(self, moved: float, at_ns: int) -> None:
        """How much changed while nothing new was shown."""
        kept = self._level * exp(min(0.0, (self._at_ns - at_ns) / _KEPT_NS))
        self._level = max(kept, min(moved, _MOST_LIMIT / _NOISE_MARGIN))
        self._repeats += 1
        self._at_ns = at_ns
