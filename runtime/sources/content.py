"""Opening the bytes of an input inside the decoder process: regular files only, capped in size, named by their hash.

All of a request's files are opened before the process is confined, since it can open nothing afterwards.
Not for: what the bytes mean.
"""

from __future__ import annotations

import hashlib
import io
import os
import resource
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

from cathrt.runtime.errors import SourceError

_MIB = 1 << 20
OTHER_DESCRIPTORS = 32  # beside the inputs: standard streams, pipes, the ring, and some to spare

# One input file, still unread and unbuffered; why it cannot be read; None for one that is missing from its sequence.
Content = io.FileIO | SourceError | None


def open_contents(paths: Sequence[str | None], max_file_mib: int) -> tuple[Content, ...]:
    """Open every path, in order, and read nothing. Raises SourceError where this process may not open as many."""
    needed = len(paths) + OTHER_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if needed > soft:
        if hard != resource.RLIM_INFINITY and needed > hard:
            raise SourceError(
                f"{len(paths)} files are read at once, and a process may open {hard} here: raise the limit "
                f"(ulimit -n {needed}), or read fewer stills at once"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    return tuple(None if path is None else _opened(path, max_file_mib) for path in paths)


@contextmanager
def reading(content: Content) -> Iterator[io.BufferedReader]:
    """The file from its start; it stays open afterwards. Raises SourceError where it could not be opened."""
    if isinstance(content, SourceError):
        raise content
    assert content is not None
    content.seek(0)
    file = _Unnumbered(content)
    try:
        yield file
    finally:
        file.detach()


def size_of(file: BinaryIO) -> int:
    """Bytes in the file. By seeking: a confined process may not ask for the status of a file."""
    here = file.tell()
    end = file.seek(0, os.SEEK_END)
    file.seek(here)
    return end


def content_sha256(file: BinaryIO) -> str:
    """SHA-256 of the whole file, read in pieces; leaves the file at its start."""
    digest = hashlib.sha256()
    while piece := file.read(_MIB):
        digest.update(piece)
    file.seek(0)
    return digest.hexdigest()


class _Unnumbered(io.BufferedReader):
    """Hides its descriptor: libraries that find one ask the system about it, which is refused then (libtiff)."""

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")


def _opened(path: str, max_file_mib: int) -> Content:
    """A FIFO or device is refused and never waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as exc:
        return SourceError(f"cannot be opened ({exc.strerror}): check that it exists and may be read")
    status = os.fstat(descriptor)
    size_mib = status.st_size / _MIB
    if not stat.S_ISREG(status.st_mode):
        refusal = "not a regular file: give a file or a folder of files"
    elif size_mib > max_file_mib:
        refusal = f"{size_mib:.0f} MiB, more than limits.max_file_mib = {max_file_mib}: raise it if so meant"
    elif status.st_size == 0:
        refusal = "an empty file: fetch it again from where it came from"
    else:
        return io.FileIO(descriptor)
    os.close(descriptor)
    return SourceError(refusal)
