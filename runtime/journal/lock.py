"""The one descriptor through which this process holds a journal's file, and the writer's lock on it.

The lock is on the file and not on a name, so every name of the file leads to the same lock. POSIX drops all locks that
a process has on a file when the process closes any descriptor of that file, and SQLite's locks are of that kind
(https://www.sqlite.org/howtocorrupt.html, 2.2). A process therefore opens a journal's file once beside SQLite,
however many connections it has, and closes it after the last of them.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
import threading
from dataclasses import dataclass
from pathlib import Path

from cathrt.runtime.errors import JournalError

_guard = threading.Lock()
_held: dict[tuple[int, int], HeldFile] = {}  # by device and inode: what "the same file" means to the system


class HeldFile:
    """A file that this process has open, shared by all its connections to it. Made by `hold` alone."""

    def __init__(self, descriptor: int, identity: tuple[int, int]) -> None:
        self._descriptor, self.identity = descriptor, identity
        self.holders = 0
        self._locked = False

    def lock(self, path: Path) -> None:
        """Take the writer's lock. Raises JournalError if a journal object has it, here or in another process."""
        with _guard:
            if self._locked:
                raise Lock("writer", path).refusal("in this process")
            lock_exclusively(self._descriptor, Lock("writer", path))
            self._locked = True

    def unlock(self) -> None:
        """Give the writer's lock back."""
        with _guard:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            self._locked = False

    def first_bytes(self, count: int) -> bytes:
        """How the file begins."""
        return os.pread(self._descriptor, count, 0)

    def sync(self) -> None:
        """Wait until all that was ever written to the file is on the disk. Raises OSError."""
        os.fsync(self._descriptor)

    def is_at(self, path: Path) -> bool:
        """Whether this name leads to this file now."""
        return identity_at(path) == self.identity

    def release(self) -> None:
        """One holder less; the last one closes the file."""
        with _guard:
            self.holders -= 1
            if not self.holders:
                del _held[self.identity]
                os.close(self._descriptor)


class HoldingConnection(sqlite3.Connection):
    """A connection to a journal's file, which is held until the connection is closed."""

    file: HeldFile | None = None
    _locks = False

    def lock(self, path: Path) -> None:
        """Take the writer's lock until the connection is closed. Raises JournalError as HeldFile.lock does."""
        assert self.file is not None
        self.file.lock(path)
        self._locks = True

    def close(self) -> None:
        """Close the connection, then let go of the file and its lock. A second call does nothing."""
        super().close()
        file, self.file = self.file, None
        if file is not None:
            if self._locks:
                file.unlock()
            file.release()


def hold(path: Path) -> HeldFile:
    """Hold the file of that name until `release`. Raises OSError; JournalError if it is no plain file of one name."""
    with _guard:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise JournalError(f"{path}: a folder or a device, expected a journal file: check the path")
        if found.st_nlink > 1:
            raise JournalError(
                f"{path}: the file has {found.st_nlink} names (hard links), expected one, because the log and the head "
                "of a journal go by its name: remove the other names, or open a copy of the file"
            )
        held = _held.get(_identity(found))
        if held is None:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            if _identity(os.fstat(descriptor)) != _identity(found):
                # The descriptor stays open: this process may have SQLite's locks on the file that it leads to.
                raise JournalError(f"{path}: the file was replaced while it was opened: try again")
            held = _held[_identity(found)] = HeldFile(descriptor, _identity(found))
        held.holders += 1
        return held


@dataclass(frozen=True, slots=True)
class Lock:
    """Who may have a file alone ("writer", "reader"), and how the file is called in a refusal."""

    holder: str
    path: Path

    def refusal(self, why: str) -> JournalError:
        """The refusal of a second one."""
        return JournalError(
            f"{self.path}: locked by another {self.holder} ({why}), and a file has one: "
            "stop the other, or give this one its own file"
        )


def lock_exclusively(descriptor: int, lock: Lock) -> None:
    """Lock what the descriptor leads to until it is closed. Raises JournalError if another process has the lock."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        raise lock.refusal(exc.strerror or str(exc)) from exc


def identity_at(path: Path | str) -> tuple[int, int] | None:
    """Device and inode of what is there under that name; None if nothing is. Raises OSError."""
    try:
        return _identity(os.stat(path))
    except FileNotFoundError:
        return None


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
