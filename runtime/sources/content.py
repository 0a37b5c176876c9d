"""Opening the bytes of an input inside the decoder process: regular files only, capped in size, named by their hash.

Not for: what the bytes mean.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import BinaryIO

from cathrt.runtime.errors import SourceError

_MIB = 1 << 20


def open_content(path: str, max_file_mib: int) -> BinaryIO:
    """Open a regular file of at most `max_file_mib`; a FIFO or device is refused and never waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as exc:
        raise SourceError(f"cannot be opened ({exc.strerror}): check that it exists and may be read") from exc
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise SourceError("not a regular file: give a file or a folder of files")
    if status.st_size > max_file_mib * _MIB:
        os.close(descriptor)
        raise SourceError(
            f"{status.st_size / _MIB:.0f} MiB, more than limits.max_file_mib = {max_file_mib}: raise it if so meant"
        )
    if status.st_size == 0:
        os.close(descriptor)
        raise SourceError("an empty file: fetch it again from where it came from")
    return open(descriptor, "rb")


def content_sha256(file: BinaryIO) -> str:
    """SHA-256 of the whole file, read in pieces; leaves the file at its start."""
    digest = hashlib.sha256()
    while piece := file.read(_MIB):
        digest.update(piece)
    file.seek(0)
    return digest.hexdigest()
