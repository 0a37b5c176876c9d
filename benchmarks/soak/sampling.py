"""What is sampled of a running box: memory, descriptors and threads of each process, and the size of what it writes.

A sample costs some milliseconds of CPU. Linux only. Not for: what becomes of samples (figures.py).
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

MIB = float(1 << 20)
_ROLLUP = re.compile(r"^(Rss|Pss|Anonymous): +(\d+) kB$", re.MULTILINE)
SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class ProcessSample:
    """One process and its children. rss_mb counts shared pages once a process, pss_mb shares them out.

    anonymous_mb: pages that belong to no file, so what the process itself has allocated.
    """

    rss_mb: float = 0.0
    pss_mb: float = 0.0
    anonymous_mb: float = 0.0
    descriptors: int = 0
    threads: int = 0
    processes: int = 0
    cpu_s: float = 0.0

    def __add__(self, other: ProcessSample) -> ProcessSample:
        return ProcessSample(**{name: value + asdict(other)[name] for name, value in asdict(self).items()})


@dataclass(frozen=True, slots=True)
class Sample:
    """at_s: since the soak began. pids: of each process, so that a restart is seen. bytes_: sizes by name."""

    at_s: float
    pids: Mapping[str, int]
    processes: Mapping[str, ProcessSample]
    bytes_: Mapping[str, int]
    disk_free_mb: float

    def document(self) -> dict[str, Any]:
        """For the file of samples."""
        processes = {name: asdict(one) for name, one in self.processes.items()}
        return {
            "type": "sample",
            "at_s": round(self.at_s, 2),
            "pids": dict(self.pids),
            "processes": processes,
            "bytes": dict(self.bytes_),
            "disk_free_mb": round(self.disk_free_mb, 1),
        }


def process_sample(pid: int, others: Collection[int] = ()) -> ProcessSample | None:
    """Of a process and all below it; None where it has gone. others: processes below it that are sampled themselves."""
    try:
        family = _family(psutil.Process(pid), {*others} - {pid})
    except psutil.NoSuchProcess:
        return None
    total = ProcessSample()
    for member in family:
        with suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            total += _one(member)
    return total


def _family(process: psutil.Process, others: set[int]) -> list[psutil.Process]:
    children = [child for child in process.children() if child.pid not in others]
    return [process, *(member for child in children for member in _family(child, others))]


def _one(process: psutil.Process) -> ProcessSample:
    memory = dict(_ROLLUP.findall(Path(f"/proc/{process.pid}/smaps_rollup").read_text()))
    times = process.cpu_times()
    return ProcessSample(
        rss_mb=int(memory.get("Rss", 0)) / 1024.0,
        pss_mb=int(memory.get("Pss", 0)) / 1024.0,
        anonymous_mb=int(memory.get("Anonymous", 0)) / 1024.0,
        descriptors=process.num_fds(),
        threads=process.num_threads(),
        processes=1,
        cpu_s=times.user + times.system,
    )


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; 0 where there is none."""
    if path.is_dir():
        return sum(_sizes_in(path))
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0


def _sizes_in(folder: Path) -> Iterator[int]:
    for where, _folders, files in os.walk(folder):
        for file in files:
            with suppress(FileNotFoundError):
                yield (Path(where) / file).lstat().st_size


def shared_memory_bytes() -> int:
    """What all of /dev/shm takes: something that nobody gives back is seen, whoever left it."""
    found = os.statvfs(SHARED_MEMORY)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def disk_free_mb(path: Path) -> float:
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize / MIB
