"""The whole live path under test: Tap -> TapThread -> LiveRuns -> watch -> Journal (durable) -> sinks.

The journal waits for no group here: every verdict goes the way that an alert goes. Not for: the peers (loops.py).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.frame_stream.arrivals import Arrivals, go_ahead
from benchmarks.frame_stream.ends import HELD, End, write_ends
from benchmarks.frame_stream.pictures import Pictures, open_pictures
from benchmarks.frame_stream.served import served_model
from benchmarks.frame_stream.setting import CHECKED_PICTURES, Setting, Trial, answers_and_time
from cathrt.runtime.alert import Record, StoredRecord, Verdict
from cathrt.runtime.clock import MonotonicClock
from cathrt.runtime.config import Config, JournalConfig, LineConfig, SourceConfig, SupervisorConfig
from cathrt.runtime.counts import CountsInMemory
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, LostFrame, Run
from cathrt.runtime.frame_step import frame_step
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.line.keep_warm import KeepWarm
from cathrt.runtime.line.live_runs import LiveRuns
from cathrt.runtime.line.pipeline import Line, watch
from cathrt.runtime.models import record_parts
from cathrt.runtime.ports import Picture, Source
from cathrt.runtime.sinks.jsonl import JsonlSink
from cathrt.runtime.sources.capture.tap_thread import TapThread

_Place = tuple[str, int]  # run and frame
_WARM_EVERY_MS = 1000.0 * SupervisorConfig().inference_s / 4  # as the live process shows that its engine works


@dataclass(slots=True)
class Seen:
    """What is noted of one source's stream while it runs. frames: by the moment of capture, which no two share."""

    numbers: dict[int, int] = field(default_factory=dict)  # captured_ns: the picture's number
    frames: dict[_Place, tuple[int, int]] = field(default_factory=dict)  # captured_ns, taken_ns
    verdict_ns: dict[_Place, int] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)


class StreamTap:
    """The stream as a tap (ports.Tap). When the stream has ended it shows nothing until it is closed."""

    def __init__(self, name: str, fifo: Path, pictures: Pictures, seen: Seen) -> None:
        self.name = name
        self._arrivals = Arrivals(fifo, pictures)
        self._grayscale = pictures.grayscale
        self._seen = seen
        self._closed = threading.Event()

    def next(self) -> Picture:
        arrival = self._arrivals.next()
        if arrival is None:
            self._seen.ended.set()
            self._closed.wait()
            raise SourceError(f"{self.name}: the stream has ended")
        self._seen.numbers[arrival.captured_ns] = arrival.number
        return Picture(arrival.pixels, self._grayscale, arrival.captured_ns)

    def close(self) -> None:
        self._closed.set()


@dataclass(frozen=True, slots=True)
class NotedRun:
    """A run as the line gets it; when it took each frame is noted."""

    source: Source
    seen: Seen

    @property
    def run(self) -> Run:
        return self.source.run

    def frames(self) -> Iterator[Frame | LostFrame]:
        run_id = self.source.run.run_id
        for item in self.source.frames():
            self.seen.frames[run_id, item.index] = item.acquired_ns, time.monotonic_ns()
            yield item

    def close(self) -> None:
        self.source.close()


@dataclass(frozen=True, slots=True)
class NotedJournal:
    """The journal as one source's line sees it; when each verdict was known is noted."""

    journal: Journal
    seen: Seen

    def append(self, record: Record) -> None:
        if isinstance(record, Verdict):
            self.seen.verdict_ns[record.run_id, record.frame_index] = time.monotonic_ns()
        self.journal.append(record)

    def stored(self, pass_id: str) -> tuple[StoredRecord, ...]:
        return self.journal.stored(pass_id)


class ShownSink:
    """Keeps every record and when it came; comes after the sink that a reader reads."""

    def __init__(self) -> None:
        self.shown: list[tuple[int, StoredRecord]] = []

    def emit(self, stored: StoredRecord) -> None:
        self.shown.append((time.monotonic_ns(), stored))

    def close(self) -> None:
        """Nothing is owned."""


