"""Looks at what is kept, now and then, in a thread of the process that owns it; counts what goes, and says so.

Not for: what may go (kept_journal.py, kept_objects.py, old_studies.py).
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cathrt.runtime.errors import CathrtError
from cathrt.runtime.retention.kept_journal import Looked, Moment
from cathrt.runtime.retention.rules import TrustedClock

_log = logging.getLogger(__name__)

LOOK_S = 60.0  # between two looks
AGAIN_S = 5.0  # where there was more to remove than one look removes
_SAID_EVERY_S = 3600.0

Look = Callable[[Moment], Looked]


@dataclass(slots=True)
class _Kept:
    """What the looks at one thing came to, since the process began."""

    removed: int = 0
    bytes: int = 0
    note: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Disk:
    """Where room is needed, and how much: retention.free_mib."""

    folder: Path
    free_mib: int

    def moment(self, now_s: float) -> Moment:
        """How it is now. Raises OSError."""
        found = os.statvfs(self.folder)
        free, wanted = found.f_bavail * found.f_frsize, self.free_mib << 20
        return Moment(now_s, max(0, wanted - free), free < wanted // 2)


@dataclass(slots=True)
class Keeper:
    """Looks at each thing by its name, in the order given. told: gets the report after each round (docs/retention.md).

    wall, steady: clocks, in seconds.
    """

    looks: Mapping[str, Look]
    disk: Disk
    told: Callable[[dict[str, object]], None]
    wall: Callable[[], float] = time.time
    steady: Callable[[], float] = time.monotonic
    _kept: dict[str, _Kept] = field(default_factory=dict)
    _clock: TrustedClock | None = None
    _said_s: float = float("-inf")
    _said: int = 0

    def round(self) -> float:
        """One look at each. Returns how long to wait before the next round. Raises what is a bug of ours."""
        wall_s, steady_s = self.wall(), self.steady()
        if self._clock is None:
            self._clock = TrustedClock(wall_s, steady_s)
        if not self._clock.is_trusted(wall_s, steady_s):
            self._report()
            return LOOK_S
        more = False
        for name, look in self.looks.items():
            kept = self._kept.setdefault(name, _Kept())
            try:
                looked = look(self.disk.moment(wall_s))
            except (CathrtError, OSError, sqlite3.Error) as exc:
                kept.note, kept.reason = "", f"nothing can be removed: {exc}"
                continue
            kept.removed, kept.bytes = kept.removed + looked.removed, kept.bytes + looked.bytes
            kept.note, kept.reason = looked.note, looked.reason
            more |= looked.more
        self._report()
        self._say(steady_s)
        return AGAIN_S if more else LOOK_S

    def run(self, stop: threading.Event) -> None:
        """Rounds until stop is set."""
        wait_s = 0.0
        while not stop.wait(wait_s):
            wait_s = self.round()

    def _report(self) -> None:
        notes = [f"{name}: {kept.note}" for name, kept in self._kept.items() if kept.note]
        if self._clock is not None and self._clock.step_s:
            notes.append(f"the clock was set by {self._clock.step_s:.0f} s: nothing is removed for a day after that")
        self.told(
            {
                "removed": {name: asdict(kept) for name, kept in self._kept.items()},
                "notes": notes,
                "reasons": [f"{name}: {kept.reason}" for name, kept in self._kept.items() if kept.reason],
            }
        )

    def _say(self, steady_s: float) -> None:
        """What has gone, in the log, at most once an hour."""
        removed = sum(kept.removed for kept in self._kept.values())
        if removed == self._said or steady_s - self._said_s < _SAID_EVERY_S:
            return
        self._said, self._said_s = removed, steady_s
        counts = ", ".join(f"{kept.removed} of {name}" for name, kept in self._kept.items() if kept.removed)
        _log.warning("retention has removed since the start: %s", counts)


@contextmanager
def retaining(keeper: Keeper) -> Iterator[None]:
    """Run the keeper in a thread until the end of the block."""
    stop = threading.Event()
    thread = threading.Thread(target=keeper.run, args=(stop,), name="retention", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
