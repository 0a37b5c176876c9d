"""Counts the stage times of judged frames once their verdicts are durable: a sink of a process's journal.

Not for: how a frame ended, which is counted beside it (tally.py).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cathrt.runtime.alert import JUDGED, StageTimes, StoredRecord
from cathrt.runtime.journal.lookups import passes_and_verdicts_after
from cathrt.runtime.journal.records import values_of
from cathrt.runtime.processes.times_file import TimesFile

RECEIVED = "received"  # stands for the source of all runs that the study judges


class Timings:
    """The sink. page_of: of what a run is called, where its times are counted; None: nowhere."""

    def __init__(self, page_of: Callable[[str], TimesFile | None]) -> None:
        self._page_of = page_of
        self._of_pass: dict[str, TimesFile] = {}  # of the runs under way

    def emit(self, stored: StoredRecord) -> None:
        """Count a durable verdict."""
        if stored.type == "pass":
            pass_id, source = values_of(stored.body, "pass_id", "source")
            if (page := self._page_of(source)) is not None:
                self._of_pass[pass_id] = page
        elif stored.type == "verdict":
            pass_id, outcome, times = values_of(stored.body, "pass_id", "outcome", "latency_ms")
            if outcome in JUDGED and (page := self._of_pass.get(pass_id)) is not None:
                page.count(stored.seq, StageTimes(**times))
        elif stored.type == "run":
            (pass_id,) = values_of(stored.body, "pass_id")
            self._of_pass.pop(pass_id, None)

    def close(self) -> None:
        """Nothing is held back."""


def catch_up(page: TimesFile, journal: Path, counts_run: Callable[[str], bool]) -> None:
    """Count what a killed process made durable and did not count. counts_run: of what a run is called, if it counts.

    Raises JournalError.
    """
    sink = Timings(lambda run: page if counts_run(run) else None)
    for stored in passes_and_verdicts_after(journal, page.through_seq):
        sink.emit(stored)
