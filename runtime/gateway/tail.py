"""The newest rows of one journal in memory, followed by one thread for all readers of the feed.

Not for: older rows, which are read from the file (journal_feed.py).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from cathrt.runtime.errors import JournalError
from cathrt.runtime.journal.file import real_path
from cathrt.runtime.journal.head import Head, head_path
from cathrt.runtime.journal.reader import BATCH_ROWS, POLL_MS, Followed, JournalReader

_log = logging.getLogger(__name__)

KEPT_ROWS = 1024  # half a minute of verdicts at 30 a second
KEPT_BYTES = 4 << 20
RETRY_S = 1.0  # between two tries at a journal that cannot be followed
LOOK_S = 1.0  # longest between two looks at the journal itself while its head file says the same


class Tail:
    """Follows one journal from its end, and keeps its newest rows. after() may be called from any thread.

    A journal that cannot be followed (damaged, or another one in its place) is tried again for ever, from its end.
    """

    def __init__(self, path: Path, changed: Callable[[], None], poll_ms: float = POLL_MS) -> None:
        """The journal need not exist yet. changed: called from the tail's thread when readers should look again."""
        self._path = path
        self._reader = JournalReader(path)
        self._changed = changed
        self._poll_s = poll_ms / 1000.0
        self._lock = threading.Lock()
        self._rows: deque[Followed] = deque()
        self._bytes = 0
        self._place: Head | None = None  # None: not known yet, or the journal cannot be followed
        self._fault = ""
        self._head_file = head_path(path)
        self._noted: bytes | None = None  # what the head file said before the last look at the journal
        self._look_by = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=f"tail of {path.name}", daemon=True)

    @property
    def fault(self) -> str:
        """Why the journal cannot be followed; empty while it can."""
        return self._fault

    @property
    def seq(self) -> int:
        """Number of the last row that was read."""
        place = self._place
        return 0 if place is None else place.seq

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def finish(self) -> None:
        """Read what is durable by now, then end. Returns when the thread has ended."""
        self._stop.set()
        self._thread.join()

    def after(self, place: Head) -> Sequence[Followed] | None:
        """The rows behind `place`, at most BATCH_ROWS; empty if there is none yet; None: the file has to be asked.

        What is returned continues what the reader has: the hash chain of its first row is checked.
        """
        with self._lock:
            if place == self._place:
                return ()
            if not self._rows or not self._rows[0].place.seq <= place.seq + 1 <= self._rows[-1].place.seq:
                return None
            first = place.seq + 1 - self._rows[0].place.seq
            rows = tuple(islice(self._rows, first, first + BATCH_ROWS))
        stored = rows[0].stored
        continues = place.next(stored.type.encode(), stored.id.encode(), stored.body) == rows[0].place
        return rows if continues else None

    def _follow(self) -> None:
        try:
            while True:
                last_look = self._stop.is_set()
                wait_s = self._poll_s if self._is_unchanged() and not last_look else self._look()
                if wait_s and last_look:
                    return
                self._stop.wait(wait_s)
        finally:
            self._reader.close()

    def _is_unchanged(self) -> bool:
        """Whether there is nothing new, by the one small file that the writer changes each time.

        Noticing that files were moved or replaced takes ten times as long, so that is done every LOOK_S.
        """
        noted, before = _contents(self._head_file), self._noted
        self._noted = noted
        return noted is not None and noted == before and time.monotonic() < self._look_by

    def _look(self) -> float:
        """Take up what is new. Returns how long to wait before the next look."""
        self._look_by = time.monotonic() + LOOK_S
        try:
            if self._place is None:
                self._begin(self._reader.end())
            assert self._place is not None
            rows = self._reader.read(self._place)
            self._head_file = head_path(real_path(self._path))
        except JournalError as exc:
            self._noted = None
            self._lose(str(exc))
            return RETRY_S
        if rows:
            self._keep(rows)
        if len(rows) < BATCH_ROWS:
            return self._poll_s
        self._noted = None
        return 0.0

    def _begin(self, place: Head) -> None:
        with self._lock:
            self._place = place
        self._fault = ""
        self._changed()

    def _keep(self, rows: Sequence[Followed]) -> None:
        with self._lock:
            self._rows.extend(rows)
            self._bytes += sum(len(row.stored.body) for row in rows)
            while len(self._rows) > KEPT_ROWS or self._bytes > KEPT_BYTES:
                self._bytes -= len(self._rows.popleft().stored.body)
            self._place = rows[-1].place
        self._changed()

    def _lose(self, fault: str) -> None:
        """The readers' next look goes to the file: it tells each whether its own place is still there."""
        with self._lock:
            self._rows.clear()
            self._bytes = 0
            self._place = None
        if fault != self._fault:
            _log.warning("feed: %s", fault)
        self._fault = fault
        self._changed()


def _contents(path: Path) -> bytes | None:
    """The beginning of a small file; None if it cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(4096)
    except OSError:
        return None
