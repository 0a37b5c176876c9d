"""Which tests may run side by side: where pytest has several workers, a test marked `alone` has the machine to itself.

Not for: telling pytest how many workers there are (the Makefile does).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_SH, LOCK_UN, flock
from pathlib import Path


class Turns:
    """Locks that all workers of one pytest share: any number of tests together, or one alone.

    Whoever wants to be alone holds the door meanwhile, so that no further test begins before it.
    """

    def __init__(self, folder: Path) -> None:
        """folder: made if it is not there; close() removes it."""
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._door = (folder / "turns-door").open("ab")
        self._room = (folder / "turns-room").open("ab")

    @contextmanager
    def turn(self, *, alone: bool) -> Iterator[None]:
        """Wait for a turn, and have it until the end of the block."""
        flock(self._door, LOCK_EX)
        try:
            flock(self._room, LOCK_EX if alone else LOCK_SH)
        finally:
            flock(self._door, LOCK_UN)
        try:
            yield
        finally:
            flock(self._room, LOCK_UN)

    def close(self) -> None:
        """Workers that still run keep what they have opened."""
        self._door.close()
        self._room.close()
        shutil.rmtree(self._folder, ignore_errors=True)
