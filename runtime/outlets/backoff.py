"""How long to wait after a failed attempt: longer each time, and never the same for two outlets.

Not for: what is tried (delivery.py).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """first_s: after one failure, doubled by each further one, at most most_s. chance: from 0 up to 1.

    A half of each wait is by chance, so that outlets that lost one receiver do not come back in step.
    """

    first_s: float
    most_s: float
    chance: Callable[[], float] = random.random

    def after(self, failures: int) -> float:
        """The wait after so many failures in a row, from 1."""
        whole = min(self.most_s, self.first_s * 2.0 ** min(failures - 1, 32))
        return whole * (0.5 + 0.5 * self.chance())
