"""A listed file of a bundle, opened once and hashed from that descriptor: whoever reads it later reads the same file.

Nothing is opened by its path again and nothing is held in memory: engines get a mapping of the descriptor. Not for:
reaching the file (files.py).
"""

from __future__ import annotations

import hashlib
import mmap
import os
import time
import weakref
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.bundle.files import open_file
from cathrt.runtime.errors import ManifestError

CHUNK = 1 << 20
# Linux stamps files with a clock that steps once a tick, 10 ms at the longest (CONFIG_HZ=100).
_TICK_NS = 10_000_000
_MAP_NORESERVE = 0x4000  # Linux; the mmap module has it from Python 3.13 on


class _Stamp(NamedTuple):
    """What changes when somebody writes to a file. ctime is the one that no user can set."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, descriptor: int) -> _Stamp:
        found = os.fstat(descriptor)
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


class VerifiedFile:
    """An open file whose content had its sha256. Closed by close(), or when nothing refers to it any more.

    Mappings stay valid after closing, for as long as an array of them is referred to. Safe to use from several threads.
    """

    def __init__(self, name: str, descriptor: int, sha256: str) -> None:
        """Hash the file. The descriptor is this object's from now on, even where it raises ManifestError."""
        self.name = name
        self.sha256 = sha256
        self._descriptor = descriptor
        self._closing = weakref.finalize(self, os.close, descriptor)
        self._closing.atexit = False
        self._mapped: NDArray[np.uint8] | None = None
        self._memory: mmap.mmap | None = None
        try:
            self._stamp = _stamp_before_now(descriptor)
            self._verify()
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int:
        """In bytes."""
        return self._stamp.size

    def check_unchanged(self) -> None:
        """Raise ManifestError where somebody wrote to the file, moved or relinked it since it was hashed."""
        found = _Stamp.of(self._opened())
        if found != self._stamp:
            named = zip(_Stamp._fields, found, self._stamp, strict=True)
            changed = ", ".join(field for field, is_, was in named if is_ != was)
            raise ManifestError(f"{self.name}: changed after the bundle was opened ({changed}): open the bundle again")

    def mapped(self) -> NDArray[np.uint8]:
        """The whole file as one array, which is read from the disk where it is touched. Every caller gets the same.

        Pages are shared with every other reader of the file. The array is marked read-only; whoever writes to it
        nevertheless changes a private copy of the page. Raises ManifestError where the file has changed.
        """
        self.check_unchanged()
        if self._mapped is None:
            self._memory = _memory(self.name, self._descriptor, self.size)
            self._mapped = np.zeros(0, np.uint8) if self._memory is None else np.frombuffer(self._memory, np.uint8)
            self._mapped.flags.writeable = False
        return self._mapped

    def release(self) -> None:
        """Give the mapping's pages back to the system. What is touched later is read from the disk again.

        For after an engine has made its own copy of the weights. Whoever wrote to a page loses that.
        """
        if self._memory is not None:
            self._memory.madvise(mmap.MADV_DONTNEED)

    def chunks(self) -> Iterator[memoryview]:
        """The content, piece by piece; each piece is valid until the next. Raises ManifestError where it has changed
        by the end, so whoever keeps the pieces keeps what was verified."""
        self.check_unchanged()
        yield from _chunks(self._descriptor)
        self.check_unchanged()

    def read(self) -> bytes:
        """The whole content, hashed once more. For files that are small by their nature."""
        data = b"".join(bytes(chunk) for chunk in self.chunks())
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise ManifestError(f"{self.name}: changed after the bundle was opened: open the bundle again")
        return data

    def check_only_name(self) -> None:
        """Raise ManifestError where the file has a second (hard) link."""
        links = os.fstat(self._opened()).st_nlink
        if links != 1:
            raise ManifestError(
                f"{self.name}: has {links} hard links, expected 1, since what has another name can be changed from "
                "outside: copy the bundle (cp -R) and open the copy"
            )

    def close(self) -> None:
        self._closing()
        self._mapped = self._memory = None

    def _verify(self) -> None:
        digest = hashlib.sha256()
        for chunk in _chunks(self._descriptor):
            digest.update(chunk)
        if digest.hexdigest() != self.sha256:
            raise ManifestError(
                f"{self.name}: sha256 is {digest.hexdigest()}, the manifest says {self.sha256}: "
                "the file is not the one that was signed, fetch the bundle again"
            )
        if _Stamp.of(self._descriptor) != self._stamp:
            raise ManifestError(f"{self.name}: changed while it was hashed: open the bundle again")

    def _opened(self) -> int:
        if not self._closing.alive:
            raise ManifestError(f"{self.name}: the bundle is closed: open it again")
        return self._descriptor


def verified_files(folder: int, listed: Mapping[str, str], *, hard_links: bool) -> dict[str, VerifiedFile]:
    """Open and hash every listed file. listed: sha256 by name. Raises ManifestError for the first that does not fit.

    hard_links: whether a file may have a second name.
    """
    found: dict[str, VerifiedFile] = {}
    try:
        for name, sha256 in sorted(listed.items()):
            found[name] = VerifiedFile(name, open_file(folder, name), sha256)
            if not hard_links:
                found[name].check_only_name()
    except BaseException:
        for file in found.values():
            file.close()
        raise
    return found


def _stamp_before_now(descriptor: int) -> _Stamp:
    """The stamp, once every later write is sure to get another one: a file written this tick is waited for."""
    stamp = _Stamp.of(descriptor)
    if 0 <= time.time_ns() - stamp.ctime_ns < _TICK_NS:
        time.sleep(_TICK_NS / 1e9)
    return stamp


def _chunks(descriptor: int) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(CHUNK))
    position = 0
    while read := os.preadv(descriptor, [buffer], position):
        yield buffer[:read]
        position += read


def _memory(name: str, descriptor: int, size: int) -> mmap.mmap | None:
    if size == 0:  # nothing that could be mapped
        return None
    try:
        # Writable, for OpenVINO shares no memory that is not, but nobody writes: no swap need be set aside for it.
        return mmap.mmap(
            descriptor, size, flags=mmap.MAP_PRIVATE | _MAP_NORESERVE, prot=mmap.PROT_READ | mmap.PROT_WRITE
        )
    except ValueError as exc:  # shorter than a moment ago
        raise ManifestError(f"{name}: changed after the bundle was opened (size): open the bundle again") from exc
    except OSError as exc:
        raise ManifestError(
            f"{name}: its {size} bytes cannot be mapped ({exc.strerror}): raise the limit on address space (ulimit -v)"
        ) from exc
