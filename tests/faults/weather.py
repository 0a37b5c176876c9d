"""Bad weather for whole processes while they run: disks that fail or dawdle, a wall clock that steps or drifts.

A process that is started with `environment()` meets it from its first call on, and so do its children. Not for: one
chosen call of a small process (calls.py).
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.faults.calls import build_calls

# As `struct weather` of calls.c has them.
_NAMES = (
    "write_error", "sync_error", "create_error", "slow_syncs", "sync_ms", "step_ns", "drift_ppm", "drift_from_ns",
)  # fmt: skip
_BELOW_BYTES = 2048


class Weather:
    """The page that the processes look at. All is as ever until something is set."""

    def __init__(self, page: Path, below: Path) -> None:
        """page: a file that is made. below: only files in this folder are met."""
        self._path = page
        page.write_bytes(bytes(8 * len(_NAMES) + _BELOW_BYTES))
        with page.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self._below = below
        self._reach(below)

    def environment(self) -> Mapping[str, str]:
        """What a process is started with."""
        return {"LD_PRELOAD": str(build_calls()), "CATHRT_TEST_WEATHER": str(self._path)}

    def set(self, **values: int) -> None:
        """Change the weather at once, for example write_error=errno.ENOSPC."""
        if values.get("drift_ppm"):
            values["drift_from_ns"] = time.monotonic_ns()
        for name, value in values.items():
            struct.pack_into("=q", self._map, 8 * _NAMES.index(name), value)

    def get(self, name: str) -> int:
        """As it is now: slow_syncs falls with each."""
        (value,) = struct.unpack_from("=q", self._map, 8 * _NAMES.index(name))
        return int(value)

    def clear(self) -> None:
        """As ever again."""
        self.set(**dict.fromkeys(_NAMES, 0))

    @contextmanager
    def storm(self, only: Path | None = None, **values: int) -> Iterator[None]:
        """set() for the length of a block; then clear(). only: files whose path begins so, in place of the folder."""
        self._reach(only or self._below)
        self.set(**values)
        try:
            yield
        finally:
            self.clear()
            self._reach(self._below)

    def _reach(self, below: Path) -> None:
        start = 8 * len(_NAMES)
        self._map[start : start + _BELOW_BYTES] = os.fsencode(below.resolve()).ljust(_BELOW_BYTES, b"\0")
