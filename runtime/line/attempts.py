"""Chooses the pass of a run to judge: the first, one that was cut short, or a new one because frames failed.

Not for: what a pass's identity rests on (pass_identity.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count

from cathrt.runtime.alert import PassStart, RunSummary, StoredRecord, Verdict
from cathrt.runtime.journal.records import RecordParts, record_from_body


@dataclass(frozen=True, slots=True)
class Attempt:
    """A pass and the verdicts that the journal holds of it, by frame index: they stand and are not judged again."""

    start: PassStart
    stands: Mapping[int, Verdict]
    failed: bool  # complete, and holds frames that failed for a reason of ours

    @property
    def empty(self) -> bool:
        """Nothing of it has been judged."""
        return not self.stands


def attempt_to_judge(
    start: Callable[[int], PassStart],
    stored: Callable[[str], tuple[StoredRecord, ...]],
    parts: RecordParts,
    *,
    retry: bool,
) -> Attempt:
    """The newest attempt that was cut short or came out clean; a new one where the newest failed and retry is set.

    start(attempt): the pass of that number. stored(pass_id): what the journal holds of it. parts: the models' own.
    retry: False for a run that was judged a moment ago: the same fault would most likely come again.
    """
    newest = None
    for number in count(1):
        attempt = _attempt(start(number), stored, parts)
        if newest is not None and attempt.empty and not retry:
            return newest
        if not attempt.failed:
            return attempt
        newest = attempt
    raise AssertionError("count() ends nowhere")


def _attempt(start: PassStart, stored: Callable[[str], tuple[StoredRecord, ...]], parts: RecordParts) -> Attempt:
    records = [record_from_body(row.body, parts) for row in stored(start.pass_id)]
    stands = {record.frame_index: record for record in records if isinstance(record, Verdict)}
    complete = any(isinstance(record, RunSummary) for record in records)
    return Attempt(start, stands, failed=complete and any(verdict.retry for verdict in stands.values()))
