"""Which run is judged next: received ones in order of arrival, then those to be tried again, then files.

So a long archive in a watched folder delays no received run. Not for: judging (confirm.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from cathrt.runtime.study.intake_book import IntakeBook
from cathrt.runtime.study.received_runs import ReceivedRuns
from cathrt.runtime.study.waiting import WaitingRun
from cathrt.runtime.study.watched_folder import WatchedFolder


class RunQueue:
    """All that waits. One thread takes from it. Raises StoreError, IntakeError."""

    def __init__(
        self,
        received: ReceivedRuns,
        folders: Sequence[WatchedFolder],
        book: IntakeBook,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.files: SimpleQueue[WaitingRun] = SimpleQueue()  # filled by folder_watch.watching()
        self._received, self._folders, self._book, self._now_s = received, folders, book, now_s
        self._interrupted: list[WaitingRun] = []  # files that gave way to received runs
        self._later: list[tuple[float, WaitingRun]] = []

    def next(self) -> WaitingRun | None:
        """The run to judge now; None while there is none."""
        return self.next_urgent() or self.next_file()

    def next_urgent(self) -> WaitingRun | None:
        """A received run, or one to be tried again whose time has come."""
        return self._received.next() or self._due()

    def next_file(self) -> WaitingRun | None:
        """A file of a watched folder."""
        while True:
            try:
                run = self._interrupted.pop() if self._interrupted else self.files.get_nowait()
            except Empty:
                return None
            assert run.stamp is not None
            if not run.is_as_found():
                self.look_again(run)
            elif not self._book.is_judged(run.key, run.stamp):
                return run

    def received_waits(self) -> bool:
        """Whether a received run waits that was not tried yet."""
        return self._received.any_waits()

    def try_later(self, run: WaitingRun, wait_s: float) -> None:
        """Give the run out again after this time."""
        self._later.append((self._now_s() + wait_s, run))

    def go_on_later(self, run: WaitingRun) -> None:
        """Give the file out again before other files."""
        self._interrupted.append(run)

    def look_again(self, run: WaitingRun) -> None:
        """A file is not as it was found: it is given out again where it comes back, or settles anew."""
        (path,) = run.input.paths
        assert path is not None
        for folder in self._folders:
            folder.look_again(path)

    def _due(self) -> WaitingRun | None:
        now_s = self._now_s()
        self._later += [(now_s, run) for run in self._received.take_owed()]
        for number, (due_s, run) in enumerate(self._later):
            if due_s <= now_s:
                del self._later[number]
                return run
        return None
