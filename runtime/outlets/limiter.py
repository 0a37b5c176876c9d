"""At most so many records a minute of one run and kind: what one run may cost a receiver.

Only alerts and verdicts are limited; all else comes once or a few times a run. Not for: saying what was kept back
(delivery.py counts it).
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable

from cathrt.runtime.alert import StoredRecord

LIMITED_TYPES = ("alert", "verdict")
_MOST_RUNS = 256  # that are remembered; the one that was quiet longest is forgotten
_WINDOW_S = 60.0


class Limiter:
    """A bucket for each run and kind, full at the start, that fills up within a minute. For one thread."""

    def __init__(self, rate_per_minute: int, now_s: Callable[[], float]) -> None:
        """rate_per_minute: 0 for no limit."""
        self._rate, self._now_s = rate_per_minute, now_s
        self._buckets: OrderedDict[tuple[str, ...], tuple[float, float]] = OrderedDict()

    def takes(self, stored: StoredRecord) -> bool:
        """Whether the record may be sent; if so, it has been counted."""
        if not self._rate or stored.type not in LIMITED_TYPES:
            return True
        record, now_s = json.loads(stored.body), self._now_s()
        key = (record["run_id"], stored.type, record["news"]["kind"] if stored.type == "alert" else "")
        left, at_s = self._buckets.pop(key, (float(self._rate), now_s))
        left = min(float(self._rate), left + (now_s - at_s) * self._rate / _WINDOW_S)
        self._buckets[key] = (max(left - 1.0, 0.0) if left >= 1.0 else left, now_s)
        while len(self._buckets) > _MOST_RUNS:
            self._buckets.popitem(last=False)
        return left >= 1.0
