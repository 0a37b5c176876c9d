"""The state folder of `cathrt run`: where its journals, its store and what it counts are, and who may run on it.

Counts, heartbeats, reports and pictures for the page are in shared memory (STATE/memory leads there): a live process
that writes to a file on a disk waits for that disk. Not for: what is in those files.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cathrt.runtime.errors import CathrtError, SinkError
from cathrt.runtime.outside.plain_text import json_line

GIVEN = "given"  # a report: the configuration file and the bundles that `cathrt run` was started with
SHARED_MEMORY = Path("/dev/shm")
# Counts of each source, heartbeats and reports, a page each; stage times of each source, five pages. Beside it are only
# the pictures for the page (require_room): decoders use pipes.
SHARED_MEMORY_MIB = 4
_MIB = 1 << 20


class StateFolder:
    """The paths in one state folder. Making one touches nothing on the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.live_journal = path / "live.journal"
        self.study_journal = path / "study.journal"
        self.gateway_journal = path / "gateway.journal"
        self.store = path / "store"  # of the DICOM listener: received objects
        self.outbox = path / "outbox.db"  # of the outlets: how far each has delivered, and dead letters
        self.intake = path / "study-intake.db"  # of the study process: where it goes on
        self.features = path / "study-features.db"  # of the study process: what runs were encoded to
        self.backup_lock = path / "backup.lock"  # held while a backup is made, and while objects are removed
        self.restoring = path / "restoring"  # there while a backup is being put back; left by one that was cut short
        self.memory = path / "memory"
        self.audit = path / "audit.xml"  # of the gateway: who sent and received what
        self.swap_request = path / "swap-request.json"  # of bundles (swap_files.py)
        self.swap_answer = path / "swap-answer.json"
        self.swapped = path / "swapped.json"

    @property
    def journals(self) -> dict[str, Path]:
        """The journals, by the process that writes each."""
        return {"live": self.live_journal, "study": self.study_journal, "gateway": self.gateway_journal}

    def counts(self, source: str) -> Path:
        """The counts of one live source (counts_file.py). source: its name, which need not be fit for a file's."""
        return self.memory / f"counts-{hashlib.sha256(source.encode()).hexdigest()[:16]}"

    def times(self, source: str, process: str = "live") -> Path:
        """The stage times of one source in one process (times_file.py)."""
        return self.memory / f"times-{process}-{hashlib.sha256(source.encode()).hexdigest()[:16]}"

    def pictures(self, source: str) -> Path:
        """The newest pictures of one live source, for the page (pictures/)."""
        return self.memory / f"pictures-{hashlib.sha256(source.encode()).hexdigest()[:16]}"

    def heartbeat(self, process: str) -> Path:
        """When a process last said that it works (heartbeat.py)."""
        return self.memory / f"heartbeat-{process}"

    def report(self, of: str) -> Path:
        """What a process says of itself, or the supervisor of all: one JSON object."""
        return self.memory / f"{of}.json"

    def make(self, shared_memory: Path = SHARED_MEMORY) -> None:
        """Make the folders that are not there. Raises SinkError: one cannot be made, or is not this user's.

        The folder in shared memory outlives a kill, not a restart of the machine, nor `dismiss_memory`.
        """
        if self.restoring.exists():
            raise SinkError(
                f"{self.path}: a restore into it was cut short: empty the folder, and run `cathrt restore` again"
            )
        with _refused(self.path):
            for folder in (self.path, self.store):
                folder.mkdir(parents=True, exist_ok=True)
            if not self._has_memory():
                self._make_memory(shared_memory)

    def require_room(self, reserve_mib: int, pictures_mib: int = 0) -> None:
        """Raises SinkError naming the place that has too little room; to be called after make().

        pictures_mib: of shared memory for the pictures of all live sources.
        """
        with _refused(self.path):
            disk, memory = disk_free_mib(self.path), disk_free_mib(self.memory)
        if disk < reserve_mib:
            raise SinkError(
                f"{self.path}: {disk} MiB free on its disk, expected at least {reserve_mib} MiB "
                "(supervisor.reserve_mib) for journals and received runs: free space, or choose another folder"
            )
        if memory < SHARED_MEMORY_MIB + pictures_mib:
            what, less = "counts and heartbeats", ""
            if pictures_mib:
                what += f" ({SHARED_MEMORY_MIB}) and pictures for the page ({pictures_mib})"
                less = ", or lower page.picture_mib"
            raise SinkError(
                f"{self.memory.resolve().parent}: {memory} MiB free, expected at least "
                f"{SHARED_MEMORY_MIB + pictures_mib} MiB of shared memory for {what}: give the container more "
                f"(--shm-size), or clear it{less}"
            )

    @contextmanager
    def supervised(self) -> Iterator[None]:
        """Hold the folder for one supervisor, made if it is not there. Raises CathrtError where another has it."""
        with _refused(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            lock = open(self.path / "supervisor.lock", "a+b")  # noqa: SIM115 - closed below
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                raise CathrtError(
                    f"{self.path}: another `cathrt run` has this state folder: stop it, or choose another folder"
                ) from exc
            yield

    def dismiss_memory(self) -> None:
        """Give the shared memory back, when all processes have ended well and nothing is in hand."""
        with _refused(self.path):
            target = self.memory.resolve()
            self.memory.unlink(missing_ok=True)
            shutil.rmtree(target, ignore_errors=True)

    def write_report(self, of: str, document: Mapping[str, Any]) -> None:
        """Put a report in its place as a whole, so that a reader never sees half of one. Raises SinkError."""
        path = self.report(of)
        with _refused(path):
            new = path.with_name(f"{path.name}.{os.getpid()}")
            new.write_text(json_line(dict(document)) + "\n", encoding="utf-8")
            new.replace(path)

    def read_report(self, of: str) -> dict[str, Any] | None:
        """The report; None where there is none. Raises SinkError."""
        with _refused(self.report(of)):
            try:
                found: dict[str, Any] = json.loads(self.report(of).read_bytes())
            except FileNotFoundError:
                return None
            except ValueError as exc:
                raise SinkError(f"{self.report(of)}: found no JSON object ({exc}): remove it") from exc
        return found

    def _has_memory(self) -> bool:
        try:
            found = self.memory.stat()
        except FileNotFoundError:
            return False  # never made, or the machine was started anew: the link leads nowhere
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise SinkError(f"{self.memory}: expected a folder of this user: remove it")
        return True

    def _make_memory(self, shared_memory: Path) -> None:
        if not shared_memory.is_dir():
            raise SinkError(
                f"{shared_memory}: no such folder, expected shared memory for counts and heartbeats: mount a tmpfs"
            )
        made = tempfile.mkdtemp(prefix="cathrt-", dir=shared_memory)  # for this user alone, of a name nobody foresees
        link = self.path / f"memory.{os.getpid()}"
        link.unlink(missing_ok=True)
        link.symlink_to(made)
        link.replace(self.memory)


def disk_free_mib(path: Path) -> int:
    """What may still be written where `path` is. Raises OSError."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize // _MIB


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise SinkError(
            f"{exc.filename or path}: cannot be used as part of a state folder ({exc.strerror}): "
            "check the path, the disk and the permissions"
        ) from exc
