"""When an idle engine is run for nothing, so that its clocks stay up: a GPU at rest takes 18 ms for what takes it 1 ms.

A plain state machine on a clock; it starts no thread, and whoever waits for frames asks it how long to wait. Not for:
engines on the CPU, which have no keep_warm(), and not for what such a run computes, which nobody sees.
"""

from __future__ import annotations

from collections.abc import Callable

from cathrt.runtime.pace import Clock


class KeepWarm:
    """Calls `warm` whenever nothing was asked of the engine for `every_ms`. For the thread that runs the engine.

    It is called between frames alone: a frame that comes meanwhile waits for one pass of the network at most.
    """

    def __init__(self, warm: Callable[[], None], every_ms: float, clock: Clock) -> None:
        self._warm = warm
        self._every_ns = round(every_ms * 1e6)
        self._clock = clock
        self._worked_ns = clock.now_ns()

    def worked(self) -> None:
        """The engine has just run: the waiting begins anew."""
        self._worked_ns = self._clock.now_ns()

    @property
    def patience_s(self) -> float:
        """How long may be waited for a frame before idle() is due, at least 0."""
        return max(0, self._worked_ns + self._every_ns - self._clock.now_ns()) / 1e9

    def idle(self) -> None:
        """No frame waits: warm the engine if it is due."""
        if self._clock.now_ns() - self._worked_ns >= self._every_ns:
            self._warm()
            self.worked()

    def wait_until(self, deadline_ns: int) -> None:
        """Wait as Clock.wait_until does, keeping the engine warm: for pauses between runs, the foot off the pedal."""
        while True:
            self.idle()
            due_ns = self._worked_ns + self._every_ns
            if due_ns >= deadline_ns:
                self._clock.wait_until(deadline_ns)
                return
            self._clock.wait_until(due_ns)
