"""The line: one run in, one verdict per frame out, alerts on the way, the run's summary at its end.

    Source -> pace -> step (preprocess, Engine) -> findings -> policies -> Journal -> Sinks

Read `watch` top to bottom; every step is a plain call. Records go to the journal, which makes them durable before any
sink sees them. Not for: judging one frame (judge.py), opening things (replay.py) and deciding speed (pace.py).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from cathrt.runtime.alert import (
    BY_THE_CLOCK,
    NOTICE,
    NOTICES,
    Alert,
    LiveUntil,
    PassModel,
    PassStart,
    Rate,
    Record,
    RunSummary,
    StoredRecord,
    Verdict,
)
from cathrt.runtime.bundle.manifest import Preprocessing
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.clock import Clock
from cathrt.runtime.config import Config
from cathrt.runtime.errors import SourceError
from cathrt.runtime.failpoints import failpoint
from cathrt.runtime.frame import Frame, LostFrame, Run
from cathrt.runtime.frame_step import frame_step
from cathrt.runtime.identity import pass_id, record_id
from cathrt.runtime.journal.lateness import boot, is_late
from cathrt.runtime.journal.records import RecordParts, prepare_records
from cathrt.runtime.line.attempts import attempt_to_judge
from cathrt.runtime.line.in_flight import verdicts_in_order
from cathrt.runtime.line.judge import Judge, RunningModel
from cathrt.runtime.line.keep_warm import KeepWarm
from cathrt.runtime.line.ledger import Ledger
from cathrt.runtime.line.pace import as_taken, in_real_time
from cathrt.runtime.line.pass_identity import ModelValues, pass_values
from cathrt.runtime.model_kind import FrameModel, Judged, Raised
from cathrt.runtime.ports import Engine, Source

_log = logging.getLogger(__name__)


class Recorder(Protocol):
    """What the line needs of the journal: to hand records in, and what it already holds of a pass."""

    def append(self, record: Record) -> None: ...
    def stored(self, pass_id: str) -> tuple[StoredRecord, ...]: ...


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A frame model, the engine that computes its network, and how frames become the network's inputs."""

    bundle: Bundle
    engine: Engine
    model: FrameModel
    preprocessing: tuple[Preprocessing, ...]

    @property
    def kind(self) -> str:
        return self.bundle.manifest.kind


@dataclass(frozen=True, slots=True)
class Line:
    """Everything that stays the same from run to run.

    models: at least one, each of another kind; every frame is judged by all of them.
    parts: what they put into records. keep_warm: for engines that get slow by resting.
    """

    models: tuple[ServedModel, ...]
    parts: RecordParts
    config: Config
    clock: Clock
    rate: Rate = "max"
    keep_warm: KeepWarm | None = None

    @property
    def notice(self) -> str:
        """What every record must say: the gravest that a bundle's manifest asks for."""
        return max((served.bundle.manifest.notice for served in self.models), key=NOTICES.index)


def watch(source: Source, line: Line, journal: Recorder, *, retry: bool = True) -> RunSummary:
    """Judge one run. Every frame it has ends as exactly one verdict; the journal has all of it on return.

    A pass that the journal holds in part (a kill, a power cut) is taken up: stored verdicts stand, the rest is judged.
    retry: where the journal holds a complete pass with frames that failed for a reason of ours, judge a new one.
    Raises SourceError, ManifestError or EngineError before the first frame if run, bundle and engine do not fit each
    other, JournalError where records cannot be kept: then nothing that was not durable has been shown. A source that
    breaks off later fails the frames that it still owes.
    """
    run, now_ns = source.run, line.clock.now_ns
    journal = _noticed(journal, line.notice)
    running = [  # an engine may be lost here
        RunningModel(served.kind, frame_step(served.engine, run, served.preprocessing, now_ns), served.model.begin(run))
        for served in line.models
    ]
    attempt = attempt_to_judge(partial(_start, run, line), journal.stored, line.parts, retry=retry)
    judge = Judge(
        pass_id=attempt.start.pass_id,
        run_id=run.run_id,
        models=running,
        budget_ms=line.config.line.budget_ms if line.rate in BY_THE_CLOCK else None,
        now_ns=now_ns,
    )
    ledger, told = Ledger(), _Told(run, attempt.start, line, journal)
    prepare_records(line.parts)  # the first frame does not pay for it
    journal.append(attempt.start)

    items = _timed(_complete(source, _paced(source, line), line.clock), line.clock)
    for verdict, due_ns in verdicts_in_order(items, judge, attempt.stands):
        failpoint("line.judged")
        journal.append(verdict)
        ledger.enter(verdict)
        told.observe(running, verdict, due_ns)

    told.finish(running)
    results = [
        model.part.result(ledger.engines(model.kind, served.engine.name))
        for model, served in zip(running, line.models, strict=True)
    ]
    summary = ledger.summary(attempt.start.pass_id, source.run, results, notice=line.notice)
    journal.append(summary)
    failpoint("line.summarised")
    return summary


