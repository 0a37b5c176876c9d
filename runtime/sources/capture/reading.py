"""What tap_thread.py knows of each thread that reads a tap. Not for: reading."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from cathrt.runtime.ports import Tap
from cathrt.runtime.sources.capture.sighting import SourceTimes


@dataclass(frozen=True, slots=True)
class BackOff:
    """Wait before a source is opened again; twice as long after each connection without a picture, up to most_s."""

    first_s: float = 0.2
    most_s: float = 5.0


@dataclass(slots=True, eq=False)
class Reading:
    """One thread that reads, and how its connection stands. Guarded by TapThread's lock.

    connected: from the call that opens the tap until the one that closes it has returned. item_ns: when the newest
    picture or missing of this connection came.
    """

    began_ns: int = 0
    connected: bool = False
    tap: Tap | None = None
    picture_ns: int | None = None
    item_ns: int | None = None
    trouble: str = "it is being opened"
    times: SourceTimes = field(default_factory=SourceTimes)
    thread: threading.Thread | None = None
    closer: threading.Thread | None = None

    @property
    def threads(self) -> tuple[threading.Thread, ...]:
        """Those that have not ended."""
        return tuple(thread for thread in (self.thread, self.closer) if thread is not None and thread.is_alive())
