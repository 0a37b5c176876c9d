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
    """One call, in the order of the log. path: the file it changes or syncs; the new name of a rename.

    content: how the bytes of a write begin.
    """

    pid: int
    name: str
    path: str
    content: str = ""


def calls_in(log: Path) -> list[Call]:
    """The calls noted there."""
    lines = log.read_text(errors="surrogateescape").splitlines()
    return [Call(int(pid), *rest) for pid, *rest in (line.split("\t") for line in lines)]


def unsynced_when_shown(calls: list[Call], journal: Path, shown: tuple[Path, ...], log_found: bool) -> Iterator[str]:
    """Each place where something was shown while the journal's file, its log or its folder was not synced.

    To note a row in the head file is to show it, to readers. calls: of one process, from its start. log_found: `-wal`
    was there when it started.
    """
    folder, log = str(journal.parent), f"{journal}-wal"
    wanted = {folder, str(journal)} | ({log} if log_found else set())
    synced: set[str] = set()
    for number, call in enumerate(calls):
        if call.path in map(str, shown) or noted_seq(call, journal) > 0:
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


def noted_seq(call: Call, journal: Path) -> int:
    """The row that this call notes as the journal's last; 0 if it is no such call."""
    return int(call.content[:20]) if (call.name, call.path) == ("write", f"{journal}-head") else 0


def read_ahead(calls: list[Call], journal: Path, taken: Path, seq_of: dict[str, int]) -> Iterator[str]:
    """Each row that a reader took before the journal's writer had noted it as durable.

    calls: of all processes, in one log. taken: where the reader writes JSON lines. seq_of: the rows by record id.
    """
    durable = 0
    for number, call in enumerate(calls):
        durable = max(durable, noted_seq(call, journal))
        if (call.name, call.path) == ("write", str(taken)):
            seq = next(seq for id_, seq in seq_of.items() if id_ in call.content)
            if seq > durable:
                yield f"call {number}: row {seq} was read, and rows up to {durable} were noted as durable"