@dataclass(frozen=True, slots=True)
class _Noticed:
    """A recorder that puts another notice than NOTICE into every record."""

    journal: Recorder
    notice: str

    def append(self, record: Record) -> None:
        self.journal.append(replace(record, notice=self.notice))

    def stored(self, pass_id: str) -> tuple[StoredRecord, ...]:
        return self.journal.stored(pass_id)


def _noticed(journal: Recorder, notice: str) -> Recorder:
    return journal if notice == NOTICE else _Noticed(journal, notice)


def _start(run: Run, line: Line, attempt: int) -> PassStart:
    models = [
        ModelValues(served.kind, served.bundle.manifest_sha256, served.engine.name, served.model.identity)
        for served in line.models
    ]
    given_rate_hz = run.timing.frame_rate_hz if run.timing.origin == "given" else None
    values = pass_values(run.run_id, models, line.rate, line.config.line, attempt=attempt, given_rate_hz=given_rate_hz)
    this_pass = pass_id(values)
    return PassStart(
        id=record_id(this_pass, "pass", ""),
        pass_id=this_pass,
        run_id=run.run_id,
        source=run.source,
        rate=line.rate,
        attempt=attempt,
        models=tuple(PassModel(model.kind, model.manifest_sha256, model.engine) for model in models),
    )


class _Told:
    """Hands what the models have to tell to the journal, as alerts."""

    def __init__(self, run: Run, start: PassStart, line: Line, journal: Recorder) -> None:
        self._timing = run.timing
        self._start = start
        self._line = line
        self._journal = journal
        self._newest = 0
        self._first_ns: int | None = None  # when a live run began

    def observe(self, running: Sequence[RunningModel], verdict: Verdict, due_ns: int | None) -> None:
        """Show each model what it found on a frame. due_ns: None for a frame that an earlier process judged."""
        findings = {finding.kind: finding for finding in verdict.findings}
        if not findings:
            return
        self._newest = verdict.frame_index
        due_ms = self._due_ms(verdict.frame_index, due_ns)
        for model in running:
            if (finding := findings.get(model.kind)) is not None:
                judged = Judged(verdict.frame_index, due_ms, verdict.id, finding, due_ns)
                self._append(model.part.observe(judged))

    def finish(self, running: Sequence[RunningModel]) -> None:
        """The run is over."""
        for model in running:
            self._append(model.part.finish())

    def _due_ms(self, index: int, due_ns: int | None) -> float:
        """From the run's first frame. A live frame is due when it is captured, whatever the rate was thought to be."""
        if self._start.rate != "live" or due_ns is None:
            return self._timing.due_ms(index)
        if self._first_ns is None:
            self._first_ns = due_ns
        return (due_ns - self._first_ns) / 1e6

    def _append(self, raised: Sequence[Raised]) -> None:
        for one in raised:
            self._journal.append(self._alert(one))
            failpoint("line.alerted")

    def _alert(self, raised: Raised) -> Alert:
        """By the clock an alert is live until its frame is line.stale_s old by the clock."""
        about, start, line = raised.about, self._start, self._line
        live_until = None
        if start.rate in BY_THE_CLOCK and about.due_ns is not None:  # what an earlier process judged was due long ago
            live_until = LiveUntil(boot(), about.due_ns + round(line.config.line.stale_s * 1e9))
        return Alert(
            id=record_id(start.pass_id, "alert", f"{raised.news.kind}|{about.index}"),
            pass_id=start.pass_id,
            run_id=start.run_id,
            frame_index=about.index,
            raised_at_frame=self._newest,
            verdict_id=about.verdict_id,
            late=is_late(live_until, line.clock.now_ns()) if start.rate in BY_THE_CLOCK else None,
            live_until=live_until,
            engine=about.finding.engine,
            news=raised.news,
        )


def _paced(source: Source, line: Line) -> Iterator[Frame | LostFrame]:
    """A live source waits for its pictures itself, keeps the engine warm meanwhile, and says which were overrun."""
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
