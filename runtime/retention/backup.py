"""Makes a backup of a state folder while everything runs: whole under its number, or not there at all.

What points somewhere is copied before what it points to: places of outlets and of the study process, then the
journals, then the store's index, then the objects. So after a restore no place is ahead of its journal, and what is
done twice is what its owner knows how to do twice. Not for: putting it back (restore.py).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from cathrt.runtime.failpoints import failpoint
from cathrt.runtime.listener.index import NAME as INDEX
from cathrt.runtime.listener.object_store import State, object_path
from cathrt.runtime.outside.disk import sync_folder
from cathrt.runtime.retention.backup_folder import (
    JOURNALS,
    BackedUpFile,
    BackupError,
    BackupFolder,
    Manifest,
    copied,
    journals_in,
    sha256_of,
    write_manifest,
)
from cathrt.runtime.retention.database_copy import copy_database, copy_journal

_PART = ".part"


@dataclass(frozen=True, slots=True)
class Given:
    """What `cathrt run` was started with, beside the state folder: files and folders of the lab's own.

    config: the TOML file. effective: the configuration in effect, as JSON. bundles: folders.
    """

    config: Path | None = None
    effective: bytes | None = None
    bundles: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Backup:
    """One that is to be made. keep: so many backups, the newest ones, are kept; 0: all."""

    state: Path
    given: Given
    lock: Path
    keep: int = 0
    wall: Callable[[], float] = time.time

    def make(self, folder: BackupFolder) -> Manifest:
        """Make it, check it, then let it count. Raises BackupError, JournalError."""
        if not self.state.is_dir():
            raise BackupError(f"{self.state}: no such folder, expected the state folder of `cathrt run`")
        try:
            with folder.alone(), _objects_stay(self.lock):
                return self._make(folder)
        except OSError as exc:
            raise BackupError(
                f"{exc.filename or folder.path}: {exc.strerror or exc}: make room, or choose another place"
            ) from exc

    def _make(self, folder: BackupFolder) -> Manifest:
        for left in folder.backups.glob(f"*{_PART}"):
            shutil.rmtree(left)
        numbers = folder.numbers()
        number = numbers[-1] + 1 if numbers else 1
        part = folder.backups / f"{number:06}{_PART}"
        part.mkdir()
        self._copy_databases(part)
        failpoint("backup.databases")
        known = {} if not numbers else {file.name: file for file in folder.manifest(numbers[-1]).objects}
        objects = self._copy_objects(part, folder.path, known)
        failpoint("backup.objects")
        self._copy_given(part)
        journals = journals_in(part)
        _require_order(part)
        files = tuple(
            BackedUpFile(str(path.relative_to(part)), path.stat().st_size, sha256_of(path))
            for path in sorted(part.rglob("*"))
            if path.is_file()
        )
        manifest = Manifest(number, self.wall(), version("cathrt"), files, objects, journals)
        write_manifest(part, manifest)
        for made in (*(path for path in part.rglob("*") if path.is_dir()), part):
            sync_folder(made)
        failpoint("backup.written")
        part.rename(folder.of(number))
        sync_folder(folder.backups)
        failpoint("backup.counts")
        if self.keep:
            _forget_old(folder, self.keep)
        return manifest

    def _copy_databases(self, part: Path) -> None:
        for name in ("outbox.db", "study-intake.db"):
            if (self.state / name).exists():
                copy_database(self.state / name, part / name)
        for name in JOURNALS:
            if (self.state / name).exists():
                copy_journal(self.state / name, part / name)
        if (self.state / "store" / INDEX).exists():
            (part / "store").mkdir()
            copy_database(self.state / "store" / INDEX, part / "store" / INDEX)

    def _copy_objects(self, part: Path, into: Path, known: dict[str, BackedUpFile]) -> tuple[BackedUpFile, ...]:
        """The objects that the index names. One that an earlier backup has is not copied again."""
        objects = []
        for state, digest, size in _named_objects(part / "store" / INDEX):
            name = str(object_path(Path(), state, digest))
            source, target = self.state / "store" / name, into / name
            if known.get(name) is not None and target.exists() and target.stat().st_size == known[name].bytes:
                objects.append(known[name])
                continue
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                with suppress(OSError):  # another disk, or one without hard links
                    os.link(source, target)
                    sync_folder(target.parent)
            made = None
            if not target.exists():
                made = copied(source, target)
                sync_folder(target.parent)
            if target.stat().st_size != size:
                raise BackupError(
                    f"{source}: {target.stat().st_size} bytes, expected {size} as the index says: check the disk"
                )
            objects.append(BackedUpFile(name, size, made.sha256 if made else sha256_of(target)))
        return tuple(objects)

    def _copy_given(self, part: Path) -> None:
        for path in sorted(self.state.glob("*.json")):
            copied(path, part / path.name)
        beside = part / "given"
        beside.mkdir()
        if self.given.config is not None:
            copied(self.given.config, beside / "configuration.toml")
        if self.given.effective is not None:
            (beside / "configuration.json").write_bytes(self.given.effective)
        for number, bundle in enumerate(self.given.bundles, 1):
            for path in sorted(bundle.rglob("*")):
                if path.is_file():
                    copied(path, beside / "bundles" / f"{number} {bundle.name}" / path.relative_to(bundle))


def _named_objects(index: Path) -> Iterator[tuple[State, str, int]]:
    if not index.exists():
        return
    with closing(sqlite3.connect(index)) as database:
        for state, digest, size in database.execute("SELECT state, content_sha256, size FROM objects ORDER BY seq"):
            yield State(state), digest, size


def _require_order(part: Path) -> None:
    """No place may be ahead of what it points to. Raises BackupError: a bug of ours, or a state folder of parts."""
    heads = {f"{journal.name}": journal.pruned + journal.rows for journal in journals_in(part)}
    places: Sequence[tuple[str, int]] = []
    if (part / "outbox.db").exists():
        with closing(sqlite3.connect(part / "outbox.db")) as outbox:
            places = outbox.execute("SELECT journal, max(seq) FROM place GROUP BY journal").fetchall()
    for journal, seq in places:
        if seq > (head := heads.get(f"{journal}.journal", 0)):
            raise BackupError(
                f"outbox.db: an outlet has delivered row {seq} of the {journal} journal, which ends at {head}: "
                "they do not belong together"
            )
    if (part / "study-intake.db").exists() and (part / "store" / INDEX).exists():
        with closing(sqlite3.connect(part / "study-intake.db")) as intake:
            (judged,) = intake.execute("SELECT seq FROM place").fetchone()
        with closing(sqlite3.connect(part / "store" / INDEX)) as index:
            (last,) = index.execute(
                "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'objects'"
            ).fetchone()
        if judged > last:
            raise BackupError(
                f"study-intake.db: object {judged} was judged, the store ends at {last}: they do not belong together"
            )


def _forget_old(folder: BackupFolder, keep: int) -> None:
    """Remove all but the newest backups, then the objects that none of those has."""
    numbers = folder.numbers()
    for number in numbers[:-keep]:
        gone = folder.of(number).with_suffix(_PART)
        folder.of(number).rename(gone)
        shutil.rmtree(gone)
    named = {file.name for number in numbers[-keep:] for file in folder.manifest(number).objects}
    for state in State:
        for path in object_path(folder.path, state, "00").parent.parent.glob("*/*"):
            if str(path.relative_to(folder.path)) not in named:
                path.unlink()


@contextmanager
def _objects_stay(lock: Path) -> Iterator[None]:
    """Until the end of the block no object is removed from the store."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
