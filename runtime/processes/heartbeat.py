"""A process says that it works: one time stamp in shared memory, which its supervisor and health read.

Not for: what makes a process hung (restarts.py).
"""

from __future__ import annotations

import mmap
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from cathrt.runtime.errors import SinkError

_SIZE = mmap.PAGESIZE


class Heartbeat:
    """The writing side. beat() may be called from any thread; it writes eight bytes of memory and calls nothing."""

    def __init__(self, path: Path, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        """Open or make the file. Raises SinkError."""
        self._now_ns = now_ns
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, _SIZE)  # or a full memory would end the process by SIGBUS later
                self._value = memoryview(mmap.mmap(descriptor, _SIZE)).cast("q")
            finally:
                os.close(descriptor)
        except OSError as exc:
            raise SinkError(f"{path}: {exc.strerror}: check the shared memory and its permissions") from exc

    def beat(self) -> None:
        """Note that the process works now."""
        self._value[0] = self._now_ns()


def last_beat_ns(path: Path) -> int | None:
    """Reading of the monotonic clock at the last beat; None where there was none. Raises OSError."""
    try:
        beat = int.from_bytes(path.read_bytes()[:8], sys.byteorder)
    except FileNotFoundError:
        return None
    return beat or None


def forget_beats(path: Path) -> None:
    """Before a process is started anew: the beats of the one before are not its own. Raises OSError."""
    path.unlink(missing_ok=True)
