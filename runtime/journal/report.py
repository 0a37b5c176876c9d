"""Checks a journal without changing it: is the file whole, and does every pass in it add up?

Not for: writing (journal/writer.py). May run beside the process that writes.
"""

from __future__ import annotations

import errno
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from cathrt.runtime.alert import (
    Alert,
    Outcome,
    PassStart,
    Rate,
    Record,
    RunSummary,
    Verdict,
)
from cathrt.runtime.errors import JournalError
from cathrt.runtime.journal.check import Row, anchor_in, checked_rows
from cathrt.runtime.journal.errors import translated
from cathrt.runtime.journal.file import open_for_reading, real_path, sync_found
from cathrt.runtime.journal.head import Head, noted_anchor, noted_head
from cathrt.runtime.journal.lock import HoldingConnection
from cathrt.runtime.journal.records import RecordParts, record_from_body


@dataclass(frozen=True, slots=True)
class PassBooks:
    """One judging of one run. frames: as its summary declares; None while it is incomplete, that is, has no summary.

    source, rate, attempt: as its start declares; None where that is missing.
    anomalies: what does not add up, in words; empty in a sound pass, complete or not.
    """

    pass_id: str
    run_id: str
    source: str | None
    rate: Rate | None
    attempt: int | None
    verdicts: dict[Outcome, int]
    alerts: int
    frames: int | None
    anomalies: tuple[str, ...]

    @property
    def identity(self) -> dict[str, str | int | None]:
        """Which pass it is, in the words of the command that completes it."""
        return {"pass_id": self.pass_id, "source": self.source, "rate": self.rate, "attempt": self.attempt}

    @property
    def complete(self) -> bool:
        """The run's summary is there: its last frame was judged."""
        return self.frames is not None

    @property
    def balanced(self) -> bool:
        """Complete, as many verdicts as frames, and nothing odd."""
        return sum(self.verdicts.values()) == self.frames and not self.anomalies


@dataclass(frozen=True, slots=True)
class JournalReport:
    """A whole journal. head: sha256 (hex) that vouches for all rows; write it down elsewhere to anchor them.

    rows: that are there. pruned: rows before them that were pruned. anchor: the sha256 (hex) of the last of those.
    Passes whose rows are about to be pruned are not added up: a part of one may be gone.
    head_noted, anchor_noted: the file `<journal>-head`, `<journal>-anchor` was there to compare with.
    """

    path: str
    rows: int
    pruned: int
    anchor: str
    anchor_noted: bool
    head: str
    head_noted: bool
    passes: tuple[PassBooks, ...]
    refusals: int
    drafts: int
    ended: int
    readings: int
    engine_changes: int
    starts: int
    decisions: int
    signoffs: int
    reviews: int

    @property
    def incomplete(self) -> tuple[PassBooks, ...]:
        """Passes that were cut short. The same input at the same rate, replayed into the journal, completes them.

        Not those of live runs: the live process ends these when it starts again (line/interrupted.py).
        """
        return tuple(books for books in self.passes if not books.complete)

    @property
    def sound(self) -> bool:
        """Every pass is complete and balances."""
        return all(books.balanced for books in self.passes)


def verify_journal(path: Path, parts: RecordParts) -> JournalReport:
    """Check the file (pages, schema, chain, head) and add up every pass. Linear in the rows; never writes a row.

    parts: the classes that the models put into records (models.PARTS).
    What is reported is on the disk: rows that a killed process wrote and did not sync are synced before it returns.
    Raises JournalError if the file is torn, tampered with or no journal. Books that do not balance do not raise: they
    are in the report.
    """
    path = real_path(path)
    connection = open_for_reading(path)
    passes: dict[str, _OpenBooks] = {}
    others: Counter[str] = Counter()
    try:
        noted = noted_head(path)
        with translated(path):
            connection.execute("BEGIN")
            anchor = head = anchor_in(connection)
            going = (noted_anchor(path) or anchor).seq  # a pruning that was cut short goes on at the next start
            for row in checked_rows(connection, path, noted):
                head = Head(row.seq, row.chain)
                if row.seq <= going:
                    continue
                record = _record(path, row, parts)
                if isinstance(record, PassStart | Verdict | Alert | RunSummary):
                    passes.setdefault(record.pass_id, _OpenBooks(record.pass_id, record.run_id)).enter(record)
                else:
                    others[record.type] += 1
            connection.execute("COMMIT")
            _sync_where_written(path, connection)
    finally:
        connection.close()
    return JournalReport(
        path=str(path),
        rows=head.seq - anchor.seq,
        pruned=anchor.seq,
        anchor=anchor.chain.hex(),
        anchor_noted=noted_anchor(path) is not None,
        head=head.chain.hex(),
        head_noted=noted is not None,
        passes=tuple(books.closed() for books in passes.values()),
        refusals=others["refusal"],
        drafts=others["draft"],
        ended=others["ended"],
        readings=others["study"],
        engine_changes=others["engine"],
        starts=others["start"],
        decisions=others["decision"],
        signoffs=others["signoff"],
        reviews=others["review"],
    )


