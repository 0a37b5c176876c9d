"""One pass driven into a journal as the line would, to its end or to a fail point: what the kill tests run.

Not for: judging what is left afterwards (test_kill.py, test_call_order.py).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cathrt.runtime.alert import Record, Verdict
from cathrt.runtime.errors import JournalError
from cathrt.runtime.failpoints import arm, kill
from cathrt.runtime.journal.report import verify_journal
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.models import record_parts
from cathrt.runtime.sinks.jsonl import JsonlSink
from tests.passes import AT_ONCE, start, whole_pass

RECORDS = [start(), *whole_pass(20)]
SYNC_EVERY = 3  # records, so that a pass has at least eight groups
GROUPS = -(-len(RECORDS) // SYNC_EVERY)
PASSES = {  # how often a pass goes by each fail point
    "journal.enqueue": len(RECORDS),
    "journal.before_insert": GROUPS,
    "journal.mid_transaction": len(RECORDS),
    "journal.before_commit": GROUPS,
    "journal.after_commit": GROUPS,
    "journal.before_emit": GROUPS,
    "journal.between_sinks": GROUPS,
    "journal.after_emit": GROUPS,
    "journal.close": 1,
}
FINISH = ""
SHOWN = ("shown", "shown too")


def drive_pass(folder: str, point: str, after: int, attempt: int) -> None:
    """What the line would do with one run, to its end or to `point`. Timings differ from attempt to attempt."""
    root = Path(folder)
    with (root / "shown").open("ab") as shown, (root / "shown too").open("ab") as shown_too:
        if point != FINISH:
            arm(point, kill, after)
        sinks = (JsonlSink(shown), JsonlSink(shown_too))
        with Journal(root / "journal.db", AT_ONCE, sinks) as journal:
            for number, record in enumerate(RECORDS, 1):
                journal.append(timed(record, attempt))
                if number % SYNC_EVERY == 0:
                    journal.sync()


def timed(record: Record, attempt: int) -> Record:
    """The record with the attempt's number as its time, so that it can be told which attempt stored it."""
    if not isinstance(record, Verdict):
        return record
    return replace(record, latency_ms=replace(record.latency_ms, end_to_end=float(attempt)))


def drive_few(folder: str, attempt: int) -> int:
    """A journal opened and made, three groups, closed. Returns the exit code of a JournalError, 0 without one."""
    root = Path(folder)
    with (root / "shown").open("ab") as shown:
        try:
            with Journal(root / "journal.db", AT_ONCE, (JsonlSink(shown),)) as journal:
                for record in RECORDS[:3]:
                    journal.append(timed(record, attempt))
                    journal.sync()
        except JournalError:
            return JournalError.exit_code
    return 0


def show_report(folder: str) -> None:
    """What `cathrt verify` would print goes to the file "shown"."""
    report = verify_journal(Path(folder) / "journal.db", record_parts())
    with (Path(folder) / "shown").open("ab") as shown:
        shown.write(f"{report.rows} rows, {report.head}\n".encode())


def show_stored(folder: str) -> None:
    """The rows that a line taking up this pass would get go to the file "shown"."""
    with Journal(Path(folder) / "journal.db", AT_ONCE) as journal, (Path(folder) / "shown").open("ab") as shown:
        for record in journal.stored(RECORDS[0].pass_id):  # type: ignore[union-attr]
            shown.write(f"{record.id}\n".encode())
