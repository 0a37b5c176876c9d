"""Judges recorded runs one after another: what `cathrt replay` and `cathrt demo` share.

An input that cannot be read or judged becomes a Refusal in the journal; the others go on. Not for: printing (sinks do)
and exits.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from cathrt.runtime.alert import Rate, Refusal, RunSummary
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.clock import MonotonicClock
from cathrt.runtime.config import Config
from cathrt.runtime.errors import CathrtError, ConfigError, EngineError, ManifestError, SinkError, SourceError
from cathrt.runtime.frame import Run
from cathrt.runtime.identity import record_id
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.line.failover import FailoverEngine, open_with_fallback
from cathrt.runtime.line.keep_warm import KeepWarm
from cathrt.runtime.line.pipeline import Line, ServedModel, watch
from cathrt.runtime.model_kind import OnFrames
from cathrt.runtime.models import MODELS, record_parts
from cathrt.runtime.ports import Opening, SeveralRunsError, Sink

_log = logging.getLogger(__name__)

# What one input can meet before its first frame without any harm to the next input.
OF_ONE_INPUT = (SourceError, ManifestError, ConfigError, EngineError)  # why a line cannot take a run


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of the inputs: every one is in exactly one of the two."""

    summaries: tuple[RunSummary, ...]
    refusals: tuple[Refusal, ...]


def replay(
    openings: Iterable[Opening], line: Line, journal: Journal, opened: Callable[[Run], None] = lambda run: None
) -> Replayed:
    """Judge each input in turn; on return all records are durable and shown. opened(run) comes before its frames.

    A run that comes twice is judged once, also where frames of it failed: a later replay judges those again. An input
    that turns out to be several runs is taken as these, in its place.
    Raises JournalError where records cannot be kept, SinkError where they are kept but a sink does not take them.
    """
    summaries: list[RunSummary] = []
    refusals: list[Refusal] = []
    judged: set[str] = set()
    inputs = _Inputs(openings, ahead=line.rate == "max")
    with closing(inputs):
        for opening in inputs:
            try:
                with ExitStack() as stack:
                    source = opening.open()
                    stack.callback(source.close)
                    inputs.start_next()
                    opened(source.run)
                    run_id = source.run.run_id
                    summaries.append(watch(source, line, journal, retry=run_id not in judged))
                    judged.add(run_id)
            except SeveralRunsError as exc:
                _log.warning("%s", exc)
                inputs.take_first(exc.openings)
            except OF_ONE_INPUT as exc:
                refusals.append(replace(refusal_of(opening.name, exc), notice=line.notice))
                journal.append(refusals[-1])
            journal.sync()  # a reader that has gone is noticed here, not after the whole archive
    journal.sync()
    return Replayed(tuple(summaries), tuple(refusals))


class _Inputs:
    """The inputs in turn, and the one that is started before its turn: at most one.

    ahead: start it at all. At real time nothing is: it would take CPU time from the frames that are due.
    """

    def __init__(self, openings: Iterable[Opening], *, ahead: bool) -> None:
        self._first: deque[Opening] = deque()
        self._further = iter(openings)
        self._ahead = ahead
        self._started: Opening | None = None

    def __iter__(self) -> Iterator[Opening]:
        while (opening := self._next()) is not None:
            self._started = None
            yield opening

    def _next(self) -> Opening | None:
        return self._first.popleft() if self._first else next(self._further, None)

    def start_next(self) -> None:
        """Have the next input's header read while the present one is judged."""
        if self._ahead and (opening := self._next()) is not None:
            self._first.appendleft(opening)
            self._started = opening
            opening.start()

    def take_first(self, openings: Sequence[Opening]) -> None:
        """Put these before all that are left."""
        self._first.extendleft(reversed(openings))

    def close(self) -> None:
        if self._started is not None:
            self._started.give_up()


def refusal_of(name: str, exc: CathrtError) -> Refusal:
    """The record of a run that the line could not take."""
    return Refusal(id=record_id("refusal", name, str(exc)), source=name, error=type(exc).__name__, message=str(exc))


@contextmanager
def opened_line(bundles: Sequence[Bundle], config: Config, rate: Rate) -> Iterator[Line]:
    """A line of these bundles: engines, and fallbacks where named, loaded and warm; closed on the way out.

    Every line that shows results is opened here, but for the live process's (ladder_opening.py). At rate "max" engines
    are opened for throughput, else for latency.
    Raises ConfigError for two bundles of one kind, or a kind that judges no single frames, ManifestError for weights
    that were drawn and never trained, and EngineLostError at the end where an engine was lost on the way and every
    later frame has FAILED.
    """
    rows = [row_of(bundle, bundles) for bundle in bundles]
    clock, every_ms = MonotonicClock(), config.engine.keep_warm_ms
    with ExitStack() as stack:
        engines: list[FailoverEngine] = []
        served: list[ServedModel] = []
        for bundle, row in zip(bundles, rows, strict=True):
            engine = open_with_fallback(bundle, row.role, config.engine, side_by_side=rate == "max")
            stack.callback(engine.close)
            engines.append(engine)
            model = row.open(bundle, config.policy.get(bundle.manifest.kind))
            served.append(ServedModel(bundle, engine, model, bundle.manifest.network(row.role).preprocessing))
        resting = [engine for engine in engines if engine.can_keep_warm]

        def warm() -> None:
            for engine in resting:
                engine.keep_warm()

        keep_warm = KeepWarm(warm, every_ms, clock) if every_ms and resting else None
        yield Line(tuple(served), record_parts(), config, clock, rate, keep_warm)
        for engine in engines:
            engine.require_alive()


def row_of(bundle: Bundle, bundles: Sequence[Bundle]) -> OnFrames:
    """How the bundle's kind takes part in a line of these bundles. Raises ManifestError, ConfigError."""
    manifest = bundle.manifest
    if manifest.random_init:
        raise ManifestError(
            f"bundle {manifest.name} holds random weights, its findings mean nothing: it is for measuring "
            "speed with the benchmarks; export trained weights with --weights"
        )
    if sum(other.manifest.kind == manifest.kind for other in bundles) > 1:
        raise ConfigError(f"bundle {manifest.name}: more than one of kind {manifest.kind}: a line takes one of each")
    row = MODELS[manifest.kind].on_frames
    if row is None:
        raise ConfigError(f"bundle {manifest.name}: a {manifest.kind} model judges no single frames: leave it out here")
    return row


@contextmanager
def opened_journal(path: Path | None, config: Config, sinks: tuple[Sink, ...]) -> Iterator[Journal]:
    """The journal at `path`, or one in a temporary folder that goes when the records have been shown."""
    if path is not None:
        with Journal(path, config.journal, sinks) as journal:
            yield journal
        return
    with TemporaryDirectory(prefix="cathrt-") as folder:
        try:
            with Journal(Path(folder) / "journal.db", config.journal, sinks) as journal:
                yield journal
        except SinkError as exc:
            raise SinkError(
                f"{exc.__cause__ or exc}; the records are not kept, since no journal was named: give --journal FILE"
            ) from exc
