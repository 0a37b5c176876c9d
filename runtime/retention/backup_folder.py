"""The folder of backups: where each is, what its manifest says, and whether it is whole.

DEST/backups/000001/ holds one backup: files as the state folder has them, and manifest.json. DEST/objects and
DEST/quarantine hold the received objects of all of them, each once. Not for: making one (backup.py), putting one back
(restore.py).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.errors import CathrtError
from cathrt.runtime.journal.report import verify_journal
from cathrt.runtime.models import record_parts
from cathrt.runtime.outside.plain_text import json_line

MANIFEST = "manifest.json"
# In the order in which they are copied: decisions are about records of study.journal, so that one comes later.
JOURNALS = ("live.journal", "gateway.journal", "study.journal")
_LAYOUT = 1
_PIECE = 1 << 20


class BackupError(CathrtError):
    """A backup cannot be made, is not whole, or cannot be put back."""

    exit_code = 8


@dataclass(frozen=True, slots=True)
class BackedUpFile:
    """One file. name: below the backup, or of an object below DEST."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class BackedUpJournal:
    """A journal as it was. rows: that are in it. pruned: rows before those. head: sha256 that vouches for all."""

    name: str
    rows: int
    pruned: int
    head: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds. made_at: seconds since 1970. cathrt: the version that made it."""

    number: int
    made_at: float
    cathrt: str
    files: tuple[BackedUpFile, ...]
    objects: tuple[BackedUpFile, ...]
    journals: tuple[BackedUpJournal, ...]

    @property
    def bytes(self) -> int:
        """Of everything."""
        return sum(file.bytes for file in (*self.files, *self.objects))

    def document(self) -> dict[str, Any]:
        """As one JSON object."""
        return {"type": "backup", "layout": _LAYOUT, **asdict(self), "notice": NOTICE}


class BackupFolder:
    """DEST. Making one touches nothing on the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.backups = path / "backups"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder, made if it is not there. Raises BackupError: it is in use, or is something else's."""
        if self.path.exists() and not self.backups.is_dir() and any(self.path.iterdir()):
            raise BackupError(f"{self.path}: neither empty nor a folder of backups: choose another one")
        self.backups.mkdir(parents=True, exist_ok=True)
        with open(self.path / "lock", "ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                raise BackupError(f"{self.path}: another backup or restore is using it: wait for it") from exc
            yield

    def numbers(self) -> list[int]:
        """Of the whole backups, the oldest first."""
        return sorted(int(path.name) for path in self.backups.glob("[0-9]*") if path.name.isdigit())

    def newest(self) -> Manifest:
        """Raises BackupError where there is none."""
        numbers = self.numbers() if self.backups.is_dir() else []
        if not numbers:
            raise BackupError(f"{self.path}: no backup in it: check the path")
        return self.manifest(numbers[-1])

    def of(self, number: int) -> Path:
        """Where the files of one backup are."""
        return self.backups / f"{number:06}"

    def manifest(self, number: int) -> Manifest:
        """What a backup says that it holds. Raises BackupError."""
        path = self.of(number) / MANIFEST
        try:
            found = json.loads(path.read_bytes())
            if (found.pop("type"), found.pop("layout")) != ("backup", _LAYOUT):
                raise ValueError(f"found another layout, expected {_LAYOUT}")
            found.pop("notice")
            made = Manifest(
                **{
                    **found,
                    "files": tuple(BackedUpFile(**file) for file in found["files"]),
                    "objects": tuple(BackedUpFile(**file) for file in found["objects"]),
                    "journals": tuple(BackedUpJournal(**journal) for journal in found["journals"]),
                }
            )
        except (OSError, ValueError, TypeError, KeyError) as exc:
            raise BackupError(f"{path}: cannot be read ({exc}): use another backup") from exc
        for file in (*made.files, *made.objects):
            if Path(file.name).is_absolute() or ".." in Path(file.name).parts:
                raise BackupError(f"{path}: names {file.name!r}, which is outside the backup: do not use it")
        return made

    def verify(self, number: int) -> Manifest:
        """Read every byte of a backup, and its journals row by row. Raises BackupError, JournalError."""
        manifest = self.manifest(number)
        for root, files in ((self.of(number), manifest.files), (self.path, manifest.objects)):
            for file in files:
                found = sha256_of(root / file.name)
                if found != file.sha256:
                    raise BackupError(f"{root / file.name}: sha256 {found}, expected {file.sha256}: use another backup")
        if (found_journals := journals_in(self.of(number))) != manifest.journals:
            raise BackupError(f"{self.of(number)}: its journals are {found_journals}, expected {manifest.journals}")
        return manifest


def journals_in(folder: Path) -> tuple[BackedUpJournal, ...]:
    """The journals of a folder, read row by row. Raises JournalError: one is damaged."""
    reports = [(name, verify_journal(folder / name, record_parts())) for name in JOURNALS if (folder / name).exists()]
    return tuple(BackedUpJournal(name, report.rows, report.pruned, report.head) for name, report in reports)


def sha256_of(path: Path) -> str:
    """Of a file's bytes. Raises BackupError where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0) as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
    except OSError as exc:
        raise BackupError(f"{path}: cannot be read ({exc.strerror}): use another backup") from exc
    return digest.hexdigest()


def copied(source: Path, target: Path) -> BackedUpFile:
    """Copy a file whole or not at all, synced, by another name first. Returns what was written. Raises OSError."""
    digest, size = hashlib.sha256(), 0
    new = target.with_name(target.name + ".new")
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(source, "rb", buffering=0) as reading, open(new, "wb", buffering=0) as writing:
        os.fchmod(writing.fileno(), 0o600)
        while piece := reading.read(_PIECE):
            digest.update(piece)
            size += len(piece)
            view = memoryview(piece)
            while view:
                view = view[writing.write(view) :]
        os.fsync(writing.fileno())
    new.replace(target)
    return BackedUpFile(target.name, size, digest.hexdigest())


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Synced. Raises OSError."""
    with open(folder / MANIFEST, "wb") as file:
        file.write(json_line(manifest.document()).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
