"""The line: one run in, one verdict per frame out, key-frame alerts on the way, the run's summary at its end.

    Source -> pace -> preprocess -> Engine -> finding -> policy -> Journal -> Sinks

Read `watch` top to bottom; every step is a plain call. Records go to the journal, which makes them durable before any
sink sees them. Not for: opening things (cli.py does) and deciding speed (pace.py).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from cathrt.runtime.alert import Alert, KeyframeFinding, Outcome, Record, RunSummary, StageTimes, Verdict
from cathrt.runtime.bundle import Bundle
from cathrt.runtime.config import Config
from cathrt.runtime.failpoints import failpoint
from cathrt.runtime.frame import Frame, LostFrame
from cathrt.runtime.identity import pass_id, record_id
from cathrt.runtime.ledger import Ledger
from cathrt.runtime.models.keyframe import KeyframeModel
from cathrt.runtime.pace import Clock, as_taken, in_real_time
from cathrt.runtime.policy import KeyFramePolicy, Scored
from cathrt.runtime.ports import Engine, Source
from cathrt.runtime.preprocess import Preprocessor

Rate = Literal["realtime", "max"]
RULES_VERSION = 1  # raise it when the same frames may get other verdicts or alerts than before
_log = logging.getLogger(__name__)


class Recorder(Protocol):
    """What the line needs of the journal."""

    def append(self, record: Record) -> None: ...


@dataclass(frozen=True, slots=True)
class Line:
    """Everything that stays the same from run to run."""

    bundle: Bundle
    engine: Engine
    config: Config
    clock: Clock
    rate: Rate = "max"


def watch(source: Source, line: Line, journal: Recorder) -> RunSummary:
    """Judge one run. Every frame it has ends as exactly one verdict; the summary is already journalled on return.

    Raises JournalError where records cannot be kept: then nothing that was not durable has been shown.
    """
    run, manifest = source.run, line.bundle.manifest
    model = KeyframeModel(manifest.keyframe)
    threshold = manifest.keyframe.key_frame_threshold
    policy = KeyFramePolicy(threshold, line.config.policy)
    ledger = Ledger(run, model)
    judge = _Judge(line, model, Preprocessor(run, manifest.preprocessing))
    this_pass = pass_id(run.run_id, line.bundle.manifest_sha256, _rules(line))

    def announce(key: Scored | None, raised_at: Scored | None) -> None:
        if key is None or raised_at is None:
            return
        journal.append(
            Alert(
                id=record_id(this_pass, "alert", f"key_frame|{key.index}"),
                pass_id=this_pass,
                run_id=run.run_id,
                kind="key_frame",
                frame_index=key.index,
                raised_at_frame=raised_at.index,
                laterality=key.laterality,
                score=key.key_frame_score,
                verdict_id=key.verdict_id,
                late=raised_at.due_ms - key.due_ms > line.config.policy.stale_s * 1000.0,
            )
        )
        failpoint("line.alerted")

    for item, waited_ms in _timed(_complete(source, _paced(source, line)), line.clock):
        failpoint("line.received")
        outcome, reason, finding, times = judge(item, waited_ms)
        verdict = Verdict(
            id=record_id(this_pass, "verdict", str(item.index)),
            pass_id=this_pass,
            run_id=run.run_id,
            frame_index=item.index,
            outcome=outcome,
            reason=reason,
            finding=finding,
            latency_ms=times,
        )
        failpoint("line.judged")
        journal.append(verdict)
        scored = ledger.enter(verdict)
        if scored is not None:
            announce(policy.observe(scored), scored)

    announce(policy.finish(ledger.last_scored), ledger.last_scored)
    summary = ledger.summary(
        this_pass,
        line.config.policy,
        threshold,
        bundle=manifest.name,
        manifest_sha256=line.bundle.manifest_sha256,
        engine=line.engine.name,
    )
    journal.append(summary)
    failpoint("line.summarised")
    return summary


class _Judge:
    """One frame's way from pixels to finding, with its stage times."""

    def __init__(self, line: Line, model: KeyframeModel, preprocess: Preprocessor) -> None:
        self._line = line
        self._model = model
        self._preprocess = preprocess
        self._tensor = line.engine.input_buffers[line.bundle.manifest.preprocessing.input]
        self._feeds = dict(line.engine.input_buffers)
        self._previous: Frame | None = None

    def __call__(
        self, item: Frame | LostFrame, waited_ms: float
    ) -> tuple[Outcome, str | None, KeyframeFinding | None, StageTimes]:
        now = self._line.clock.now_ns
        if isinstance(item, LostFrame):
            outcome = Outcome.FAILED if item.failed else Outcome.DROPPED
            return outcome, item.reason, None, StageTimes(source=waited_ms, end_to_end=_ms(item.acquired_ns, now()))
        if self._previous is not None and np.array_equal(item.pixels, self._previous.pixels):
            reason = f"same pixels as frame {self._previous.index}"
            times = StageTimes(source=waited_ms, end_to_end=_ms(item.acquired_ns, now()))
            return Outcome.DUPLICATE, reason, None, times
        self._previous = item
        try:
            started = now()
            self._preprocess(item.pixels, self._tensor)
            preprocessed = now()
            failpoint("line.preprocessed")
            outputs = self._line.engine.infer(self._feeds)
            inferred = now()
            failpoint("line.inferred")
            finding = self._model.finding(outputs)
            done = now()
        except Exception as exc:  # the one place: whatever goes wrong with a frame, the frame ends and the line goes on
            _log.exception("frame %d failed", item.index)
            times = StageTimes(source=waited_ms, end_to_end=_ms(item.acquired_ns, now()))
            return Outcome.FAILED, f"{type(exc).__name__}: {exc}", None, times
        times = StageTimes(
            source=waited_ms,
            preprocess=_ms(started, preprocessed),
            infer=_ms(preprocessed, inferred),
            postprocess=_ms(inferred, done),
            end_to_end=_ms(item.acquired_ns, done),
        )
        budget_ms = self._line.config.line.budget_ms
        if times.end_to_end > budget_ms:
            return Outcome.LATE, f"{times.end_to_end:.1f} ms, budget {budget_ms:g} ms", finding, times
        return Outcome.MET, None, finding, times


def _paced(source: Source, line: Line) -> Iterator[Frame | LostFrame]:
    if line.rate == "realtime":
        return in_real_time(source, line.config.line.queue_frames, line.clock)
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
    while True:
        asked = clock.now_ns()
        try:
            item = next(items)
        except StopIteration:
            return
        yield item, _ms(asked, clock.now_ns())


def _rules(line: Line) -> str:
    return f"{RULES_VERSION}|{line.rate}|{line.engine.name}|{line.config.line}|{line.config.policy}"


def _ms(start_ns: int, end_ns: int) -> float:
    return (end_ns - start_ns) / 1e6
