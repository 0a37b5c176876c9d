"""How many requests one session, or one address without a session, may make.

Not for: logins that fail (login_limit.py), connections (connection.py).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

_KEYS = 4096


class Rate:
    """For one event loop. A bucket for each key: `burst` requests at once, and `per_s` more each second."""

    def __init__(self, now_s: Callable[[], float], per_s: float = 100.0, burst: float = 400.0) -> None:
        self._now_s, self._per_s, self._burst = now_s, per_s, burst
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, key: str) -> int:
        """Count one request. Returns 0, or the seconds to wait; it then does not count."""
        now_s = self._now_s()
        left, at_s = self._buckets.get(key, (self._burst, now_s))
        left = min(self._burst, left + (now_s - at_s) * self._per_s)
        if left < 1.0:
            return math.ceil((1.0 - left) / self._per_s)
        self._buckets[key] = (left - 1.0, now_s)
        self._buckets.move_to_end(key)
        if len(self._buckets) > _KEYS:
            self._buckets.popitem(last=False)
        return 0
