"""The live process: watches each live source with a line of its own, and raises alerts. One journal for all of them.

Started by the supervisor. Not for: pictures (sources/capture), what makes a run of them (line/live_runs.py), judging
(line/pipeline.py).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace

from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.clock import Clock, MonotonicClock
from cathrt.runtime.config import Config, SourceConfig
from cathrt.runtime.counts import Counts
from cathrt.runtime.engines.cpu import cpu_quota
from cathrt.runtime.errors import EngineError, EngineLostError
from cathrt.runtime.journal.lookups import last_seq
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.line.failover import FailoverEngine
from cathrt.runtime.line.interrupted import end_interrupted
from cathrt.runtime.line.keep_warm import KeepWarm
from cathrt.runtime.line.live_runs import LiveRuns
from cathrt.runtime.line.pipeline import Line, watch
from cathrt.runtime.line.replay import OF_ONE_INPUT, opened_line, refusal_of
from cathrt.runtime.models import given_bundles, load_config, record_parts
from cathrt.runtime.ports import Source, Tap
from cathrt.runtime.processes.child import Process, ProcessArguments, process_main
from cathrt.runtime.processes.counts_file import CountsFile
from cathrt.runtime.processes.tally import Tally, durable_verdicts
from cathrt.runtime.sources.capture.open_tap import tap_opening
from cathrt.runtime.sources.capture.tap_thread import TapThread

_BEAT_S = 0.5
_INFERENCES = 4  # at least, within the time in which health asks for one

_log = logging.getLogger(__name__)


def live(process: Process, arguments: ProcessArguments) -> None:
    """Watch all sources of the configuration until the process is to end. Raises CathrtError."""
    config = load_config(arguments.config)
    bundles = given_bundles(arguments.bundles, config).on_frames
    state, clock = arguments.state, MonotonicClock()
    counts: dict[str, Counts] = {}
    # The counts stay open until the journal has shown its last record to the tally.
    with ExitStack() as opened, Journal(state.live_journal, config.journal, (Tally(counts, clock.now_ns),)) as journal:
        for source in config.sources:
            counts[source.name] = opened.enter_context(closing(_settled(arguments, config, source)))
        end_interrupted(journal, record_parts())
        watchers = [
            Watcher(source, settings, bundles, journal, counts[source.name], clock, process)
            for source, settings in zip(config.sources, settings_of_sources(config), strict=True)
        ]
        _watch(watchers, process, clock, round(3e9 * config.supervisor.inference_s))


def settings_of_sources(config: Config) -> list[Config]:
    """The configuration of each source's line: its own budget and queue, its share of the CPUs' threads."""
    engine, number = config.engine, len(config.sources)
    if number > 1 and engine.threads == 0:
        engine = replace(engine, threads=max(1, cpu_quota() // number))
    return [
        replace(
            config,
            engine=engine,
            line=replace(config.line, budget_ms=source.frame_budget_ms, queue_frames=source.queue_frames),
        )
        for source in config.sources
    ]


def _settled(arguments: ProcessArguments, config: Config, source: SourceConfig) -> CountsFile:
    """The counts of a source, in which frames that a killed process had in hand are lost."""
    journal, names = arguments.state.live_journal, [each.name for each in config.sources]
    counts = CountsFile(arguments.state.counts(source.name), source.name, since_seq=last_seq(journal))
    try:
        if lost := counts.settle(durable_verdicts(journal, source.name, names, counts.since_seq)):
            _log.warning("source %s: %d frames were in hand when the process before was killed", source.name, lost)
    except BaseException:
        counts.close()
        raise
    return counts


@dataclass(slots=True, eq=False)
class Watcher:
    """One source and its line, in a thread of its own. failure: what ended it."""

    source: SourceConfig
    settings: Config
    bundles: Sequence[Bundle]
    journal: Journal
    counts: Counts
    clock: Clock
    process: Process
    warmed_ns: int = 0
    failure: BaseException | None = None
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run, name=f"cathrt-line-{self.source.name}", daemon=True)

    @property
    def began(self) -> bool:
        """Its engine is open."""
        return self.warmed_ns > 0

    @property
    def alive_ns(self) -> int:
        """When its thread was last seen to go round: a durable verdict, or a look for pictures while none came."""
        return max(self.warmed_ns, self.counts.value("verdict_ns"))

    @property
    def ended(self) -> bool:
        return self.thread.ident is not None and not self.thread.is_alive()

    def _run(self) -> None:
        try:
            with opened_line(self.bundles, self.settings, "live") as line:
                self.process.real_time(f"the line of {self.source.name}")
                self._warm(line)
                pictures = TapThread(self.source, self._open_tap(), self.clock, self.counts)
                warm = KeepWarm(lambda: self._warm(line), self._warm_every_ms(line), self.clock)
                runs = LiveRuns(self.source.name, pictures, self.source, self.counts, self.clock, warm)
                with closing(pictures):
                    while (run := runs.next_run(self.process.stop)) is not None:
                        with closing(run):
                            self._judge(run, line)
                runs.drain()
        except BaseException as exc:  # the main thread raises it
            self.failure = exc

    def _judge(self, run: Source, line: Line) -> None:
        """Every frame of the run ends as a verdict; where the line cannot take the run, as refused with it."""
        try:
            watch(run, line, self.journal)
        except EngineLostError:
            raise
        except OF_ONE_INPUT as exc:
            _log.warning("run %s: %s", run.run.source, exc)
            self.journal.append(replace(refusal_of(run.run.source, exc), notice=line.notice))
            for _ in run.frames():
                self.counts.add("refused")
        for served in line.models:
            if isinstance(served.engine, FailoverEngine):
                served.engine.require_alive()  # or every further frame would fail: a new process opens the engine anew

    def _open_tap(self) -> Callable[[], Tap]:
        opening = tap_opening(self.source, self.settings.limits)

        def opened() -> Tap:
            self.process.real_time(f"the pictures of {self.source.name}")
            return opening()

        return opened

    def _warm(self, line: Line) -> None:
        """One inference of each network while no frame comes: an idle GPU keeps its clocks up, and health sees it."""
        self.warmed_ns = self.clock.now_ns()
        for served in line.models:
            engine = served.engine
            if isinstance(engine, FailoverEngine) and engine.can_keep_warm:
                engine.keep_warm()
                engine.require_alive()
                continue
            try:
                engine.infer(engine.input_buffers)
            except EngineLostError:
                raise
            except EngineError as exc:
                _log.warning("%s: a dummy inference failed: %s", self.source.name, exc)
                return
        self.counts.note("inference_ns", self.clock.now_ns())

    def _warm_every_ms(self, line: Line) -> float:
        """As often as the engine needs it, and several times within the time in which health asks for one."""
        engine, often_ms = self.settings.engine, 1000.0 * self.settings.supervisor.inference_s / _INFERENCES
        gets_slow = any(isinstance(made.engine, FailoverEngine) and made.engine.can_keep_warm for made in line.models)
        return min(engine.keep_warm_ms, often_ms) if gets_slow and engine.keep_warm_ms else often_ms


def _watch(watchers: Sequence[Watcher], process: Process, clock: Clock, longest_ns: int) -> None:
    """Run the watchers until the process is to end, or one of them fails: then all end, and its error is raised."""
    try:
        for watcher in watchers:
            watcher.thread.start()
        while not process.stop.wait(_BEAT_S):
            if any(watcher.ended for watcher in watchers):
                break
            if all(watcher.began and clock.now_ns() - watcher.alive_ns < longest_ns for watcher in watchers):
                process.beat()
    finally:
        process.stop.set()
        for watcher in watchers:
            if watcher.thread.is_alive():
                watcher.thread.join()
    for watcher in watchers:
        if watcher.failure is not None:
            raise watcher.failure


if __name__ == "__main__":
    process_main("live", "live", live)
