"""The live process: watches each live source with a line of its own, and raises alerts. One journal for all of them.

Started by the supervisor. Not for: pictures (sources/capture), what makes a run of them (line/live_runs.py), judging
(line/pipeline.py).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace

from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.clock import Clock, MonotonicClock
from cathrt.runtime.config import Config, SourceConfig
from cathrt.runtime.counts import Counts
from cathrt.runtime.engines.cpu import cpu_quota
from cathrt.runtime.errors import EngineError, SinkError
from cathrt.runtime.journal.lookups import last_seq
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.line.heat import HeatReader
from cathrt.runtime.line.interrupted import end_interrupted
from cathrt.runtime.line.keep_warm import KeepWarm
from cathrt.runtime.line.ladder_opening import check_rungs, open_place, open_places, rung_bundles
from cathrt.runtime.line.ladder_place import Place
from cathrt.runtime.line.live_ladder import LiveLadder
from cathrt.runtime.line.live_runs import LiveRuns
from cathrt.runtime.line.pipeline import Line, watch
from cathrt.runtime.line.replay import OF_ONE_INPUT, refusal_of
from cathrt.runtime.models import given_bundles, load_config, record_parts
from cathrt.runtime.pictures.shown import Ring, ShownPictures
from cathrt.runtime.pictures.writer import PictureRing
from cathrt.runtime.ports import Source, Tap
from cathrt.runtime.processes.child import Process, ProcessArguments, process_main
from cathrt.runtime.processes.counts_file import CountsFile
from cathrt.runtime.processes.journal_check import NEWEST_ROWS, JournalCheck
from cathrt.runtime.processes.ladder_keeping import Keeping
from cathrt.runtime.processes.retaining import live_keeper
from cathrt.runtime.processes.state_folder import StateFolder
from cathrt.runtime.processes.swap_files import bundles_in_force
from cathrt.runtime.processes.tally import Tally, durable_verdicts, source_of_run
from cathrt.runtime.processes.times_file import TimesFile
from cathrt.runtime.processes.timings import Timings, catch_up
from cathrt.runtime.retention.keeper import retaining
from cathrt.runtime.sources.capture.open_tap import tap_opening
from cathrt.runtime.sources.capture.tap_thread import TapThread

_BEAT_S = 0.5
_LOOK_S = 0.25  # at the temperature, and at what may come back
_KEEPER_ENDS_S = 2.0
_INFERENCES = 4  # at least, within the time in which health asks for one

_log = logging.getLogger(__name__)


def live(process: Process, arguments: ProcessArguments) -> None:
    """Watch all sources of the configuration until the process is to end. Raises CathrtError."""
    config = load_config(arguments.config)
    state, clock = arguments.state, MonotonicClock()
    given = given_bundles(arguments.bundles, config).on_frames
    bundles, faults = bundles_in_force(state, given, config)
    check_rungs(bundles, config)
    counts: dict[str, CountsFile] = {}
    times: dict[str, TimesFile] = {}
    sinks = Tally(counts, clock.now_ns), Timings(lambda run: times.get(source_of_run(run, times) or ""))
    # Counts and times stay open until the journal has shown its last record to the sinks.
    with ExitStack() as opened, Journal(state.live_journal, config.journal, sinks, newest=NEWEST_ROWS) as journal:
        for source in config.sources:
            counts[source.name] = opened.enter_context(closing(_settled(arguments, config, source)))
            times[source.name] = opened.enter_context(closing(_caught_up(state, config, source)))
        end_interrupted(journal, record_parts())
        watchers = []
        for source, settings in zip(config.sources, settings_of_sources(config), strict=True):
            if (ring := _ring(state, config, source, clock)) is not None:
                opened.callback(ring.close)
            watchers.append(Watcher(source, settings, bundles, journal, counts[source.name], clock, process, ring))
        keeping = Keeping(watchers, state, config, clock, process.stop, faults)
        check = JournalCheck(state, journal)
        with retaining(live_keeper(state, config, journal, counts)), closing(check):

            def look() -> None:
                check.look()
                keeping.look()

            _watch(watchers, process, clock, round(3e9 * config.supervisor.inference_s), look)


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


def _caught_up(state: StateFolder, config: Config, source: SourceConfig) -> TimesFile:
    """The stage times of a source, with those of verdicts that a killed process had not counted yet."""
    journal, names = state.live_journal, [each.name for each in config.sources]
    times = TimesFile(state.times(source.name), source.name, since_seq=last_seq(journal))
    try:
        catch_up(times, journal, lambda run: source_of_run(run, names) == source.name)
    except BaseException:
        times.close()
        raise
    return times


def _ring(state: StateFolder, config: Config, source: SourceConfig, clock: Clock) -> PictureRing | None:
    """Where the page finds the source's pictures. Without one there is nothing to see there, and all else goes on."""
    if not config.page.enabled:
        return None
    try:
        return PictureRing(state.pictures(source.name), source.name, config.page.picture_mib << 20, clock.now_ns)
    except SinkError as exc:
        _log.warning("no pictures of %s for the page: %s", source.name, exc)
        return None


