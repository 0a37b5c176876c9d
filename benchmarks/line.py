"""Time the line adds to a frame beyond decoding, preprocessing and inference (`python -m benchmarks.line`).

A generated run goes through the whole line (confined decoder, real engine, real journal, JSON sink). The source counts,
for every frame, how long the line kept it busy until it asked for the next; the stages' own times come off that.
The disk's sync, which no line thread waits for, has rows of its own. Not for: throughput or accuracy.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks import measure
from cathrt.runtime.alert import Record, StoredRecord, Verdict
from cathrt.runtime.bundle.shipped import demonstration_bundle, shipped_keys
from cathrt.runtime.clock import MonotonicClock
from cathrt.runtime.config import Config
from cathrt.runtime.engines import open_engine
from cathrt.runtime.frame import Frame, LostFrame, Run
from cathrt.runtime.journal.report import verify_journal
from cathrt.runtime.journal.writer import Journal, JournalStats
from cathrt.runtime.line.pipeline import Line, ServedModel, watch
from cathrt.runtime.models import open_bundle, record_parts
from cathrt.runtime.models.keyframe.run import KeyframeOnFrames
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from cathrt.runtime.phantom import PhantomSource, sample_scene
from cathrt.runtime.phantom.dicom import write_xa
from cathrt.runtime.ports import Source
from cathrt.runtime.sinks.jsonl import JsonlSink
from cathrt.runtime.sources.decoder.sandbox import open_source
from cathrt.runtime.sources.discover import discover

FRAMES = 100
RATE_HZ = 30.0


@dataclass
class Clocked:
    """A source that hands each frame over when it is due (rate_hz) or at once (None), and times the line's turn."""

    source: Source
    rate_hz: float | None
    turns: measure.Samples = field(default_factory=measure.Samples)

    @property
    def run(self) -> Run:
        return self.source.run

    def frames(self) -> Iterator[Frame | LostFrame]:
        clock, first_ns = MonotonicClock(), time.monotonic_ns()
        for item in self.source.frames():
            if self.rate_hz is not None:
                clock.wait_until(first_ns + int(item.index * 1e9 / self.rate_hz))
            handed_ns = time.monotonic_ns()
            yield replace(item, acquired_ns=handed_ns)
            self.turns.began_ns.append(handed_ns)
            self.turns.took_ns.append(time.monotonic_ns() - handed_ns)

    def close(self) -> None:
        self.source.close()


@dataclass
class Noted:
    """Passes records on to a journal, or to none, and keeps each verdict's stage times."""

    journal: Journal | None
    stages_ns: list[int] = field(default_factory=list)

    def append(self, record: Record) -> None:
        if isinstance(record, Verdict):
            times = record.latency_ms
            self.stages_ns.append(round((times.preprocess + times.infer) * 1e6))
        if self.journal is not None:
            self.journal.append(record)

    def stored(self, pass_id: str) -> tuple[StoredRecord, ...]:
        return () if self.journal is None else self.journal.stored(pass_id)


@dataclass
class Case:
    """Everything measured of one way of running the line."""

    overhead: measure.Samples = field(default_factory=measure.Samples)
    offered: int = 0
    journalled: int = 0
    stats: list[JournalStats] = field(default_factory=list)


def one_pass(case: Case, path: Path, line: Line, rate_hz: float | None, folder: Path | None) -> None:
    """Judge the run once and add what it cost to `case`; with a folder, through a journal there."""
    (found,) = discover([path]).inputs
    source = Clocked(open_source(found, line.config.limits), rate_hz)
    try:
        if folder is None:
            recorder = Noted(None)
            watch(source, line, recorder)
        else:
            with (folder / "shown.jsonl").open("wb") as stream:
                with Journal(folder / "journal.db", line.config.journal, [JsonlSink(stream)]) as journal:
                    recorder = Noted(journal)
                    watch(source, line, recorder)
                    journal.sync()
                    case.stats.append(journal.stats())
            (books,) = verify_journal(folder / "journal.db", record_parts()).passes
            case.journalled += sum(books.verdicts.values())
    finally:
        source.close()
    case.offered += len(source.turns.took_ns)
    case.overhead.began_ns += source.turns.began_ns
    case.overhead.took_ns += [
        turn - stages for turn, stages in zip(source.turns.took_ns, recorder.stages_ns, strict=True)
    ]


