"""Judges the order of system calls that calls.c has noted: was everything shown on the disk by then?

At the start of a process everything it finds counts as not yet synced, since another process may have left it in the
system's memory alone. Not for: running the processes (calls.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# `-shm` is rebuilt from the log; the head file may lag, so it is no part of what is shown.
_NEED_NO_SYNC = ("-shm", "-head", "-new")


@dataclass(frozen=True, slots=True)
class Call:
    """One call, in the order of the log. path: the file it changes or syncs; the new name of a rename."""

    pid: int
    name: str
    path: str


def calls_in(log: Path) -> list[Call]:
    """The calls noted there."""
    lines = log.read_text(errors="surrogateescape").splitlines()
    return [Call(int(pid), name, path) for pid, name, path in (line.split("\t") for line in lines)]


def unsynced_when_shown(calls: list[Call], journal: Path, shown: tuple[Path, ...], log_found: bool) -> Iterator[str]:
    """Each place where something was shown while the journal's file, its log or its folder was not synced.

    calls: of one process, from its start. log_found: `-wal` was there when it started.
    """
    folder, log = str(journal.parent), f"{journal}-wal"
    wanted = {folder, str(journal)} | ({log} if log_found else set())
    synced: set[str] = set()
    for number, call in enumerate(calls):
        if call.path in map(str, shown):
            if call.name == "write" and wanted - synced:
                yield f"call {number}: shown in {call.path} before {', '.join(sorted(wanted - synced))} was synced"
        elif call.name == "sync":
            synced.add(call.path)
        elif call.name in ("write", "truncate"):
            synced.discard(call.path)
            wanted |= {call.path} & {log}
        elif not call.path.endswith(_NEED_NO_SYNC):
            synced.discard(folder)
            if call.name == "unlink":
                wanted.discard(call.path)
