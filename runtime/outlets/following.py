"""One outlet's place in one journal, and the batch of rows behind it.

Not for: what is done with a row (delivery.py).
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import replace
from pathlib import Path

from cathrt.runtime.config import OutletConfig
from cathrt.runtime.failpoints import failpoint
from cathrt.runtime.journal.errors import PrunedError
from cathrt.runtime.journal.file import real_path
from cathrt.runtime.journal.head import Head, head_path
from cathrt.runtime.journal.reader import BATCH_ROWS, Followed, JournalReader
from cathrt.runtime.outlets.outbox import DeadLetter, Outbox, Place

_log = logging.getLogger(__name__)

SAVE_S = 0.5  # longest that a place which has moved is not on the disk


class Following:
    """place: None before the outlet has begun here. rows: behind the place, at most a batch.

    attempts, refusals, unheard: at the record at the front; unheard: attempts in a row at which the receiver was there
    and did not take it. ahead: rows that were taken before their turn. fault: why the journal cannot be followed; ""
    while it can.
    """

    def __init__(self, settings: OutletConfig, name: str, path: Path, outbox: Outbox) -> None:
        """Opens no journal yet. Raises OutboxError."""
        self._outlet, self._begin, self.name, self._outbox = settings.name, settings.begin, name, outbox
        self._path, self._reader = path, JournalReader(path)
        self._head_file = head_path(path)
        self._noted: bytes | None = None  # what it said before the last look at the journal
        self.rows: deque[Followed] = deque()
        self.attempts = self.refusals = self.unheard = 0
        self.ahead: set[int] = set()
        self.fault = ""
        self.place = self._saved = outbox.place(self._outlet, name)
        self._saved_at_s = 0.0

    def look(self) -> None:
        """Begin, or begin again where a person has asked for it. To be called once a second.

        Raises JournalError, OutboxError.
        """
        self._noted, self._head_file = None, head_path(real_path(self._path))  # it may be another one, elsewhere
        asked = self._outbox.asked(self._outlet, self.name)
        if self.place is not None and not asked:
            return
        head = self._reader.end() if (asked or self._begin) == "now" else Head()
        place = Place(head) if self.place is None else replace(self.place, head=head)
        self._outbox.begin(self._outlet, self.name, place)
        self.rows.clear()
        self.ahead.clear()
        self._at(place)
        self._saved = place

    def fill(self) -> None:
        """Read on, where no row is left. Raises JournalError.

        The head file tells that nothing is new in a tenth of the time that looking at the journal takes.
        """
        if self.rows or self.place is None:
            return
        noted = _contents(self._head_file)
        if noted is not None and noted == self._noted:
            return
        try:
            self.rows.extend(self._reader.read(self.place.head))
            self._noted = noted if len(self.rows) < BATCH_ROWS else None
        except PrunedError:
            self.rows.extend(self._reader.read(Head()))
            if not self.rows:
                return  # all that there was is gone; what comes next tells how much that is
            gone = self.rows[0].place.seq - 1 - self.place.head.seq
            _log.warning("outlet %s: %d rows of %s were deleted before it took them", self._outlet, gone, self.name)
            self._at(replace(self.place, pruned=self.place.pruned + gone))

    def advance(self) -> None:
        """The row at the front is done with."""
        assert self.place is not None
        row = self.rows.popleft()
        self.ahead.discard(row.place.seq)
        self._at(replace(self.place, head=row.place))

    def keep_back(self) -> None:
        """The row at the front is not sent: the rate limit."""
        assert self.place is not None
        self.place = replace(self.place, limited=self.place.limited + 1)
        self.advance()

    def bury(self, letter: DeadLetter) -> None:
        """Store the row at the front as a dead letter, and be done with it. Raises OutboxError."""
        assert self.place is not None
        self._outbox.bury(letter, replace(self.place, head=self.rows[0].place))
        self.advance()
        self._saved = self.place

    def save(self) -> None:
        """Put the place on the disk, if it has moved. Raises OutboxError."""
        if self.place is None or self.place == self._saved:
            return
        failpoint("outlet.saving")
        self._outbox.move(self._outlet, self.name, self.place)
        failpoint("outlet.saved")
        self._saved = self.place

    def save_if_due(self, now_s: float, *, at_once: bool = False) -> None:
        """Save the place if that was not done for SAVE_S. Raises OutboxError."""
        if at_once or now_s - self._saved_at_s >= SAVE_S:
            self._saved_at_s = now_s
            self.save()

    @property
    def limited(self) -> int:
        """Rows that the rate limit has kept back, ever."""
        return 0 if self.place is None else self.place.limited

    @property
    def pruned(self) -> int:
        """Rows that were deleted before the outlet took them, ever."""
        return 0 if self.place is None else self.place.pruned

    def rows_behind(self) -> int:
        """Rows of the journal behind the place. Raises JournalError."""
        return max(0, self._reader.end().seq - (0 if self.place is None else self.place.head.seq))

    def close(self) -> None:
        """Close the journal."""
        self._reader.close()

    def _at(self, place: Place) -> None:
        self.place = place
        self.attempts = self.refusals = self.unheard = 0


def _contents(path: Path) -> bytes | None:
    """Of a small file; None where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return None
