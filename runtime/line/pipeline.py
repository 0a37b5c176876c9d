"""The line: one run in, one verdict per frame out, key-frame alerts on the way, the run's summary at its end.

    Source -> pace -> step (preprocess, Engine) -> finding -> policy -> Journal -> Sinks

Read `watch` top to bottom; every step is a plain call. Records go to the journal, which makes them durable before any
sink sees them. Not for: judging one frame (judge.py), opening things (replay.py) and deciding speed (pace.py).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from cathrt.runtime.alert import Alert, KeyframeFinding, LiveUntil, PassStart, Rate, Record, RunSummary, StoredRecord
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.clock import Clock
from cathrt.runtime.config import Config
from cathrt.runtime.errors import SourceError
from cathrt.runtime.failpoints import failpoint
from cathrt.runtime.frame import Frame, LostFrame, Run
from cathrt.runtime.frame_step import frame_step
from cathrt.runtime.identity import pass_id, record_id
from cathrt.runtime.journal.lateness import boot, is_late
from cathrt.runtime.journal.records import prepare_records
from cathrt.runtime.line.attempts import attempt_to_judge
from cathrt.runtime.line.judge import Judge
from cathrt.runtime.line.keep_warm import KeepWarm
from cathrt.runtime.line.ledger import Ledger
from cathrt.runtime.line.pace import as_taken, in_real_time
from cathrt.runtime.line.pass_identity import pass_values
from cathrt.runtime.models.keyframe.finding import KeyframeModel
from cathrt.runtime.models.keyframe.policy import KeyFramePolicy, Scored
from cathrt.runtime.models.keyframe.section import CLASSIFIER, section_of
from cathrt.runtime.ports import Engine, Source

_log = logging.getLogger(__name__)


class Recorder(Protocol):
    """What the line needs of the journal: to hand records in, and what it already holds of a pass."""

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


def watch(source: Source, line: Line, journal: Recorder, *, retry: bool = True) -> RunSummary:
    """Judge one run. Every frame it has ends as exactly one verdict; the journal has all of it on return.

    A pass that the journal holds in part (a kill, a power cut) is taken up: stored verdicts stand, the rest is judged.
    retry: where the journal holds a complete pass with frames that failed for a reason of ours, judge a new one.
    Raises SourceError, ManifestError or EngineError before the first frame if run, bundle and engine do not fit each
    other, JournalError where records cannot be kept: then nothing that was not durable has been shown. A source that
    breaks off later fails the frames that it still owes.
    """
    run, section = source.run, section_of(line.bundle.manifest)
    (preprocessing,) = line.bundle.manifest.network(CLASSIFIER).preprocessing
    step = frame_step(line.engine, run, preprocessing, line.clock.now_ns)  # an engine may be lost here
    attempt = attempt_to_judge(partial(_start, run, line), journal.stored, retry=retry)
    this_pass = attempt.start.pass_id
    model = KeyframeModel(section)
    judge = Judge(
        pass_id=this_pass,
        run_id=run.run_id,
        step=step,
        model=model,
        budget_ms=line.config.line.budget_ms if line.rate == "realtime" else None,
        now_ns=line.clock.now_ns,
    )
    policy = KeyFramePolicy(section.key_frame_threshold, line.config.policy)
    ledger = Ledger(run, model)
    prepare_records((KeyframeFinding,))  # the first frame does not pay for it
    journal.append(attempt.start)

    for item, waited_ms in _timed(_complete(source, _paced(source, line), line.clock), line.clock):
        failpoint("line.received")
        verdict = attempt.stands.get(item.index)
        if verdict is None:
            verdict, due_ns = judge(item, waited_ms), item.acquired_ns
        else:
            judge.stands(item, verdict)
            due_ns = None
        failpoint("line.judged")
        journal.append(verdict)
        scored = ledger.enter(verdict, due_ns)
        if scored is not None and (key := policy.observe(scored)) is not None:
            _announce(key, scored, attempt.start, line, journal)

    last = ledger.last_scored
    if last is not None and (key := policy.finish()) is not None:
        _announce(key, last, attempt.start, line, journal)
    summary = ledger.summary(this_pass, line.bundle, line.engine.name, line.config.policy)
    journal.append(summary)
    failpoint("line.summarised")
    return summary


def _start(run: Run, line: Line, attempt: int) -> PassStart:
    sha256, engine = line.bundle.manifest_sha256, line.engine.name
    this_pass = pass_id(pass_values(run.run_id, sha256, engine, line.rate, line.config, attempt=attempt))
    return PassStart(
        id=record_id(this_pass, "pass", ""),
        pass_id=this_pass,
        run_id=run.run_id,
        source=run.source,
        rate=line.rate,
        attempt=attempt,
        engine=engine,
        manifest_sha256=sha256,
    )


def _announce(key: Scored, raised_at: Scored, start: PassStart, line: Line, journal: Recorder) -> None:
    """Hand in the alert about `key`. In real time it is live until its frame is policy.stale_s old by the clock."""
    live_until = None
    if start.rate == "realtime" and key.due_ns is not None:  # a frame that an earlier process judged was due long ago
        live_until = LiveUntil(boot(), key.due_ns + round(line.config.policy.stale_s * 1e9))
    alert = Alert(
        id=record_id(start.pass_id, "alert", f"key_frame|{key.index}"),
        pass_id=start.pass_id,
        run_id=start.run_id,
        kind="key_frame",
        frame_index=key.index,
        raised_at_frame=raised_at.index,
        laterality=key.laterality,
        score=key.key_frame_score,
        verdict_id=key.verdict_id,
        late=is_late(live_until, line.clock.now_ns()) if start.rate == "realtime" else None,
        live_until=live_until,
        engine=key.engine,
    )
    journal.append(alert)
    failpoint("line.alerted")


def _paced(source: Source, line: Line) -> Iterator[Frame | LostFrame]:
    if line.rate == "realtime":
        return in_real_time(source, line.config.line.queue_frames, line.clock, line.keep_warm)
    return as_taken(source)


def _complete(source: Source, items: Iterator[Frame | LostFrame], clock: Clock) -> Iterator[Frame | LostFrame]:
    """Name every index that the source skipped or still owes, so that the books balance, also where it breaks off."""
    declared, expected = source.run.frame_count, 0
    reason, failed, ours = "missing upstream: the source ended early", False, False
    try:
        for item in items:
            if item.index < expected:
                raise AssertionError(f"source delivered frame {item.index} after frame {expected - 1}")
            for index in range(expected, item.index):
                yield LostFrame(index, item.acquired_ns, "missing upstream: the source skipped it", failed=False)
            expected = item.index + 1
            yield item
    except (SourceError, MemoryError) as exc:
        reason, failed, ours = (
            f"the source broke off: {str(exc) or type(exc).__name__}",
            True,
            not isinstance(exc, SourceError),
        )
        _log.warning("run %s, before frame %d: %s", source.run.run_id, expected, reason)
        declared = expected + 1 if declared is None else declared  # of a live run one frame at least says what happened
    for index in range(expected, declared or 0):
        yield LostFrame(index, clock.now_ns(), reason, failed=failed, ours=ours)


def _timed(items: Iterator[Frame | LostFrame], clock: Clock) -> Iterator[tuple[Frame | LostFrame, float]]:
    """Each item with the milliseconds that the line waited for it."""
    while True:
        asked_ns = clock.now_ns()
        try:
            item = next(items)
        except StopIteration:
            return
        yield item, (clock.now_ns() - asked_ns) / 1e6
