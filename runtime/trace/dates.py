"""Readings of the monotonic clock as dates: by the moments that processes wrote down when they started.

Not for: latencies, which never use the wall clock.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from cathrt.runtime.alert import StoredRecord
from cathrt.runtime.journal.lateness import boot

_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment by both clocks. boot: the start of the machine in which the monotonic clock counts."""

    boot: str
    monotonic_ns: int
    utc_ns: int

    @classmethod
    def of(cls, start: StoredRecord) -> Self:
        """The moment of a record of type `start`."""
        found = json.loads(start.body)
        return cls(found["boot"], found["monotonic_ns"], ns_from(datetime.fromisoformat(found["utc"])))

    @classmethod
    def now(cls) -> Self:
        """By the clocks of this machine."""
        return cls(boot(), time.monotonic_ns(), time.time_ns())


class Dates:
    """Dates of the rows of one journal, read in order. Of the moments of a boot the newest counts: journals agree."""

    def __init__(self, own: Iterable[Moment], of_all: Iterable[Moment]) -> None:
        """own: the moments in this journal, in order. Rows before the first are taken to be of the same boot: the row
        that said so may have been deleted by now."""
        self._of_boot: dict[str, Moment] = {}
        for moment in of_all:
            known = self._of_boot.get(moment.boot)
            if known is None or known.monotonic_ns < moment.monotonic_ns:
                self._of_boot[moment.boot] = moment
        first = next(iter(own), None) or Moment.now()
        self._of_boot.setdefault(first.boot, first)
        self._boot = first.boot

    def begin(self, boot: str) -> None:
        """From this row on, readings are of that boot."""
        self._boot = boot

    def utc_ns(self, monotonic_ns: int) -> int:
        """The date of a reading, ns since 1970."""
        known = self._of_boot[self._boot]
        return known.utc_ns + monotonic_ns - known.monotonic_ns


def ns_from(date: datetime) -> int:
    """ns since 1970; a date without a time zone is in that of this machine."""
    return (date.astimezone() - _EPOCH) // timedelta(microseconds=1) * 1000
