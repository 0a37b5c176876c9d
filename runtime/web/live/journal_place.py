"""One reader's way through one journal: its new rows, or why its place is not there any more.

Not for: what is made of them (event_stream.py), the journal's file (gateway/journal_feed.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from cathrt.runtime.errors import JournalError
from cathrt.runtime.gateway.events import ClaimedPlace
from cathrt.runtime.gateway.journal_feed import JournalFeed
from cathrt.runtime.journal.head import Head
from cathrt.runtime.journal.reader import Followed

_GONE = "it has no such place any more: another journal is there now"


class JournalPlace:
    """place: where the reader is; None while the journal cannot be read. For one event loop."""

    def __init__(self, feed: JournalFeed) -> None:
        self.place: Head | None = None
        self._feed = feed
        self._fault = ""

    async def begin(self, claimed: ClaimedPlace | None) -> str | None:
        """Go to the claimed place, or to the end where none is claimed. Returns what was missed, if something was."""
        if claimed is None:
            return await self._to_the_end()
        try:
            self.place = await self._feed.place_of(claimed)
        except JournalError as exc:  # the rows behind it were pruned, or it cannot be read
            return await self._lost(str(exc))
        return None if self.place is not None else await self._lost(_GONE)

    async def rows(self) -> tuple[Sequence[Followed], str | None]:
        """What is new, at most a batch; and what was missed, where the place was lost: it is at the end then."""
        if self.place is None:
            missed = await self._to_the_end()
            return (), missed
        try:
            return await self._feed.rows_after(self.place), None
        except JournalError as exc:
            return (), await self._lost(str(exc))

    async def _lost(self, why: str) -> str | None:
        await self._to_the_end()
        return self._told(why)

    async def _to_the_end(self) -> str | None:
        try:
            self.place, again = await self._feed.end(), self._fault
        except JournalError as exc:
            self.place = None
            return self._told(str(exc))
        self._fault = ""
        return again or None  # it could not be read for a while

    def _told(self, why: str) -> str | None:
        """Each trouble once, for as long as it lasts."""
        if self.place is not None:
            return why
        again, self._fault = self._fault == why, why
        return None if again else why
