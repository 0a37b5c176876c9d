"""Lines for a reader who may take nothing for a time: a thread prints them, and whoever has something to tell goes on.

Not for: records, which wait in their journals (shown_journals.py).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

_MOST = 1000  # lines that wait; what a service tells further ones of is in its own books


class Teller:
    """Calls what it is given, one after the other, in a thread of its own. Nothing that it calls may raise."""

    def __init__(self, name: str) -> None:
        self._left_out = 0
        self._waiting: queue.Queue[Callable[[], object] | None] = queue.Queue(_MOST)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin with what was told before."""
        self._thread.start()

    def tell(self, show: Callable[[], object]) -> None:
        """Returns at once. Where too much waits it is left out, and counted."""
        try:
            self._waiting.put_nowait(show)
        except queue.Full:
            self._left_out += 1

    def finish(self) -> int:
        """Wait until all is told. Returns how much was left out."""
        self._waiting.put(None)
        self._thread.join()
        return self._left_out

    def _run(self) -> None:
        while (show := self._waiting.get()) is not None:
            show()
