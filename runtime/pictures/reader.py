"""The reading side of a ring: the newest whole picture, and the wish to see more.

Whatever the file holds harms no reader: it reads by system calls and believes nothing. Not for: greys (grey.py).
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cathrt.runtime.pictures.layout import (
    ABOUT_BYTES,
    MAGIC,
    MOMENT,
    MOST_NAME_BYTES,
    NUMBER,
    PAGE,
    WANTED_AT,
    WHOLE,
    About,
    RingPicture,
    dtype_of,
    ring_bytes,
    slot_at,
    unpacked,
)

_MOST_TRIES = 4  # a slot is written again three pictures later: a second try finds another slot
_LOOK_S = 1.0


class RingReader:
    """For one thread. Raises nothing for what the file is: then there is no picture."""

    def __init__(self, path: Path, source: str, now_ns: Callable[[], int]) -> None:
        """The file need not exist yet. source: whose pictures are expected; another's are none."""
        self._path, self._source, self._now_ns = path, source, now_ns
        self._descriptor: int | None = None
        self._identity = (0, 0)
        self._looked_ns = 0

    def want(self, until_ns: int) -> bool:
        """Ask for pictures until then, by the monotonic clock. Returns whether there is a ring to ask at."""
        if self._slot_bytes() is None or self._descriptor is None:
            return False
        try:
            os.pwrite(self._descriptor, MOMENT.pack(until_ns), WANTED_AT)
        except OSError:
            return False
        return True

    def newest(self) -> int:
        """Number of the newest picture; 0 where there is none."""
        page = self._head()
        return 0 if page is None else int(WHOLE.unpack(page[: WHOLE.size])[1])

    def read(self, after: int = 0) -> RingPicture | None:
        """The newest whole picture; None where it is number `after`, or there is none."""
        for _ in range(_MOST_TRIES):
            slot_bytes, number = self._slot_bytes(), self.newest()
            if slot_bytes is None or number in (0, after):
                return None
            if (picture := self._whole(number, slot_bytes)) is not None:
                return picture
        return None

    def about(self) -> About | None:
        """The newest picture without its pixels; None where there is none."""
        slot_bytes, number = self._slot_bytes(), self.newest()
        if slot_bytes is None or number == 0:
            return None
        told = self._about(slot_at(number, slot_bytes), number)
        return None if told is None else told[1]

    def close(self) -> None:
        """Let go of the file. A later call opens it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _whole(self, number: int, slot_bytes: int) -> RingPicture | None:
        """Picture `number`; None where its slot is written while it is read, or holds something else."""
        at = slot_at(number, slot_bytes)
        told = self._about(at, number)
        if told is None or told[1].pixel_bytes > slot_bytes or self._descriptor is None:
            return None
        count, about = told
        pixels = np.empty((about.rows, about.columns), dtype_of(about))
        try:
            taken = os.preadv(self._descriptor, [pixels.data.cast("B")], at + PAGE)
            again = os.pread(self._descriptor, NUMBER.size, at)
        except OSError:
            return None
        if taken != about.pixel_bytes or again != NUMBER.pack(count):
            return None
        return RingPicture(about, pixels)

    def _about(self, at: int, number: int) -> tuple[int, About] | None:
        assert self._descriptor is not None
        try:
            count, about = unpacked(os.pread(self._descriptor, ABOUT_BYTES, at))
        except (OSError, ValueError, struct.error):
            return None
        return (count, about) if (count, about.number) == (2 * number, number) else None

    def _slot_bytes(self) -> int | None:
        page = self._head()
        return None if page is None else int(WHOLE.unpack(page[: WHOLE.size])[3])

    def _head(self) -> bytes | None:
        """The first page of a ring of this source; None where there is none."""
        try:
            if not self._is_open():
                return None
            assert self._descriptor is not None
            page = os.pread(self._descriptor, WHOLE.size + MOST_NAME_BYTES, 0)
        except OSError:
            self.close()
            return None
        if len(page) < WHOLE.size:
            return None
        magic, _, _, slot_bytes, length = WHOLE.unpack(page[: WHOLE.size])
        name = page[WHOLE.size : WHOLE.size + length]
        fits = magic == MAGIC and name == self._source.encode() and 0 < slot_bytes < 1 << 40
        return page if fits and os.fstat(self._descriptor).st_size >= ring_bytes(slot_bytes) else None

    def _is_open(self) -> bool:
        """Open the file, anew where another one has its name now. Raises OSError."""
        now_ns = self._now_ns()
        if self._descriptor is not None and now_ns - self._looked_ns < _LOOK_S * 1e9:
            return True
        self._looked_ns = now_ns
        found = os.stat(self._path, follow_symlinks=False)
        if self._descriptor is not None and (found.st_dev, found.st_ino) == self._identity:
            return True
        self.close()
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            return False
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        opened = os.fstat(self._descriptor)
        self._identity = opened.st_dev, opened.st_ino
        return True
