"""A watched folder: which of its files are complete and were not judged yet. Looks again and again; keeps nothing open.

A file is complete once size, modification time and inode have stayed the same for settle_s, and no process of this
machine is known to have it open for writing. Not for: reading files, beyond the first bytes of one without a known
suffix.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from cathrt.runtime.sources.discover import Ignored, Input, kind_of, passed_over
from cathrt.runtime.sources.input_names import distinct_names
from cathrt.runtime.study.open_for_writing import is_open_for_writing
from cathrt.runtime.study.waiting import Stamp, WaitingRun, key_of_file, stamp_of

_log = logging.getLogger(__name__)

# Under these names programs keep what they have not written whole; they rename it when it is.
_PARTIAL_SUFFIXES = frozenset({".part", ".partial", ".tmp", ".temp", ".filepart", ".crdownload", ".download"})
_DEEPEST = 32  # folders below the watched one

IsJudged = Callable[[bytes, Stamp], bool]


@dataclass(slots=True)
class _Seen:
    """A file as it was at the last looks. since_s: when it was first seen so. settled: nothing more is to be done."""

    stamp: Stamp
    since_s: float
    settled: bool = False


class WatchedFolder:
    """One folder and all below it. Not thread-safe, but for look_again(). Raises nothing for what it meets there."""

    def __init__(
        self,
        folder: Path,
        settle_s: float,
        is_judged: IsJudged,
        *,
        now_s: Callable[[], float] = time.monotonic,
        is_written: Callable[[Path], bool] = is_open_for_writing,
        name_of: Callable[[Path], str] | None = None,
    ) -> None:
        """is_judged(key, stamp): whether the file was judged as it is. is_written: whether it is open for writing.

        name_of: what a file or folder is called in records and messages; None: by its own name, below the folder.
        """
        self.folder = folder
        self._name_of = name_of or self._name_below
        self._settle_s = settle_s
        self._is_judged, self._is_written, self._now_s = is_judged, is_written, now_s
        self._seen: dict[Path, _Seen] = {}
        self._again: deque[Path] = deque()
        self._unlisted: dict[str, str] = {}  # folders that could not be listed at the last look, and why
        self._named: set[Path] = set()  # files that were said to be passed over

    def look(self) -> list[WaitingRun]:
        """The files that have become complete since the last look, oldest first.

        It takes two looks, settle_s apart, to see that a file is complete.
        """
        now_s = self._now_s()
        found = self._found()
        while self._again:
            self._seen.pop(self._again.popleft(), None)
        ignored: list[Ignored] = []
        seen, self._seen = self._seen, {}
        complete: list[WaitingRun] = []
        for path, stamp in found.items():
            before = seen.get(path)
            if before is None or before.stamp != stamp:
                before = _Seen(stamp, now_s)
            self._seen[path] = before
            if not before.settled and now_s - before.since_s >= self._settle_s:
                run = self._judgeable(path, stamp, ignored)
                before.settled = run is None or not self._is_written(path)
                if run is not None and before.settled:
                    complete.append(run)
        self._say(ignored)
        return sorted(complete, key=_age)

    def look_again(self, path: Path) -> None:
        """A file that look() has returned was not there any more, or not as it was: see whether it comes back.

        From any thread.
        """
        self._again.append(path)

    def _judgeable(self, path: Path, stamp: Stamp, ignored: list[Ignored]) -> WaitingRun | None:
        key = key_of_file(path)
        if self._is_judged(key, stamp):
            return None
        kind = kind_of(path)
        if kind is None:
            ignored.append(Ignored(path, "neither DICOM nor a video by suffix or first bytes"))
            return None
        if kind == "stills":
            ignored.append(Ignored(path, "a still: a watched folder takes whole runs; cathrt replay takes stills"))
            return None
        return WaitingRun(key, Input(kind, self._name_of(path), (path,)), stamp=stamp)

    def _name_below(self, path: Path) -> str:
        (name,) = distinct_names([(path, max(len(path.parts) - len(self.folder.parts), 1))])
        return name

    def _found(self) -> dict[Path, Stamp]:
        """Regular files that may be whole runs."""
        unlisted: dict[str, str] = {}
        found: dict[Path, Stamp] = {}
        for path in _walk(self.folder, unlisted):
            stamp = stamp_of(path)
            if stamp is not None and stamp.size:  # an empty file is one that was only just made
                found[path] = stamp
        for name in unlisted.keys() - self._unlisted.keys():
            _log.warning("%s: cannot be listed (%s): it is looked at again", self._name_of(Path(name)), unlisted[name])
        for name in self._unlisted.keys() - unlisted.keys():
            _log.warning("%s: can be listed again", self._name_of(Path(name)))
        self._unlisted = unlisted
        return found

    def _say(self, ignored: list[Ignored]) -> None:
        """Name what is passed over, once."""
        self._named &= self._seen.keys()
        new = [replace(one, path=Path(self._name_of(one.path))) for one in ignored if one.path not in self._named]
        for line in passed_over(new):
            _log.warning("watched folder %s: %s", self._name_of(self.folder), line)
        self._named.update(one.path for one in ignored)


def _walk(top: Path, unlisted: dict[str, str], depth: int = 0) -> Iterator[Path]:
    """Files below a folder; no links, nothing hidden, nothing that is named as partly written."""
    try:
        with os.scandir(top) as entries:
            listed = list(entries)
    except OSError as exc:
        unlisted[str(top)] = exc.strerror or str(exc)
        return
    folders: list[Path] = []
    for entry in listed:
        if entry.name.startswith(".") or os.path.splitext(entry.name)[1].lower() in _PARTIAL_SUFFIXES:
            continue
        if entry.name.upper() == "DICOMDIR":
            continue
        if entry.is_dir(follow_symlinks=False):
            folders.append(Path(entry.path))
        elif entry.is_file(follow_symlinks=False):
            yield Path(entry.path)
    if depth < _DEEPEST:
        for folder in folders:
            yield from _walk(folder, unlisted, depth + 1)


def _age(run: WaitingRun) -> tuple[int, bytes]:
    assert run.stamp is not None
    return run.stamp.mtime_ns, run.key
