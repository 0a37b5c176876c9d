"""Stage times of one source as histograms in a mapped file: they outlive the process at whatever instruction it ends.

As the counts (counts_file.py): two sets of values, and the number of the last change, which says which set is whole.
One process writes, any number read. The file belongs on a file system in memory. Each set also holds the journal's row
up to which it counts, so that a process which takes over counts what was durable and not counted yet.
Not for: what a bucket is (metrics/histogram.py).
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from cathrt.runtime.alert import StageTimes
from cathrt.runtime.errors import JournalError
from cathrt.runtime.journal.lock import Lock, lock_exclusively
from cathrt.runtime.metrics.histogram import BUCKETS, Histogram, bucket_of
from cathrt.runtime.outside.plain_text import shown

STAGES = tuple(stage.name for stage in fields(StageTimes))
# Words of eight bytes: layout, change, length of the name; then the name; then the two sets. A set: row of the journal,
# then of each stage: sum in ns, how many count as zero, and the buckets.
_LAYOUT, _CHANGE, _NAME_BYTES, _NAME = range(4)
_SETS = 32
_MOST_NAME_BYTES = 8 * (_SETS - _NAME)
_ROW = 0
_SUM_NS, _ZEROS, _BUCKETS = range(3)
_STAGE = _BUCKETS + BUCKETS
_SET = 1 + len(STAGES) * _STAGE
_WORDS = _SETS + 2 * _SET
_SIZE = 8 * _WORDS
_LAYOUT_1 = int.from_bytes(b"times001", sys.byteorder)
_MOST_LOOKS = 1000


@dataclass(frozen=True, slots=True)
class TimesRead:
    """The times of a source as they were at one moment, by stage. through_seq: journal's row up to which they count."""

    source: str
    through_seq: int
    stages: Mapping[str, Histogram]


class TimesFile:
    """The writing side. For one thread."""

    def __init__(self, path: Path, source: str, since_seq: int = 0) -> None:
        """Open or make the file. since_seq: of a file that is made now, the journal's last row.

        Raises JournalError: another process writes it, it belongs to another source, it cannot be written.
        """
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise _refused(path, exc) from exc
        try:
            lock_exclusively(self._descriptor, Lock("writer", path))
            self._map = _mapped(path, self._descriptor)
            self._words = memoryview(self._map).cast("q")
            if self._words[_LAYOUT] == 0:
                self._begin(source, since_seq)
            found = _parsed(path, bytes(self._map)).source
            if found != source:
                raise JournalError(f"{path}: the times of {shown(found)}, expected those of {shown(source)}: remove it")
        except BaseException:
            os.close(self._descriptor)
            raise
        self._behind: range | list[int] = range(_SET)  # places in which the set that is not whole may be behind

    @property
    def through_seq(self) -> int:
        """Row of the journal up to which verdicts are counted here."""
        return self._set(self._words[_CHANGE])[_ROW]

    def count(self, seq: int, times: StageTimes) -> None:
        """Count the times of the verdict in row `seq`; once, however often it comes. Waits for nothing."""
        number = self._words[_CHANGE]
        whole, beside = self._set(number), self._set(number + 1)
        if seq <= whole[_ROW]:
            return
        for place in self._behind:
            beside[place] = whole[place]
        changed = [_ROW]
        beside[_ROW] = seq
        for stage, name in enumerate(STAGES):
            seconds, start = getattr(times, name) / 1e3, 1 + stage * _STAGE
            bucket = bucket_of(seconds)
            place = start + (_ZEROS if bucket is None else _BUCKETS + bucket)
            beside[start + _SUM_NS] += round(1e9 * max(seconds, 0.0))
            beside[place] += 1
            changed += start + _SUM_NS, place
        self._words[_CHANGE] = number + 1
        self._behind = changed

    def close(self) -> None:
        """Let go of the file, which stays."""
        self._words.release()
        self._map.close()
        os.close(self._descriptor)

    def _set(self, number: int) -> memoryview[int]:
        start = _SETS + (number % 2) * _SET
        return self._words[start : start + _SET]

    def _begin(self, source: str, since_seq: int) -> None:
        name = source.encode()
        assert len(name) <= _MOST_NAME_BYTES
        self._map[8 * _NAME : 8 * _NAME + len(name)] = name
        self._words[_NAME_BYTES] = len(name)
        self._set(self._words[_CHANGE])[_ROW] = since_seq
        self._words[_LAYOUT] = _LAYOUT_1  # last: a file without it is begun anew


def read_times(path: Path) -> TimesRead | None:
    """The times at this moment; None where no process has begun them. Raises JournalError: they cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            page = file.read(_SIZE)
            for _ in range(_MOST_LOOKS):
                # A set is written two changes after it was whole: while the number stays, what was read was whole.
                again = os.pread(file.fileno(), 8, 8 * _CHANGE)
                if page[8 * _CHANGE : 8 * (_CHANGE + 1)] == again:
                    return _parsed(path, page) if any(page[:8]) else None
                page = os.pread(file.fileno(), _SIZE, 0)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise _refused(path, exc) from exc
    raise JournalError(f"{path}: it changed at each of {_MOST_LOOKS} looks: report this bug")


def _mapped(path: Path, descriptor: int) -> mmap.mmap:
    try:
        os.posix_fallocate(descriptor, 0, _SIZE)  # or a full memory would end the process by SIGBUS later
        return mmap.mmap(descriptor, _SIZE)
    except OSError as exc:
        raise _refused(path, exc) from exc


def _parsed(path: Path, page: bytes) -> TimesRead:
    words = struct.unpack(f"={_WORDS}q", page) if len(page) == _SIZE else (0,)
    if words[_LAYOUT] != _LAYOUT_1:
        raise JournalError(f"{path}: found {page[:8]!r}, expected times of this version of cathrt: remove the file")
    start = _SETS + (words[_CHANGE] % 2) * _SET
    values = words[start : start + _SET]
    name = page[8 * _NAME : 8 * _NAME + words[_NAME_BYTES]].decode(errors="replace")
    stages = {}
    for stage, stage_name in enumerate(STAGES):
        of_stage = values[1 + stage * _STAGE : 1 + (stage + 1) * _STAGE]
        stages[stage_name] = Histogram(of_stage[_SUM_NS] / 1e9, of_stage[_ZEROS], of_stage[_BUCKETS:])
    return TimesRead(name, values[_ROW], stages)


def _refused(path: Path, exc: OSError) -> JournalError:
    return JournalError(f"{path}: {exc.strerror or exc}: check the path, the memory and the permissions")