class LiveLine:
    """One line and one engine a source, one journal for all, as a live process has them."""

    def __init__(self, setting: Setting) -> None:
        self._pictures = open_pictures(Path(setting.pictures))
        self._queue_frames = setting.queue_frames
        self._opened = ExitStack()  # the engines are closed with the process
        self._served = [self._opened.enter_context(served_model(setting)) for _ in range(setting.sources)]

    def check(self) -> tuple[list[list[float]], float]:
        served = self._served[0]
        run = self._pictures.run("check", 15.0)
        step = frame_step(served.engine, run, served.preprocessing, time.monotonic_ns)

        def logits(number: int) -> list[float]:
            outputs = step(self._pictures.taken(number)).outputs
            assert outputs is not None, "a phantom's picture is exposed"
            found: list[float] = outputs["logits"].ravel().tolist()
            return found

        return answers_and_time(logits, CHECKED_PICTURES)

    def run(self, trial: Trial) -> None:
        folder, shown = Path(trial.folder), ShownSink()
        config = Config(line=LineConfig(budget_ms=trial.budget_ms), journal=JournalConfig(group_commit_ms=0.0))
        seen = [Seen() for _ in self._served]
        with (folder / "shown.jsonl").open("wb") as stream:
            with Journal(folder / "live.journal", config.journal, [JsonlSink(stream), shown]) as journal:
                held = self._run_sources(trial, config, journal, seen)
        ends = _ends_of_verdicts(seen, shown)
        write_ends([*ends, *_ends_of_held(seen, held)], Path(trial.out))

    def _run_sources(self, trial: Trial, config: Config, journal: Journal, seen: list[Seen]) -> list[int]:
        """Every source in a thread of its own, to the end; how many pictures of each were held."""
        failures: list[BaseException] = []
        held = [0 for _ in seen]

        def run(source: int) -> None:
            try:
                fifo = Path(trial.fifos[source])
                line = Line((self._served[source],), record_parts(), config, MonotonicClock(), "live")
                held[source] = self._run_source(f"stream {source}", fifo, trial, line, journal, seen[source])
            except BaseException as exc:
                failures.append(exc)

        threads = [threading.Thread(target=run, args=(source,)) for source in range(len(seen))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        return held

    def _run_source(self, name: str, fifo: Path, trial: Trial, line: Line, journal: Journal, seen: Seen) -> int:
        """As the live process watches a source (processes/live.py); how many pictures were held."""
        rate_hz, queue_frames = min(trial.rate_hz, 250.0), self._queue_frames
        config = SourceConfig(name, "video", rate_hz=rate_hz, budget_ms=trial.budget_ms, queue_frames=queue_frames)
        counts, clock, stop = CountsInMemory(), line.clock, threading.Event()
        engine = line.models[0].engine
        go_ahead()

        def end() -> None:
            seen.ended.wait()
            stop.set()

        def warm() -> None:
            engine.infer(engine.input_buffers)

        tap = TapThread(config, lambda: StreamTap(name, fifo, self._pictures, seen), clock, counts)
        runs = LiveRuns(name, tap, config, counts, clock, KeepWarm(warm, _WARM_EVERY_MS, clock))
        ender = threading.Thread(target=end, daemon=True)
        ender.start()
        try:
            while (run := runs.next_run(stop)) is not None:
                with closing(run):
                    watch(NotedRun(run, seen), line, NotedJournal(journal, seen))
        finally:
            tap.close()
            seen.ended.set()
            ender.join()
        runs.drain()
        journal.sync()
        return counts.value("held")


def _ends_of_verdicts(seen: list[Seen], shown: ShownSink) -> Iterator[End]:
    """What the sinks were shown. A verdict of a frame that nobody noted is none of these streams'."""
    sources = {place: number for number, one in enumerate(seen) for place in one.frames}
    for shown_ns, stored in shown.shown:
        if stored.type != "verdict":
            continue
        verdict = json.loads(stored.body)
        place = verdict["run_id"], verdict["frame_index"]
        source = sources[place]
        one, times = seen[source], verdict["latency_ms"]
        captured_ns, taken_ns = one.frames[place]
        yield End(
            source, one.numbers[captured_ns], verdict["outcome"], verdict["reason"], captured_ns, taken_ns,
            times["preprocess"], times["infer"], times["postprocess"], one.verdict_ns[place], shown_ns,
        )  # fmt: skip


def _ends_of_held(seen: list[Seen], held: list[int]) -> Iterator[End]:
    """The pictures that became no frame, where there are as many as the source says it held; else nobody knows them."""
    for source, one in enumerate(seen):
        framed = {captured_ns for captured_ns, _ in one.frames.values()}
        outside = [(captured, number) for captured, number in one.numbers.items() if captured not in framed]
        if len(outside) == held[source]:
            for captured_ns, number in outside:
                yield End(source, number, HELD, captured_ns=captured_ns)
