"""Objects on their way in: bytes go to a file as they arrive, hashed, counted, and never held in memory.

A spool file takes bytes for as long as it can, and remembers why it stopped: what writes into it is the thread that
speaks to the peer, and the answer to the peer is made only once the whole object has been sent. Not for: what becomes
of a whole object (object_store.py).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import threading
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from cathrt.runtime.config import Config
from cathrt.runtime.errors import CathrtError
from cathrt.runtime.outside.disk import takes_no_more

_GROUP_LENGTH_END = 128 + 4 + 12  # preamble, DICM, and the element that says how long the meta information is


class NoRoomError(CathrtError):
    """There is no room to keep an object. The sender is told to try again later."""

    exit_code = 8


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """max_object_bytes: of one object. reserve_bytes: what must stay free on the disk."""

    max_object_bytes: int
    reserve_bytes: int


def spool_limits(config: Config) -> SpoolLimits:
    """As configured: limits.max_file_mib and listener.reserve_mib."""
    return SpoolLimits(config.limits.max_file_mib << 20, config.listener.reserve_mib << 20)


class SpoolFile:
    """One object being received. Has the methods of a temporary file that pynetdicom calls: name, file, write, close.

    failed: why its bytes are no longer kept; None while they are. Not thread-safe: one association writes to it.
    """

    def __init__(self, path: Path, limits: SpoolLimits) -> None:
        self.name = str(path)
        self.failed: Exception | None = None
        self.size = 0
        self._limits = limits
        self._head: bytearray | None = bytearray()  # until the end of the file meta information is known
        self._digest = hashlib.sha256()
        self._file: FileIO | None = None
        try:
            self._file = FileIO(path, "xb")
        except OSError as exc:  # no inode, say: the peer is told when it has sent the whole object
            self.failed = _no_room(exc) or exc

    @property
    def file(self) -> SpoolFile:
        """The file itself, of which pynetdicom flushes every piece."""
        return self

    def flush(self) -> None:
        """Nothing is buffered here."""

    def write(self, data: bytes) -> int:
        """Keep these bytes, or from the first that cannot be kept on none: see failed."""
        self.size += len(data)
        if self.failed is None and self._file is not None:
            self._hash(data)
            try:
                self._keep(data, self._file)
            except (OSError, NoRoomError) as exc:
                self.failed = exc
                with contextlib.suppress(OSError):  # a disk that fails may do so again
                    self._file.truncate(0)  # the room is given back at once
        return len(data)

    def sync(self) -> str:
        """Make the bytes durable. Returns the SHA-256 of the data set, which the file meta information is no part of.

        Raises NoRoomError or OSError where the bytes were not all kept.
        """
        if self.failed is not None:
            raise self.failed
        assert self._file is not None, "a file that could not be opened has failed"
        os.fsync(self._file.fileno())
        return self._digest.hexdigest()

    def close(self) -> None:
        """Close the file; it stays where it is. Idempotent."""
        if self._file is not None:
            self._file.close()

    def discard(self) -> None:
        """Close the file and remove it, where it still is. Idempotent."""
        self.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.name)

    def _hash(self, data: bytes) -> None:
        """The meta information is ours and names our version: the same object has the same hash without it."""
        if self._head is not None:
            self._head += data
            if len(self._head) < _GROUP_LENGTH_END:
                return
            (length,) = struct.unpack_from("<I", self._head, _GROUP_LENGTH_END - 4)
            start = _GROUP_LENGTH_END + length
            if len(self._head) < start:
                return
            data, self._head = bytes(self._head[start:]), None
        self._digest.update(data)

    def _keep(self, data: bytes, file: FileIO) -> None:
        if self.size > self._limits.max_object_bytes:
            raise NoRoomError(
                f"an object of more than {self._limits.max_object_bytes >> 20} MiB (limits.max_file_mib): "
                "raise it if this is meant"
            )
        status = os.fstatvfs(file.fileno())
        free = status.f_bavail * status.f_frsize
        if free < self._limits.reserve_bytes + len(data):
            raise NoRoomError(
                f"{free >> 20} MiB free on the disk, expected listener.reserve_mib = "
                f"{self._limits.reserve_bytes >> 20} and more: make room"
            )
        view = memoryview(data)
        try:
            while view:
                view = view[file.write(view) :]
        except OSError as exc:
            if (no_room := _no_room(exc)) is not None:
                raise no_room from exc
            raise


def _no_room(error: OSError) -> NoRoomError | None:
    """The error as that of a disk that takes no more, if it is one."""
    return NoRoomError(f"the disk takes no more ({error.strerror}): make room") if takes_no_more(error) else None


class Spool:
    """The folder of objects being received. What an earlier process left there was never confirmed: it is removed.

    Thread-safe. A file belongs to the thread that opened it, that of its association, until somebody takes it.
    """

    def __init__(self, folder: Path, limits: SpoolLimits) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.iterdir():
            left.unlink()
        self._folder = folder
        self._limits = limits
        self._lock = threading.Lock()
        self._open: dict[str, tuple[SpoolFile, threading.Thread]] = {}
        self._count = 0

    def open(self) -> SpoolFile:
        """A new file. Its name has nothing of what the peer sent."""
        with self._lock:
            self._count += 1
            file = SpoolFile(self._folder / f"{self._count}.part", self._limits)
            self._open[file.name] = (file, threading.current_thread())
        return file

    def take(self, file: SpoolFile) -> None:
        """An object is there whole: its file is the caller's from now on."""
        with self._lock:
            del self._open[file.name]

    def sweep(self) -> None:
        """Remove the files of associations that ended within an object."""
        with self._lock:
            left = [file for file, owner in self._open.values() if not owner.is_alive()]
            for file in left:
                del self._open[file.name]
        for file in left:
            file.discard()

    def owners(self) -> set[threading.Thread]:
        """The threads of objects on their way in."""
        with self._lock:
            return {owner for _, owner in self._open.values()}

    def __len__(self) -> int:
        """Files being received."""
        return len(self._open)
