"""Frames of received runs, decoded again by a confined process and kept in memory up to a limit.

A run's decoder reads on from where it is; who asks for an earlier frame that is not kept any more starts a new one. Not
for: what a frame looks like (looks.py), and frames that are judged (study/).
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.frame import Frame, LostFrame, Run
from cathrt.runtime.ports import Source
from cathrt.runtime.sources.decoder.sandbox import open_source
from cathrt.runtime.sources.discover import Input
from cathrt.runtime.web.part.errors import RefusedError

MOST_OPEN = 2  # decoders at once
PATIENCE_S = 20.0  # of one request, for a run that is read from its start
IDLE_S = 30.0  # until a decoder that nobody asks is ended
_OVERHEAD = 256  # bytes of a frame beside its pixels


@dataclass(frozen=True, slots=True, eq=False)
class StoredFrame:
    """pixels: (rows, columns) stored values, read-only; None where the frame is lost. lost: then why."""

    index: int
    pixels: NDArray[Any] | None
    grayscale: int
    lost: str | None

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return _OVERHEAD + (0 if self.pixels is None else self.pixels.nbytes)


Open = Callable[[str, Path], Source]


class FrameStore:
    """Thread-safe. Raises SourceError where a run cannot be read, RefusedError where it takes too long."""

    def __init__(
        self,
        limits: LimitsConfig,
        most_bytes: int,
        clock_s: Callable[[], float] = time.monotonic,
        open_: Open | None = None,
    ) -> None:
        """most_bytes: of all frames that are kept. open_: of a run, by its key and file."""
        self._most_bytes, self._clock_s = most_bytes, clock_s
        self._open = open_ or (lambda key, file: open_source(Input("dicom", key, (file,)), limits))
        self._lock = threading.Lock()  # of what follows; never held while frames are read
        self._frames: OrderedDict[tuple[str, int], StoredFrame] = OrderedDict()
        self._bytes = 0
        self._runs: OrderedDict[str, _OpenRun] = OrderedDict()

    @property
    def kept_bytes(self) -> int:
        """Of all frames that are kept."""
        return self._bytes

    def run_of(self, key: str, file: Path) -> Run:
        """What the run says of itself. key: of the object's content."""
        with self._reading(key, file) as opened:
            return opened.run

    def frames(self, key: str, file: Path, first: int, last: int) -> Iterator[StoredFrame]:
        """Frames first..last of the run, as far as it has them. What is read on the way is kept as well."""
        deadline_s = self._clock_s() + PATIENCE_S
        for index in range(first, last + 1):
            found = self._kept(key, index) or self._read(key, file, index, deadline_s)
            if found is None:
                return
            yield found

    def end_idle(self) -> None:
        """End decoders that nobody has asked for a while. To be called now and then."""
        with self._lock:
            idle = [run for run in self._runs.values() if self._clock_s() - run.asked_s > IDLE_S]
        for run in idle:
            self._end(run)

    def close(self) -> None:
        """End all decoders and forget all frames."""
        with self._lock:
            runs = list(self._runs.values())
        for run in runs:
            self._end(run)
        with self._lock:
            self._frames.clear()
            self._bytes = 0

    def _kept(self, key: str, index: int) -> StoredFrame | None:
        with self._lock:
            found = self._frames.get((key, index))
            if found is not None:
                self._frames.move_to_end((key, index))
            return found

    def _keep(self, key: str, frame: StoredFrame) -> None:
        with self._lock:
            before = self._frames.pop((key, frame.index), None)
            self._bytes -= 0 if before is None else before.size
            self._frames[key, frame.index] = frame
            self._bytes += frame.size
            while self._bytes > self._most_bytes and self._frames:
                _, old = self._frames.popitem(last=False)
                self._bytes -= old.size

    def _read(self, key: str, file: Path, index: int, deadline_s: float) -> StoredFrame | None:
        with self._reading(key, file) as opened:
            if (found := self._kept(key, index)) is not None:  # another thread has read it meanwhile
                return found
            if opened.next_index > index:
                opened.begin_anew()
            for item in opened.items:
                frame = _stored(item)
                opened.next_index = frame.index + 1
                self._keep(key, frame)
                if frame.index == index:
                    return frame
                if self._clock_s() > deadline_s:
                    raise RefusedError(
                        503,
                        f"frame {index} is not reached yet: the run is read from its start, up to frame "
                        f"{frame.index} so far: ask again",
                        {"retry-after": "1"},
                    )
        return None

    @contextmanager
    def _reading(self, key: str, file: Path) -> Iterator[_OpenRun]:
        """The run's decoder: one thread at a time reads on."""
        while not (run := self._open_run(key, file)).begin():
            pass  # it was ended meanwhile: another one is in its place
        try:
            yield run
        finally:
            run.leave()

    def _open_run(self, key: str, file: Path) -> _OpenRun:
        with self._lock:
            run = self._runs.get(key)
            if run is None:
                run = self._runs[key] = _OpenRun(key, lambda: self._open(key, file))
            self._runs.move_to_end(key)
            run.asked_s = self._clock_s()
            old = [one for one in self._runs.values() if one is not run][: max(0, len(self._runs) - MOST_OPEN)]
        for one in old:
            self._end(one)
        return run

    def _end(self, run: _OpenRun) -> None:
        with self._lock:
            if self._runs.get(run.key) is run:
                del self._runs[run.key]
        run.end()


@dataclass(slots=True, eq=False)
class _OpenRun:
    """One run and its decoder, which is started when it is first read. A lock of its own: reading takes time."""

    key: str
    open: Callable[[], Source]
    asked_s: float = 0.0
    next_index: int = 0
    items: Iterator[Frame | LostFrame] = field(default_factory=lambda: iter(()))
    _source: Source | None = None
    _run: Run | None = None
    _ended: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def run(self) -> Run:
        assert self._run is not None
        return self._run

    def begin(self) -> bool:
        """Take it for this thread; False where it was ended. Raises SourceError, RefusedError: then it is not taken."""
        if not self._lock.acquire(timeout=PATIENCE_S):
            raise RefusedError(503, "the run is being read for somebody else: ask again", {"retry-after": "1"})
        try:
            if not self._ended and self._source is None:
                self.begin_anew()
        except BaseException:
            self._lock.release()
            raise
        if self._ended:
            self._lock.release()
        return not self._ended

    def leave(self) -> None:
        """Let others read."""
        self._lock.release()

    def begin_anew(self) -> None:
        """From frame 0."""
        self._close()
        source = self.open()
        self._source, self._run, self.items, self.next_index = source, source.run, source.frames(), 0

    def end(self) -> None:
        """End the decoder for good, once nobody reads."""
        with self._lock:
            self._ended = True
            self._close()

    def _close(self) -> None:
        source, self._source, self.items = self._source, None, iter(())
        if source is not None:
            source.close()


def _stored(item: Frame | LostFrame) -> StoredFrame:
    if isinstance(item, LostFrame):
        return StoredFrame(item.index, None, 0, item.reason)
    return StoredFrame(item.index, item.pixels, item.grayscale, None)
