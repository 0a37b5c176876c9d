"""A head: a row's number and the hash over it and all rows before it; and the files that hold one.

A journal notes its last row so (`<journal>-head`) and up to where it may be pruned (`<journal>-anchor`), a reader the
last row that it has taken (journal/reader.py).
Not for: checking rows against it (journal/check.py).
"""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from cathrt.runtime.errors import JournalError
from cathrt.runtime.journal.errors import translated
from cathrt.runtime.journal.lock import Lock, lock_exclusively
from cathrt.runtime.outside.disk import sync_folder


@dataclass(frozen=True, slots=True)
class Head:
    """The last row: its seq (0: none yet) and its chain, which vouches for every row up to it."""

    seq: int = 0
    chain: bytes = bytes(32)

    def next(self, kind: bytes, id_: bytes, body: bytes) -> Head:
        """The head once a row of this content is appended."""
        return Head(self.seq + 1, link(self.chain, kind, id_, body))


def link(chain: bytes, kind: bytes, id_: bytes, body: bytes) -> bytes:
    """sha256(previous chain | kind | id | body); the body repeats kind and id, so the joints cannot be moved."""
    return hashlib.sha256(b"%b%b\n%b\n%b" % (chain, kind, id_, body)).digest()


class HeadFile:
    """A head noted in a file of its own, locked by the one process that writes it. Closed on exec: no child keeps it.

    noted: what it said when it was opened; None if nothing.
    """

    def __init__(self, path: Path, *, lock: Lock) -> None:
        """Open or make the file and take its lock. Raises JournalError if another object, here or elsewhere, has it."""
        self._path = path
        with translated(path):
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            lock_exclusively(self._fd, lock)
            with translated(path):
                self.noted = _head_from_note(path, os.pread(self._fd, len(_FIRST_NOTE) + 1, 0))
                if self.noted is None:
                    self.write(Head())
        except BaseException:
            os.close(self._fd)
            raise

    def write(self, head: Head) -> None:
        """Note `head`. One small write inside one sector, not synced. Raises OSError.

        The first note is that of no row: if a full disk or a kill cuts it, what is left still reads as no note.
        """
        written = os.pwrite(self._fd, _note(head), 0)
        if written != len(_FIRST_NOTE):
            raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: {self._path.name} was not written whole")

    def sync(self) -> None:
        """Give the note its place on the disk; later ones overwrite it there."""
        os.fsync(self._fd)

    def close(self) -> None:
        """Give the lock back."""
        os.close(self._fd)


def head_path(journal: Path) -> Path:
    """Where the head of `journal` is noted."""
    return journal.with_name(journal.name + "-head")


def head_file(journal: Path) -> HeadFile:
    """`<journal>-head`: a witness to rows that the journal may later lack, and how far its readers may read.

    It is written after each commit and before anything is shown, without a sync of its own: after kill -9 it may lag
    by one group, after a power cut by more, and it never runs ahead of the disk.
    """
    return HeadFile(head_path(journal), lock=Lock("writer", journal))


def noted_head(journal: Path) -> Head | None:
    """What the head file says, or None if nothing. Raises JournalError if it says nothing readable."""
    return _noted(journal, head_path(journal))


def anchor_path(journal: Path) -> Path:
    """Where it is noted up to which row `journal` may be pruned."""
    return journal.with_name(journal.name + "-anchor")


def note_anchor(journal: Path, anchor: Head) -> None:
    """Note, durably, that rows up to `anchor` may be pruned. To be called before the first of them is.

    So a journal whose front was cut off by somebody else lacks rows that the note does not allow for. Raises
    JournalError: it cannot be written, or another process prunes.
    """
    path = anchor_path(journal)
    noting = HeadFile(path, lock=Lock("writer", journal))
    try:
        with translated(path):
            if noting.noted is None or noting.noted.seq < anchor.seq:
                noting.write(anchor)
            noting.sync()
            sync_folder(path.parent)
    finally:
        noting.close()


def noted_anchor(journal: Path) -> Head | None:
    """Up to where rows may be pruned, or None if nothing is noted. Raises JournalError if it says nothing readable."""
    return _noted(journal, anchor_path(journal))


def _noted(journal: Path, path: Path) -> Head | None:
    with translated(journal):
        try:
            noted, again = path.read_bytes(), path.read_bytes()
            while noted != again:  # read while it was written: one more time
                noted, again = again, path.read_bytes()
        except FileNotFoundError:
            return None
    return _head_from_note(path, noted)


def _note(head: Head) -> bytes:
    return b"%020d %b\n" % (head.seq, head.chain.hex().encode())


_FIRST_NOTE = _note(Head())


def _head_from_note(path: Path, noted: bytes) -> Head | None:
    if len(noted) < len(_FIRST_NOTE) and _FIRST_NOTE.startswith(noted):
        return None
    seq, _, chain = noted.rstrip(b"\n").partition(b" ")
    if len(noted) != len(_FIRST_NOTE) or not seq.isdigit() or len(chain) != 64 or chain.strip(b"0123456789abcdef"):
        raise JournalError(
            f"{path}: found {noted[:100]!r}, expected a row number and a sha256: "
            "keep it with the journal for examination and start a new one"
        )
    return Head(int(seq), bytes.fromhex(chain.decode()))
