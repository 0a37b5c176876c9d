"""Runs dummy inferences so that an idle GPU keeps its clocks up: with low clocks, 1 ms of work takes 18 ms.

A state machine on a clock, without a thread of its own: whoever waits for frames asks it how long to wait. Not for:
engines on the CPU, which have no keep_warm().
"""

from __future__ import annotations

from collections.abc import Callable

from cathrt.runtime.clock import Clock


class KeepWarm:
    """Calls `warm` whenever the engine did no work for `every_ms`. For the thread that runs the engine.

    It is called only between frames: a frame that arrives meanwhile waits for one inference at most.
    """

    def __init__(self, warm: Callable[[], None], every_ms: float, clock: Clock) -> None:
        self._warm = warm
        self._every_ns = round(every_ms * 1e6)
        self._clock = clock
        self._worked_ns = clock.now_ns()

    def worked(self) -> None:
        """The engine has just run: `every_ms` counts from now."""
        self._worked_ns = self._clock.now_ns()

    @property
    def patience_s(self) -> float:
        """How long to wait for a frame before idle() is due, at least 0."""
        return max(0, self._worked_ns + self._every_ns - self._clock.now_ns()) / 1e9

    def idle(self) -> None:
        """Call this while no frame waits: it warms the engine if that is due."""
        if self._clock.now_ns() - self._worked_ns >= self._every_ns:
            self._warm()
            self.worked()

    def wait_until(self, deadline_ns: int) -> None:
        """Wait as Clock.wait_until does and keep the engine warm: for pauses between runs."""
        while True:
            self.idle()
            due_ns = self._worked_ns + self._every_ns
            if due_ns >= deadline_ns:
                self._clock.wait_until(deadline_ns)
                return
            self._clock.wait_until(due_ns)
