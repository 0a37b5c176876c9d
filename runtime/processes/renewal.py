"""When the live process ends by itself, so that a new process opens an engine that this one cannot: a CUDA context that
is gone, or a driver that hangs, is often well again in a new process alone.

Seldom enough never to look like a crash: half of what the supervisor restarts, twice as long after each one that did
not help. Not for: engines that this process can open again (line/ladder_place.py).
"""

from __future__ import annotations

import logging
from typing import Any

from cathrt.runtime.config import SupervisorConfig
from cathrt.runtime.errors import SinkError
from cathrt.runtime.processes.kept_report import KeptReport
from cathrt.runtime.processes.state_folder import StateFolder

RENEWAL = "renewal"  # a report: when the last one was, and how many there were in turn
_NO_AI_S, _DEGRADED_S = 60.0, 600.0  # without live AI, and on a lower rung
_LONGEST_S = 3600.0

_log = logging.getLogger(__name__)


class Renewal:
    """For the live process's main thread. What was noted by the processes before counts."""

    def __init__(self, state: StateFolder, config: SupervisorConfig, now_ns: int) -> None:
        self._report, self._config = KeptReport(state, RENEWAL), config
        noted = _noted(state)
        self._times = int(noted.get("times", 0))
        self._since_ns = max(now_ns, int(noted.get("at_ns", 0)))
        self._needed = False

    def is_due(self, now_ns: int, *, needed: bool, live_ai: bool) -> bool:
        """Whether to end now; then it is noted. Call it while no run is on. needed: an engine needs a new process.

        Where that cannot be noted nothing ends: the next process would not know that it was the next one.
        """
        if not needed:
            if self._needed or (self._times and live_ai):
                self._note(0, now_ns)
            self._needed = False
            return False
        if not self._needed:
            self._needed, self._since_ns = True, now_ns
        if self._config.restarts == 0 or (now_ns - self._since_ns) / 1e9 < self._wait_s(live_ai=live_ai):
            return False
        return self._note(self._times + 1, now_ns)

    def _wait_s(self, *, live_ai: bool) -> float:
        rarest_s = 2.0 * self._config.restart_window_s / self._config.restarts
        wait_s = (_DEGRADED_S if live_ai else _NO_AI_S) * 2.0 ** min(self._times, 16)
        return max(min(wait_s, _LONGEST_S), rarest_s)

    def _note(self, times: int, now_ns: int) -> bool:
        noted = self._report.write({"times": times, "at_ns": now_ns})
        if noted:
            self._times = times
        return noted


def _noted(state: StateFolder) -> dict[str, Any]:
    """By the processes before."""
    try:
        return state.read_report(RENEWAL) or {}
    except SinkError as exc:
        _log.error("when the live process began anew is not known, it counts from now: %s", exc)
        return {}