@dataclass(slots=True, eq=False)
class Watcher:
    """One source and its line, in a thread of its own. ring: where its pictures are put for the page. ladder: what
    judges; None until it is open. failure: what ended it, or the thread beside it that keeps the ladder."""

    source: SourceConfig
    settings: Config
    bundles: Sequence[Bundle]
    journal: Journal
    counts: Counts
    clock: Clock
    process: Process
    ring: Ring | None = None
    warmed_ns: int = 0
    inferred_ns: int = 0
    ladder: LiveLadder | None = None
    failure: BaseException | None = None
    thread: threading.Thread = field(init=False)
    keeper: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run, name=f"cathrt-line-{self.source.name}", daemon=True)
        self.keeper = threading.Thread(target=self._keep, name=f"cathrt-ladder-{self.source.name}", daemon=True)

    @property
    def began(self) -> bool:
        """Its engines are open."""
        return self.warmed_ns > 0

    @property
    def alive_ns(self) -> int:
        """When its thread was last seen to go round: a durable verdict, or a look for pictures while none came."""
        return max(self.warmed_ns, self.counts.value("verdict_ns"))

    @property
    def ended(self) -> bool:
        return self.thread.ident is not None and (not self.thread.is_alive() or self.failure is not None)

    def open_beside(self, bundle: Bundle) -> Place:
        """Another bundle's place on the ladder, for a swap. Raises CathrtError."""
        return open_place(bundle, self.settings, self.clock, self._real_time, rung_bundles(self.settings))

    def _run(self) -> None:
        try:
            with self._opened() as ladder:
                self.process.real_time(f"the line of {self.source.name}")
                self._warm(ladder)
                pictures = TapThread(self.source, self._open_tap(), self.clock, self.counts)
                warm = KeepWarm(lambda: self._warm(ladder), self._warm_every_ms(ladder), self.clock)
                shown = pictures if self.ring is None else ShownPictures(pictures, self.ring, self.clock.now_ns)
                runs = LiveRuns(self.source.name, shown, self.source, self.counts, self.clock, warm)
                with closing(pictures):
                    while (run := runs.next_run(self.process.stop)) is not None:
                        with closing(run):
                            self._judge(run, ladder)
                runs.drain()
        except BaseException as exc:  # the main thread raises it
            self.failure = exc

    @contextmanager
    def _opened(self) -> Iterator[LiveLadder]:
        """The ladder, kept by a thread beside this one. What hangs is left to the end of the process."""
        places = open_places(self.bundles, self.settings, self.clock, self._real_time)
        line = Line((), record_parts(), self.settings, self.clock, "live")
        ladder = self.ladder = LiveLadder(self.source.name, line, places, self.journal, HeatReader())
        self.keeper.start()
        try:
            yield ladder
        finally:
            self.process.stop.set()
            self.keeper.join(_KEEPER_ENDS_S)
            if not self.keeper.is_alive():
                ladder.close()

    def _keep(self) -> None:
        """The thread beside the line: whatever takes long, or may hang."""
        assert self.ladder is not None
        try:
            while not self.process.stop.wait(_LOOK_S):
                self.ladder.look()
        except BaseException as exc:  # the main thread raises it
            self.failure = exc

    def _judge(self, run: Source, ladder: LiveLadder) -> None:
        """Every frame of the run ends as a verdict; where the line cannot take the run, as refused with it."""
        line = ladder.begin()
        try:
            watch(ladder.watched(run), line, ladder)
        except OF_ONE_INPUT as exc:
            _log.warning("run %s: %s", run.run.source, exc)
            self.journal.append(replace(refusal_of(run.run.source, exc), notice=line.notice))
            for _ in run.frames():
                self.counts.add("refused")
            if isinstance(exc, EngineError):
                ladder.cannot_take(exc)
        finally:
            ladder.end()

    def _open_tap(self) -> Callable[[], Tap]:
        opening = tap_opening(self.source, self.settings.limits)

        def opened() -> Tap:
            self.process.real_time(f"the pictures of {self.source.name}")
            return opening()

        return opened

    def _real_time(self) -> None:
        self.process.real_time(f"an engine of {self.source.name}")

    def _warm(self, ladder: LiveLadder) -> None:
        """One inference of each network while no frame comes: an idle GPU keeps its clocks up, and health sees it."""
        now_ns = self.warmed_ns = self.clock.now_ns()
        if not ladder.gets_slow and now_ns - self.inferred_ns < 1e6 * self._often_ms:
            ladder.settle()
        elif ladder.warm():
            self.inferred_ns = self.clock.now_ns()
            self.counts.note("inference_ns", self.inferred_ns)

    @property
    def _often_ms(self) -> float:
        """Several times within the time in which health asks for an inference."""
        return 1000.0 * self.settings.supervisor.inference_s / _INFERENCES

    def _warm_every_ms(self, ladder: LiveLadder) -> float:
        """As often as an engine of the ladder needs it, if one does."""
        every_ms = self.settings.engine.keep_warm_ms
        return min(every_ms, self._often_ms) if ladder.may_get_slow and every_ms else self._often_ms


def _watch(
    watchers: Sequence[Watcher], process: Process, clock: Clock, longest_ns: int, look: Callable[[], None]
) -> None:
    """Run the watchers until the process is to end, or one of them fails: then all end, and its error is raised."""
    try:
        for watcher in watchers:
            watcher.thread.start()
        while not process.stop.wait(_BEAT_S):
            if any(watcher.ended for watcher in watchers):
                break
            if all(watcher.began and clock.now_ns() - watcher.alive_ns < longest_ns for watcher in watchers):
                process.beat()
            look()
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
