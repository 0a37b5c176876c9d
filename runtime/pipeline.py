"""The line: one run in, one verdict per frame out, key-frame alerts on the way, the run's summary at its end.

    Source -> pace -> step (preprocess, Engine) -> finding -> policy -> Journal -> Sinks

Read `watch` top to bottom; every step is a plain call. Records go to the journal, which makes them durable before any
sink sees them. Not for: judging one frame (judge.py), opening things (replay.py) and deciding speed (pace.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from cathrt.runtime.alert import Alert, KeyframeFinding, Record, RunSummary, StoredRecord, Verdict
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import Config
from cathrt.runtime.failpoints import failpoint
from cathrt.runtime.frame import Frame, LostFrame, Run
from cathrt.runtime.frame_step import frame_step
from cathrt.runtime.identity import pass_id, record_id
from cathrt.runtime.judge import Judge
from cathrt.runtime.keep_warm import KeepWarm
from cathrt.runtime.ledger import Ledger
from cathrt.runtime.models.keyframe import KeyframeModel
from cathrt.runtime.pace import Clock, as_taken, in_real_time
from cathrt.runtime.policy import KeyFramePolicy, Scored
from cathrt.runtime.ports import Engine, Source
from cathrt.runtime.records import prepare_records, record_from_body

Rate = Literal["realtime", "max"]
RULES_VERSION = 1  # raise it when the same frames may get other verdicts or alerts than before


class Recorder(Protocol):
    """What the line needs of the journal: to hand records in, and what it already holds of a pass cut short."""

    def append(self, record: Record) -> None: ...
    def stored(self, pass_id: str) -> tuple[StoredRecord, ...]: ...


@dataclass(frozen=True, slots=True)
class Line:
    """Everything that stays the same from run to run. keep_warm: for engines that get slow by resting."""

    bundle: Bundle
    engine: Engine
    config: Config
    clock: Clock
    rate: Rate = "max"
    keep_warm: KeepWarm | None = None


def watch(source: Source, line: Line, journal: Recorder) -> RunSummary:
    """Judge one run. Every frame it has ends as exactly one verdict; the journal has all of it on return.

    A pass that the journal holds in part (a kill, a power cut) is taken up: stored verdicts stand, the rest is judged.
    Raises SourceError or ManifestError before the first frame if run and bundle do not fit each other, JournalError
    where records cannot be kept: then nothing that was not durable has been shown.
    """
    run, manifest = source.run, line.bundle.manifest
    step = frame_step(line.engine, run, manifest.preprocessing, line.clock.now_ns)  # an engine may be lost here
    this_pass = pass_id(run.run_id, line.bundle.manifest_sha256, _rules(line))
    model = KeyframeModel(manifest.keyframe)
    judge = Judge(
        pass_id=this_pass,
        run_id=run.run_id,
        step=step,
        model=model,
        budget_ms=line.config.line.budget_ms,
        now_ns=line.clock.now_ns,
    )
    policy = KeyFramePolicy(manifest.keyframe.key_frame_threshold, line.config.policy)
    ledger = Ledger(run, model)
    prepare_records((KeyframeFinding,))  # the first frame does not pay for it
    stands = _verdicts(journal.stored(this_pass))

    for item, waited_ms in _timed(_complete(source, _paced(source, line)), line.clock):
        failpoint("line.received")
        verdict = stands.get(item.index) or judge(item, waited_ms)
        failpoint("line.judged")
        journal.append(verdict)
        scored = ledger.enter(verdict)
        if scored is not None and (key := policy.observe(scored)) is not None:
            journal.append(_alert(key, scored, this_pass, run, line))
            failpoint("line.alerted")

    last = ledger.last_scored
    if last is not None and (key := policy.finish()) is not None:
        journal.append(_alert(key, last, this_pass, run, line))
        failpoint("line.alerted")
    summary = ledger.summary(this_pass, line.bundle, line.engine.name, line.config.policy)
    journal.append(summary)
    failpoint("line.summarised")
    return summary


def _verdicts(stored: Iterable[StoredRecord]) -> dict[int, Verdict[KeyframeFinding]]:
    """The verdicts among these records, by frame."""
    records = (record_from_body(row.body, (KeyframeFinding,)) for row in stored)
    return {record.frame_index: record for record in records if isinstance(record, Verdict)}


def _alert(key: Scored, raised_at: Scored, pass_id_: str, run: Run, line: Line) -> Alert:
    return Alert(
        id=record_id(pass_id_, "alert", f"key_frame|{key.index}"),
        pass_id=pass_id_,
        run_id=run.run_id,
        kind="key_frame",
        frame_index=key.index,
        raised_at_frame=raised_at.index,
        laterality=key.laterality,
        score=key.key_frame_score,
        verdict_id=key.verdict_id,
        late=raised_at.due_ms - key.due_ms > line.config.policy.stale_s * 1000.0,
        engine=key.engine,
    )


def _paced(source: Source, line: Line) -> Iterator[Frame | LostFrame]:
    if line.rate == "realtime":
        return in_real_time(source, line.config.line.queue_frames, line.clock, line.keep_warm)
    return as_taken(source)


def _complete(source: Source, items: Iterator[Frame | LostFrame]) -> Iterator[Frame | LostFrame]:
    """Name every index that the source skipped or still owes, so that the books balance."""
    expected, acquired_ns = 0, 0
    for item in items:
        if item.index < expected:
            raise AssertionError(f"source delivered frame {item.index} after frame {expected - 1}")
        acquired_ns = item.acquired_ns
        for index in range(expected, item.index):
            yield LostFrame(index, acquired_ns, "missing upstream: the source skipped it", failed=False)
        expected = item.index + 1
        yield item
    for index in range(expected, source.run.frame_count or 0):
        yield LostFrame(index, acquired_ns, "missing upstream: the source ended early", failed=False)


def _timed(items: Iterator[Frame | LostFrame], clock: Clock) -> Iterator[tuple[Frame | LostFrame, float]]:
    """Each item with the milliseconds that the line waited for it."""
    while True:
        asked_ns = clock.now_ns()
        try:
            item = next(items)
        except StopIteration:
            return
        yield item, (clock.now_ns() - asked_ns) / 1e6


def _rules(line: Line) -> str:
    """Everything beside run and model that decides verdicts and alerts: part of a pass's identity."""
    return f"{RULES_VERSION}|{line.rate}|{line.engine.name}|{line.config.line}|{line.config.policy}"
