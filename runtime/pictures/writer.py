"""The writing side of a ring: the newest pictures of one live source, while somebody wants to see them.

Written by system calls, not through a mapping: a file that is cut short would end a process by SIGBUS there, and here
it is only written again. One process writes, and never waits for a reader. Not for: when a picture is put (shown.py).
"""

from __future__ import annotations

import fcntl
import logging
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cathrt.runtime.errors import SinkError
from cathrt.runtime.frame import Rescale, VoiWindow
from cathrt.runtime.outside.plain_text import shown
from cathrt.runtime.pictures.layout import (
    ABOUT_BYTES,
    MAGIC,
    MOST_NAME_BYTES,
    NEWEST_AT,
    NUMBER,
    PAGE,
    WHOLE,
    About,
    packed,
    ring_bytes,
    slot_at,
)
from cathrt.runtime.ports import Picture

_RETRY_NS = 5_000_000_000  # between two tries at a file that cannot be written
_MOST_NUMBER = 1 << 62  # of a picture; nobody shows so many
_LOOK_NS = 1_000_000_000  # between two looks whether the file still has its name and its size
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Head:
    """The first page, as it was read."""

    newest: int
    wanted_ns: int


class PictureRing:
    """For one thread. After the constructor nothing raises: without a ring there is only nothing to see."""

    def __init__(self, path: Path, source: str, slot_bytes: int, now_ns: Callable[[], int]) -> None:
        """slot_bytes: room for the pixels of a picture. Raises SinkError: the file is another's, or cannot be made."""
        self._path, self._source, self._slot_bytes, self._now_ns = path, source, slot_bytes, now_ns
        self._descriptor: int | None = None
        self._number = 0
        self._looked_ns = self._retry_ns = now_ns()
        self._open()

    @property
    def is_wanted(self) -> bool:
        """Whether somebody wants to see pictures now. Waits for nothing."""
        head = self._head()
        return head is not None and self._now_ns() < head.wanted_ns

    def put(self, picture: Picture) -> bool:
        """Make it the newest. Returns whether it is. One copy of the pixels; of a large picture, of every nth row and
        column, so that it fits."""
        if self._head() is None:
            return False
        step = _step_of(picture, self._slot_bytes)
        kept = np.ascontiguousarray(picture.pixels[::step, ::step])  # no copy where the step is 1
        number = self._number + 1
        about = _about(picture, number, step, kept.shape, kept.dtype.itemsize)
        at = slot_at(number, self._slot_bytes)
        assert self._descriptor is not None
        try:
            _write(self._descriptor, packed(2 * number - 1, about), at)
            _write(self._descriptor, kept.data.cast("B"), at + PAGE)
            _write(self._descriptor, NUMBER.pack(2 * number), at)
            _write(self._descriptor, NUMBER.pack(number), NEWEST_AT)
        except OSError as exc:
            self._lose(exc)
            return False
        self._number = number
        return True

    def close(self) -> None:
        """Let go of the file, which stays. Idempotent."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _head(self) -> _Head | None:
        """The first page, made anew where somebody has spoilt it; None while the file cannot be used."""
        now_ns = self._now_ns()
        try:
            if self._descriptor is None:
                if now_ns < self._retry_ns:
                    return None
                self._open()
            assert self._descriptor is not None
            if now_ns - self._looked_ns > _LOOK_NS:
                self._looked_ns = now_ns
                found = os.fstat(self._descriptor)
                if found.st_nlink == 0:
                    self.close()
                    self._open()
                elif found.st_size != ring_bytes(self._slot_bytes):
                    self._begin()
            head = _parsed(os.pread(self._descriptor, WHOLE.size, 0), self._slot_bytes)
            if head is None:
                self._begin()
                head = _Head(self._number, 0)
        except (OSError, SinkError) as exc:
            self._lose(exc)
            return None
        return head

    def _lose(self, exc: OSError | SinkError) -> None:
        _log.warning("no pictures of %s for the page: %s", self._source, exc)
        self.close()
        self._retry_ns = self._now_ns() + _RETRY_NS

    def _open(self) -> None:
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            descriptor = os.open(self._path, flags, 0o600)
        except OSError as exc:
            raise SinkError(
                f"{self._path}: {exc.strerror}: remove it, or check the memory and its permissions"
            ) from exc
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
                raise SinkError(f"{self._path}: expected a file of this user: remove it")
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._descriptor = descriptor
            head = _parsed(os.pread(descriptor, WHOLE.size, 0), self._slot_bytes)
            if head is None or found.st_size != ring_bytes(self._slot_bytes):
                self._begin()
            else:
                self._number = max(self._number, head.newest)
        except OSError as exc:
            self._descriptor = None
            os.close(descriptor)
            raise SinkError(f"{self._path}: {exc.strerror}: another process writes it, or memory is full") from exc
        except SinkError:
            os.close(descriptor)
            raise

    def _begin(self) -> None:
        """An empty ring, whatever was there. Its memory is taken at once, so that none is missing later."""
        assert self._descriptor is not None
        size, name = ring_bytes(self._slot_bytes), self._source.encode()
        if len(name) > MOST_NAME_BYTES:
            raise SinkError(f"{self._path}: the name {shown(self._source)} is too long")
        os.ftruncate(self._descriptor, 0)
        os.posix_fallocate(self._descriptor, 0, size)
        whole = WHOLE.pack(MAGIC, 0, 0, self._slot_bytes, len(name)) + name
        _write(self._descriptor, whole[len(MAGIC) :], len(MAGIC))
        _write(self._descriptor, MAGIC, 0)  # last: a file without it is no ring


def _step_of(picture: Picture, slot_bytes: int) -> int:
    rows, columns = picture.pixels.shape
    step = 1
    while -(-rows // step) * -(-columns // step) * picture.pixels.dtype.itemsize > slot_bytes:
        step += 1
    return step


def _about(picture: Picture, number: int, step: int, shape: tuple[int, ...], item_bytes: int) -> About:
    modality, voi = picture.grayscale.modality, picture.grayscale.voi
    return About(
        number=number,
        rows=shape[0],
        columns=shape[1],
        item_bytes=item_bytes,
        step=step,
        captured_ns=picture.captured_ns,
        grayscale=picture.grayscale,
        told=isinstance(modality, Rescale | None) and isinstance(voi, VoiWindow | None),
        positioner_primary_angle_deg=picture.positioner_primary_angle_deg,
        positioner_secondary_angle_deg=picture.positioner_secondary_angle_deg,
    )


def _parsed(page: bytes, slot_bytes: int) -> _Head | None:
    """None for what is no ring with slots of that size."""
    if len(page) < WHOLE.size:
        return None
    magic, newest, wanted_ns, found_bytes, _ = WHOLE.unpack(page)
    fits = magic == MAGIC and found_bytes == slot_bytes and newest < _MOST_NUMBER
    return _Head(newest, wanted_ns) if fits else None


def _write(descriptor: int, data: bytes | memoryview, at: int) -> None:
    written = os.pwrite(descriptor, data, at)
    if written != len(data):
        raise OSError(f"wrote {written} of {len(data)} bytes")


assert ABOUT_BYTES <= PAGE
