"""The counts of one live source in a mapped file: they outlive the process at whatever instruction it is killed.

The file holds two sets of values and the number of the last change, which says which set is whole: a change is written
beside the whole set, and then made whole by one write of eight bytes. One process writes, any number read. It belongs
on a file system in memory, where no write waits for a disk (state_folder.py).
Not for: what is counted (counts.py).
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cathrt.runtime.counts import (
    COUNTS,
    FRAME_ENDS,
    MOMENTS,
    VERDICT_COUNTS,
    Count,
    Moment,
    unjudged,
    waiting,
)
from cathrt.runtime.errors import JournalError
from cathrt.runtime.journal.lock import Lock, lock_exclusively
from cathrt.runtime.outside.plain_text import shown

_T = TypeVar("_T")

_NAMES: tuple[Count | Moment, ...] = (*COUNTS, *MOMENTS)
_PLACE = {name: place for place, name in enumerate(_NAMES)}
# Behind these in a set: since_seq, and the verdicts up to that row, by outcome: the journal may not have them any more.
_SINCE_SEQ = len(_NAMES)
_BEFORE = {count: _SINCE_SEQ + 1 + place for place, count in enumerate(VERDICT_COUNTS)}
_SET = _SINCE_SEQ + 1 + len(_BEFORE)
# Words of eight bytes: layout, change, one that is not used, length of the name; then the name; then the two sets.
_LAYOUT, _CHANGE, _UNUSED, _NAME_BYTES, _NAME = range(5)
_SETS = 128
_SIZE = 4096
_LAYOUT_2 = int.from_bytes(b"counts02", sys.byteorder)
_MOST_NAME_BYTES = 8 * (_SETS - _NAME)
_MOST_LOOKS = 1000


@dataclass(frozen=True, slots=True)
class CountsRead:
    """The counts of a source as they were at one moment.

    since_seq: row of the live journal after which its verdicts are counted here.
    """

    source: str
    since_seq: int
    values: Mapping[Count | Moment, int]

    @property
    def waiting(self) -> int:
        """Pictures of which it is not decided yet whether they belong to a run. Never less than 0."""
        return waiting(self.values.__getitem__)

    @property
    def unjudged(self) -> int:
        """Frames that have no end yet. Never less than 0."""
        return unjudged(self.values.__getitem__)

    def figures(self) -> dict[str, int]:
        """Each count by its name, without the moments."""
        return {count: self.values[count] for count in COUNTS}

    def in_words(self) -> str:
        """For a person: what is not 0, and what is in hand."""
        counted = ", ".join(f"{name} {value}" for name, value in self.figures().items() if value)
        return f"{counted or 'nothing counted'}, in hand {self.waiting + self.unjudged}"


class CountsFile:
    """The writing side; fits counts.Counts. settle() comes before the first count."""

    def __init__(self, path: Path, source: str, since_seq: int = 0) -> None:
        """Open or make the file. since_seq: of a file that is made now, the live journal's last row.

        Raises JournalError: another process writes it, it belongs to another source, it cannot be written.
        """
        self._path, self._source = path, source
        self._lock = threading.Lock()
        self._settled = False
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise _refused(path, exc) from exc
        try:
            lock_exclusively(self._descriptor, Lock("writer", path))
            self._map = self._mapped()
            self._words = memoryview(self._map).cast("q")
            if self._words[_LAYOUT] == 0:
                self._begin(since_seq)
            found = _parsed(path, bytes(self._map)).source
            if found != source:
                raise JournalError(
                    f"{path}: the counts of {shown(found)}, expected those of {shown(source)}: remove it"
                )
        except BaseException:
            os.close(self._descriptor)
            raise

    @property
    def since_seq(self) -> int:
        """Row of the live journal after which settle() wants the verdicts counted."""
        with self._lock:
            return self._set(self._words[_CHANGE])[_SINCE_SEQ]

    def settle(self, durable: Mapping[Count, int]) -> int:
        """Close the books of the processes before this one: each frame of theirs without a durable verdict is lost.

        durable: this source's verdicts in the journal after since_seq, by outcome. The counts may lag behind those: a
        process may be killed after a commit. A picture in hand at the kill counts as a frame that is lost.
        Returns how many are newly lost. Raises JournalError: there are more verdicts than pictures.
        """

        def change(values: memoryview[int]) -> int:
            for count in VERDICT_COUNTS:
                values[_PLACE[count]] = values[_BEFORE[count]] + durable.get(count, 0)
            frames = values[_PLACE["received"]] - values[_PLACE["held"]]
            before = values[_PLACE["lost"]]
            values[_PLACE["frames"]], values[_PLACE["lost"]] = frames, 0
            lost = frames - sum(values[_PLACE[end]] for end in FRAME_ENDS)
            if lost < 0:
                raise JournalError(
                    f"{self._path}: {frames} frames of {shown(self._source)} were counted, and {-lost} more have ended "
                    "in the journal after the row from which it counts: remove the file, so that a new count begins"
                )
            values[_PLACE["lost"]] = lost
            return lost - before

        newly = self._changed(change)
        self._settled = True
        return newly

    def count_from(self, seq: int, before: Mapping[Count, int]) -> None:
        """From now on settle() wants the verdicts after row `seq`: those up to it are about to leave the journal.

        before: this source's verdicts between since_seq and that row, by outcome. No run goes on behind that row.
        """

        def change(values: memoryview[int]) -> None:
            if seq > values[_SINCE_SEQ]:
                values[_SINCE_SEQ] = seq
                for count in VERDICT_COUNTS:
                    values[_BEFORE[count]] += before.get(count, 0)

        self._changed(change)

    def all_counted(self, seq: int) -> None:
        """Every verdict up to that row is counted: settle() need not read the journal from further back than that."""

        def change(values: memoryview[int]) -> None:
            if seq > values[_SINCE_SEQ]:
                values[_SINCE_SEQ] = seq
                for count in VERDICT_COUNTS:
                    values[_BEFORE[count]] = values[_PLACE[count]]

        self._changed(change)

    def add(self, count: Count, by: int = 1) -> None:
        """Count some more. From any thread; waits for nothing."""
        assert self._settled, "settle() comes first"

        def change(values: memoryview[int]) -> None:
            values[_PLACE[count]] += by

        self._changed(change)

    def note(self, moment: Moment, at_ns: int) -> None:
        """Note the newest moment of its kind."""

        def change(values: memoryview[int]) -> None:
            values[_PLACE[moment]] = at_ns

        self._changed(change)

    def value(self, name: Count | Moment) -> int:
        """One count or moment now."""
        with self._lock:
            return self._set(self._words[_CHANGE])[_PLACE[name]]

    def close(self) -> None:
        """Let go of the file, which stays."""
        with self._lock:
            self._words.release()
            self._map.close()
            os.close(self._descriptor)

    def _changed(self, change: Callable[[memoryview[int]], _T]) -> _T:
        """Apply a change to the set that is not whole, then make it the whole one."""
        with self._lock:
            number = self._words[_CHANGE]
            beside = self._set(number + 1)
            beside[:] = self._set(number)
            result = change(beside)
            self._words[_CHANGE] = number + 1
            return result

    def _set(self, number: int) -> memoryview[int]:
        start = _SETS + (number % 2) * _SET
        return self._words[start : start + _SET]

    def _mapped(self) -> mmap.mmap:
        try:
            os.posix_fallocate(self._descriptor, 0, _SIZE)  # or a full memory would end the process by SIGBUS later
            return mmap.mmap(self._descriptor, _SIZE)
        except OSError as exc:
            raise _refused(self._path, exc) from exc

    def _begin(self, since_seq: int) -> None:
        name = self._source.encode()
        assert len(name) <= _MOST_NAME_BYTES
        self._map[8 * _NAME : 8 * _NAME + len(name)] = name
        self._words[_NAME_BYTES] = len(name)
        self._set(self._words[_CHANGE])[_SINCE_SEQ] = since_seq
        self._words[_LAYOUT] = _LAYOUT_2  # last: a file without it is begun anew


def read_counts(path: Path) -> CountsRead | None:
    """The counts at this moment; None where no process has begun them. Raises JournalError: they cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            page = file.read(_SIZE)
            for _ in range(_MOST_LOOKS):
                # A set is written two changes after it was whole: while the number stays, what was read was whole.
                again = os.pread(file.fileno(), _SIZE, 0)
                if page[8 * _CHANGE : 8 * _UNUSED] == again[8 * _CHANGE : 8 * _UNUSED]:
                    return _parsed(path, page) if any(page[:8]) else None
                page = again
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise _refused(path, exc) from exc
    raise JournalError(f"{path}: it changed at each of {_MOST_LOOKS} looks: report this bug")


def _parsed(path: Path, page: bytes) -> CountsRead:
    words = struct.unpack(f"={_SIZE // 8}q", page) if len(page) == _SIZE else (0,)
    if words[_LAYOUT] != _LAYOUT_2:
        raise JournalError(f"{path}: found {page[:8]!r}, expected counts of this version of cathrt: remove the file")
    start = _SETS + (words[_CHANGE] % 2) * _SET
    name = page[8 * _NAME : 8 * _NAME + words[_NAME_BYTES]].decode(errors="replace")
    values = dict(zip(_NAMES, words[start : start + len(_NAMES)], strict=True))
    return CountsRead(name, words[start + _SINCE_SEQ], values)


def _refused(path: Path, exc: OSError) -> JournalError:
    return JournalError(f"{path}: {exc.strerror or exc}: check the path, the memory and the permissions")
