"""The received objects under their limits: the oldest of those that nobody waits for are removed from the store.

Not for: journals (kept_journal.py), what is known of studies that are gone (old_studies.py).
"""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cathrt.runtime.listener.object_store import ObjectStore, Received
from cathrt.runtime.listener.store_front import Candidate, Needed, awaiting_commitment, oldest, stored_bytes
from cathrt.runtime.retention.kept_journal import Looked, Moment
from cathrt.runtime.retention.rules import DAY_S

_NOT_WORTH_A_NOTE = ""
MOST_OBJECTS = 256  # that are looked at in one look
_TOGETHER = 8  # that are removed while no object can be received


@dataclass(frozen=True, slots=True)
class ObjectLimits:
    """days, mib: 0 for no limit. keep_s: nothing younger goes."""

    days: float
    mib: int
    keep_s: float


@dataclass(frozen=True, slots=True)
class KeptObjects:
    """The retention of a store, in the process that receives into it.

    needed: tells what is still to be judged. awaited: whether objects of ended studies are still to be delivered.
    """

    store: ObjectStore
    needed: Callable[[], Needed]
    backup_lock: Path
    limits: ObjectLimits
    awaited: Callable[[], bool] = lambda: False

    def look(self, moment: Moment) -> Looked:
        """Remove what should and may go, some of it at a time. Raises CathrtError, OSError, sqlite3.Error."""
        with _no_backup(self.backup_lock) as free:
            return self._look(moment) if free else Looked(note="a backup is being made: objects stay until it is done")

    def _look(self, moment: Moment) -> Looked:
        # Read before the index: an object that comes meanwhile is not in it, and so not judged.
        why_not = _why_not(self.needed(), awaiting_commitment(self.store.index), awaited=self.awaited())
        stays: Counter[str] = Counter()
        going: list[Received] = []
        over = self._over_bytes(moment)
        for candidate in self._oldest(moment.now_s - self.limits.keep_s):
            received = candidate.received
            if (over <= 0 and not self._is_aged(received, moment)) or len(going) == MOST_OBJECTS:
                break
            if (why := why_not(candidate)) is None:
                going.append(received)
                over -= received.size
            elif why != _NOT_WORTH_A_NOTE:
                stays[why] += 1
        for first in range(0, len(going), _TOGETHER):
            self.store.remove(going[first : first + _TOGETHER])
        return _looked(going, stays, moment)

    def _over_bytes(self, moment: Moment) -> int:
        """How much should go for the sake of room."""
        mib = self.limits.mib
        return max(moment.missing_bytes, stored_bytes(self.store.index) - (mib << 20) if mib else 0)

    def _is_aged(self, received: Received, moment: Moment) -> bool:
        return bool(self.limits.days) and received.received_at < moment.now_s - self.limits.days * DAY_S

    def _oldest(self, before_s: float) -> Iterator[Candidate]:
        after = 0
        while some := oldest(self.store.index, after, before_s, MOST_OBJECTS):
            yield from some
            after = some[-1].received.seq


def _looked(going: list[Received], stays: Counter[str], moment: Moment) -> Looked:
    held = ", ".join(f"{count} {why}" for why, count in stays.items())
    notes = ["objects are removed before their time: the disk is short"] if moment.missing_bytes and going else []
    notes += [f"objects over the limit stay: {held}"] if held else []
    reason = ""
    if moment.missing_bytes and not going:
        why = held or "all are younger than retention.keep_hours"
        reason = f"{moment.missing_bytes >> 20} MiB less free than retention.free_mib, and no object may go: {why}"
    size = sum(received.size for received in going)
    return Looked(len(going), size, len(going) == MOST_OBJECTS, "; ".join(notes), reason)


def _why_not(needed: Needed, asked_for: frozenset[str], *, awaited: bool) -> Callable[[Candidate], str | None]:
    """Why an object stays whatever the limits say; None where it may go."""

    def why_not(candidate: Candidate) -> str | None:
        received = candidate.received
        if received.seq > needed.judged or received.seq in needed.owed:
            return "not judged yet"
        if received.seq == needed.judged:  # by which the study process knows the store
            return _NOT_WORTH_A_NOTE
        if candidate.awaits_end:
            return "of a study that has not ended"
        if needed.drafted is not None and candidate.ended is not None and candidate.ended > needed.drafted:
            return "of a study without its draft"
        if candidate.ended is not None and (awaited or (needed.ended is not None and candidate.ended > needed.ended)):
            return "of a study whose objects are not delivered"
        if received.arrival.sop_instance_uid in asked_for:
            return "whose storage commitment is not answered"
        return None

    return why_not


@contextmanager
def _no_backup(path: Path) -> Iterator[bool]:
    """Keep backups from beginning until the end of the block; whether there is none already."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)