def _sync_where_written(path: Path, connection: HoldingConnection) -> None:
    try:
        sync_found(path, connection)
    except OSError as exc:
        if exc.errno not in (errno.EINVAL, errno.EROFS):  # on a medium that is never written nothing waits for a sync
            raise


def _record(path: Path, row: Row, parts: RecordParts) -> Record:
    try:
        record = record_from_body(row.body, parts)
    except ValueError as exc:
        raise JournalError(
            f"{path}: row {row.seq}: {exc}: written by another version, use that one to read it"
        ) from exc
    if (record.id.encode(), record.type.encode()) != (row.id, row.kind):
        raise JournalError(f"{path}: row {row.seq}: id or kind differ from its body: keep the file for examination")
    return record


@dataclass(slots=True)
class _OpenBooks:
    """The books of a pass while its rows go by."""

    pass_id: str
    run_id: str
    verdicts: Counter[Outcome] = field(default_factory=Counter)
    alerts: int = 0
    start: PassStart | None = None
    summary: RunSummary | None = None
    anomalies: list[str] = field(default_factory=list)
    frame_of: dict[str, int] = field(default_factory=dict)  # verdict id -> frame index
    indices: set[int] = field(default_factory=set)

    def enter(self, record: PassStart | Verdict | Alert | RunSummary) -> None:
        if record.run_id != self.run_id:
            self.anomalies.append(f"{record.type} {record.id} is of run {record.run_id}, the pass of {self.run_id}")
        if self.summary is not None:
            self.anomalies.append(f"{record.type} {record.id} comes after the run's summary")
        match record:
            case PassStart():
                self.start = record
            case Verdict():
                if record.frame_index in self.indices:
                    self.anomalies.append(f"frame {record.frame_index} has more than one verdict")
                self.verdicts[record.outcome] += 1
                self.indices.add(record.frame_index)
                self.frame_of[record.id] = record.frame_index
            case Alert():
                self.alerts += 1
                if self.frame_of.get(record.verdict_id) != record.frame_index:
                    self.anomalies.append(
                        f"alert {record.id} rests on no verdict of frame {record.frame_index} before it"
                    )
            case RunSummary():
                self.summary = record

    def closed(self) -> PassBooks:
        anomalies = list(self.anomalies)
        if self.indices and max(self.indices) >= len(self.indices):
            missing = sorted(set(range(max(self.indices))) - self.indices)
            anomalies.append(f"no verdict for {len(missing)} frames: {_listed(missing)}")
        if self.summary is not None:
            declared = {Outcome(outcome): count for outcome, count in self.summary.verdicts.items() if count}
            if declared != dict(self.verdicts):
                counted = {outcome.value: count for outcome, count in self.verdicts.items()}
                anomalies.append(f"the summary declares {self.summary.verdicts}, the journal has {counted}")
        return PassBooks(
            pass_id=self.pass_id,
            run_id=self.run_id,
            source=None if self.start is None else self.start.source,
            rate=None if self.start is None else self.start.rate,
            attempt=None if self.start is None else self.start.attempt,
            verdicts=dict(self.verdicts),
            alerts=self.alerts,
            frames=None if self.summary is None else self.summary.frames,
            anomalies=tuple(anomalies),
        )


def _listed(indices: list[int]) -> str:
    shown = ", ".join(map(str, indices[:5]))
    return shown if len(indices) <= 5 else f"{shown} …"
