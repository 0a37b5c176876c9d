"""Load that comes again and again, each kind in a thread of its own that sleeps most of the time."""

from __future__ import annotations

import threading
import traceback
from collections import Counter
from collections.abc import Callable


class Activities:
    """Starts activities, and ends them all. faults: by activity, what went wrong that may go wrong, counted.

    failures: tracebacks of what may not: the soak goes on without that activity, and says so in its row.
    """

    def __init__(self) -> None:
        self.over = threading.Event()
        self.faults: dict[str, Counter[str]] = {}
        self.failures: list[str] = []
        self._threads: list[threading.Thread] = []

    def every(self, seconds: float, name: str, act: Callable[[], None], *allowed: type[Exception]) -> None:
        """Call act() so often until all is over. allowed: exceptions that are counted as faults."""
        faults = self.faults.setdefault(name, Counter())

        def repeat() -> None:
            while not self.over.wait(seconds):
                try:
                    act()
                except allowed as exc:
                    faults[f"{type(exc).__name__}: {exc}"[:120]] += 1

        self._start(name, repeat)

    def all_along(self, name: str, run: Callable[[], None]) -> None:
        """Call run() once; it returns when all is over."""
        self._start(name, run)

    def end(self, within_s: float) -> None:
        """Ask all to end, and wait for them."""
        self.over.set()
        for thread in self._threads:
            thread.join(within_s)
            if thread.is_alive():
                self.failures.append(f"{thread.name}: not ended within {within_s:g} s")

    def _start(self, name: str, run: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                run()
            except BaseException:  # the row says so, and the soak goes on without it
                self.failures.append(f"{name}: {traceback.format_exc()}")

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()
