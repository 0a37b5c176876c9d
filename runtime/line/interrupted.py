"""Ends the passes of live runs that a killed process left without a summary: such a run cannot be judged again.

Their verdicts stand; the summary counts them, is flagged "interrupted" and says nothing of the run as a whole. Not for:
recorded runs, which the same replay completes (attempts.py).
"""

from __future__ import annotations

from cathrt.runtime.alert import PassStart, RunSummary, Verdict
from cathrt.runtime.frame import DEFAULT_RATE_HZ, Grayscale, Run, Timing
from cathrt.runtime.journal.lookups import unfinished_passes
from cathrt.runtime.journal.records import RecordParts, record_from_body
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.line.ledger import Ledger

INTERRUPTED = "interrupted"


def end_interrupted(journal: Journal, parts: RecordParts) -> int:
    """Write the summary of every live pass that has none, and make them durable. Returns how many there were.

    For the start of the process that owns the journal. Raises JournalError, ValueError.
    """
    ended = 0
    for stored in unfinished_passes(journal.path):
        start = record_from_body(stored.body, parts)
        if isinstance(start, PassStart) and start.rate == "live":
            journal.append(_summary(start, journal, parts))
            ended += 1
    journal.sync()
    return ended


def _summary(start: PassStart, journal: Journal, parts: RecordParts) -> RunSummary:
    ledger = Ledger()
    for stored in journal.stored(start.pass_id):
        record = record_from_body(stored.body, parts)
        if isinstance(record, Verdict):
            ledger.enter(record)
    # Size, grey scale and rate went with the process.
    run = Run(
        start.run_id, start.source, None, 0, 0, Grayscale(8), Timing(DEFAULT_RATE_HZ, "default"), flags=(INTERRUPTED,)
    )
    return ledger.summary(start.pass_id, run, (), notice=start.notice)
