"""Counts the verdicts of live sources once they are durable: a sink of the live process's journal.

Not for: pictures and frames, which are counted where they pass (sources/capture, line/live_runs.py).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from cathrt.runtime.alert import JUDGED, Outcome, StoredRecord
from cathrt.runtime.counts import VERDICT_COUNTS, Count, Counts
from cathrt.runtime.journal.lookups import LAST, outcomes_after
from cathrt.runtime.journal.records import values_of

_COUNT_OF: Mapping[str, Count] = {
    Outcome.MET: "met",
    Outcome.LATE: "late",
    Outcome.DROPPED: "dropped",
    Outcome.FAILED: "failed",
    Outcome.DUPLICATE: "duplicate",
}


class Tally:
    """The sink. counts: by the name of the source. What an earlier process has judged is not counted here."""

    def __init__(self, counts: Mapping[str, Counts], now_ns: Callable[[], int]) -> None:
        self._counts = counts
        self._now_ns = now_ns
        self._of_pass: dict[str, Counts] = {}  # of the runs under way

    def emit(self, stored: StoredRecord) -> None:
        """Count a durable verdict."""
        if stored.type == "pass":
            pass_id, source = values_of(stored.body, "pass_id", "source")
            if (name := source_of_run(source, self._counts)) is not None:
                self._of_pass[pass_id] = self._counts[name]
        elif stored.type == "verdict":
            pass_id, outcome = values_of(stored.body, "pass_id", "outcome")
            if (counts := self._of_pass.get(pass_id)) is not None:
                self._count(counts, outcome)
        elif stored.type == "run":
            (pass_id,) = values_of(stored.body, "pass_id")
            if (counts := self._of_pass.pop(pass_id, None)) is not None:
                counts.all_counted(stored.seq)  # a source has one run at a time

    def close(self) -> None:
        """Nothing is held back."""

    def _count(self, counts: Counts, outcome: str) -> None:
        now_ns = self._now_ns()
        counts.add(_COUNT_OF[outcome])
        counts.note("verdict_ns", now_ns)
        if outcome in JUDGED:
            counts.note("inference_ns", now_ns)


def durable_verdicts(
    journal: Path, source: str, sources: Iterable[str], after_seq: int, through: int = LAST
) -> Mapping[Count, int]:
    """How many verdicts of one of these sources the journal holds after row `after_seq`, up to `through`.

    Raises JournalError.
    """
    names = tuple(sources)
    found: Counter[Count] = Counter()
    for run, outcome, number in outcomes_after(journal, after_seq, through):
        if source_of_run(run, names) == source:
            found[_COUNT_OF[outcome]] += number
    return {count: found[count] for count in VERDICT_COUNTS}


def source_of_run(run: str, sources: Iterable[str]) -> str | None:
    """The source of a run, which has its name from it and a time of day (live_run.py); None for any other."""
    return next((name for name in sources if re.fullmatch(rf"{re.escape(name)} \d\d:\d\d:\d\d", run)), None)
