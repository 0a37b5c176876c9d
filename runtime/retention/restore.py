"""Puts a backup back into an empty folder: verified first, and not to be used before it is whole.

Not for: making one (backup.py).
"""

from __future__ import annotations

import os
from pathlib import Path

from cathrt.runtime.failpoints import failpoint
from cathrt.runtime.outside.disk import sync_folder
from cathrt.runtime.retention.backup_folder import BackedUpFile, BackupError, BackupFolder, Manifest, copied


def restore(folder: BackupFolder, state: Path, restoring: Path) -> Manifest:
    """Put the newest backup into `state`, a folder that is empty or not there. Returns what was put back.

    restoring: a file that is there until all is; `cathrt run` refuses a folder with it. Raises BackupError,
    JournalError: the backup is not whole; nothing was written then.
    """
    if state.exists() and (not state.is_dir() or any(state.iterdir())):
        raise BackupError(f"{state}: not an empty folder: move away what is there, then restore again")
    try:
        with folder.alone():
            manifest = folder.verify(folder.newest().number)
            state.mkdir(parents=True, exist_ok=True)
            restoring.touch()
            sync_folder(state)
            failpoint("restore.begun")
            for file in manifest.files:
                _put(folder.of(manifest.number) / file.name, state / file.name, file)
            failpoint("restore.files")
            for file in manifest.objects:
                _put(folder.path / file.name, state / "store" / file.name, file)
            for path, _, _ in os.walk(state):
                sync_folder(Path(path))
            failpoint("restore.objects")
            restoring.unlink()
            sync_folder(state)
    except OSError as exc:
        raise BackupError(
            f"{exc.filename or state}: {exc.strerror or exc}: make room, or choose another place"
        ) from exc
    return manifest


def _put(source: Path, target: Path, file: BackedUpFile) -> None:
    if (written := copied(source, target).sha256) != file.sha256:
        raise BackupError(f"{target}: sha256 {written}, expected {file.sha256}: the disk gives other bytes than before")
