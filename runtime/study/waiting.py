"""A run that waits to be judged: a received object, or a complete file of a watched folder.

Not for: which one is next (run_queue.py).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cathrt.runtime.listener.object_store import Received
from cathrt.runtime.sources.discover import Input


@dataclass(frozen=True, slots=True)
class Stamp:
    """A file as it was at one moment. Another stamp is another file, to be judged anew."""

    size: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class WaitingRun:
    """One run to judge. key: which one it is in the intake book.

    received: the object; None for a file. stamp: the file as it was when it was found complete; None for an object.
    """

    key: bytes
    input: Input
    received: Received | None = None
    stamp: Stamp | None = None

    @property
    def name(self) -> str:
        """What records call it: the SOP Instance UID of an object, the number and hash of a watched file."""
        return self.input.name

    def is_as_found(self) -> bool:
        """Whether a file is still there and has not changed. An object of the store never changes."""
        (path,) = self.input.paths
        return self.stamp is None or (path is not None and stamp_of(path) == self.stamp)


def run_from_received(received: Received, path: Path) -> WaitingRun:
    """The run of a received object, whose file is at `path`."""
    input_ = Input("dicom", received.arrival.sop_instance_uid, (path,))
    return WaitingRun(b"received %d" % received.seq, input_, received=received)


def key_of_file(path: Path) -> bytes:
    """What the intake book calls a file. Names need be no UTF-8."""
    return b"file " + os.fsencode(path)


def path_of_key(key: bytes) -> Path:
    """The file that the intake book calls so."""
    return Path(os.fsdecode(key.removeprefix(b"file ")))


def stamp_of(path: Path) -> Stamp | None:
    """The file as it is now; None where it is gone or its folder is."""
    try:
        found = os.stat(path, follow_symlinks=False)
    except OSError:
        return None
    return Stamp(found.st_size, found.st_mtime_ns, found.st_ino)