def rows(passes: int) -> Iterator[dict[str, Any]]:
    heartbeat = measure.Heartbeat()
    bundle = open_bundle(demonstration_bundle(), shipped_keys())
    config = Config()
    ways: dict[tuple[str, str], tuple[float | None, bool]] = {
        (f"{RATE_HZ:g} Hz", "line"): (RATE_HZ, True),
        (f"{RATE_HZ:g} Hz", "line without journal"): (RATE_HZ, False),
        ("as fast as judged", "line"): (None, True),
        ("as fast as judged", "line without journal"): (None, False),
    }
    cases = {way: Case() for way in ways}
    engine = open_engine(config.engine.name, bundle, CLASSIFIER, config.engine)
    try:
        served = ServedModel(
            bundle, engine, KeyframeOnFrames(bundle, None), bundle.manifest.network(CLASSIFIER).preprocessing
        )
        line = Line((served,), record_parts(), config, MonotonicClock())
        with TemporaryDirectory(prefix="cathrt-bench-") as scratch:
            path = _generated_run(Path(scratch))
            for number in range(passes):
                for place, (way, (rate_hz, journalled)) in enumerate(ways.items()):
                    folder = Path(scratch) / f"{number}-{place}" if journalled else None
                    if folder is not None:
                        folder.mkdir()
                    one_pass(cases[way], path, line, rate_hz, folder)
    finally:
        engine.close()
        heartbeat.finish()
    for (name, impl), case in cases.items():
        yield measure.row("line", name, impl, case.overhead, heartbeat, engine=engine.name, frames=case.offered)
    live = cases[f"{RATE_HZ:g} Hz", "line"]
    yield from _disk_rows(live, heartbeat)
    took_ms = np.array(live.overhead.took_ns) / 1e6
    journalled = [case for case in cases.values() if case.stats]
    figures = {
        "overhead_p50_ms": float(np.median(took_ms)),
        "overhead_p99_ms": float(np.quantile(took_ms, 0.99, method="higher")),
        "frames_accounted": sum(c.journalled for c in journalled) / sum(c.offered for c in journalled),
    }
    last = measure.headline("line", figures, heartbeat, ("numpy", "openvino", "pydicom"))
    yield last | {"config": measure.config(config)}


def _disk_rows(case: Case, heartbeat: measure.Heartbeat) -> Iterator[dict[str, Any]]:
    """The disk's share, which the line's thread does not wait for: one sample per pass, its median."""
    for impl, values in {
        "one sync of the disk": [stats.sync_ms.p50 for stats in case.stats if stats.sync_ms],
        "alert: appended to shown": [stats.shown_ms.p50 for stats in case.stats if stats.shown_ms],
    }.items():
        samples = measure.Samples([0] * len(values), [round(value * 1e6) for value in values])
        yield measure.row("line", "disk", impl, samples, heartbeat)


def _generated_run(folder: Path) -> Path:
    """FRAMES frames of a phantom at 512 x 512 as a multi-frame XA file."""
    scene = sample_scene(11, side="left")
    phantom = PhantomSource(scene)
    assert phantom.run.frame_count is not None
    drawn = [phantom.render(index) for index in range(min(FRAMES, phantom.run.frame_count))]
    run = replace(phantom.run, frame_count=FRAMES)
    return write_xa(run, lambda index: drawn[index % len(drawn)], folder / "run.dcm")


if __name__ == "__main__":
    measure.command(__doc__, rows, quick=1, full=8)
