"""One journal as the feed's event loop sees it: rows from the tail in memory, older ones from the file.

Not for: HTTP (stream.py), following the journal (tail.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path

from cathrt.runtime.gateway.events import ClaimedPlace
from cathrt.runtime.gateway.tail import Tail
from cathrt.runtime.journal.head import Head
from cathrt.runtime.journal.reader import POLL_MS, Followed, JournalReader


class JournalFeed:
    """Rows of one journal for any number of readers, each at its own place. For one event loop, but for tail."""

    def __init__(self, path: Path, one_thread: Executor, poll_ms: float = POLL_MS) -> None:
        """one_thread: where the file is read, so that the event loop never waits for the disk. Call it in the loop."""
        self.path = path
        self._loop = asyncio.get_running_loop()
        self._one_thread = one_thread
        self._reader = JournalReader(path)
        self._waiting: set[asyncio.Event] = set()
        self.tail = Tail(path, self._tell_from_thread, poll_ms)

    async def place_of(self, claimed: ClaimedPlace) -> Head | None:
        """The place that a reader claims; None if this journal does not have it. Raises JournalError."""
        place = await self._loop.run_in_executor(self._one_thread, self._reader.place_at, claimed.seq)
        return place if place is not None and claimed.is_at(place) else None

    async def end(self) -> Head:
        """The place behind the last durable row. Raises JournalError."""
        return await self._loop.run_in_executor(self._one_thread, self._reader.end)

    async def rows_after(self, place: Head) -> Sequence[Followed]:
        """The durable rows behind `place`, at most a batch; none if there is nothing new.

        Raises JournalError: the journal is damaged, or is not the one in which `place` is.
        """
        rows = self.tail.after(place)
        if rows is None:
            return await self._loop.run_in_executor(self._one_thread, self._reader.read, place)
        return rows

    @contextmanager
    def told(self, event: asyncio.Event) -> Iterator[None]:
        """Set `event` whenever there may be something new, until the end of the block."""
        self._waiting.add(event)
        try:
            yield
        finally:
            self._waiting.discard(event)

    def tell(self) -> None:
        """Let every reader look again."""
        for event in self._waiting:
            event.set()

    def close(self) -> None:
        """Close the file. Nothing may be reading."""
        self._reader.close()

    def _tell_from_thread(self) -> None:
        self._loop.call_soon_threadsafe(self.tell)
