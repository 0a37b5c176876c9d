"""The live process's watchers: every picture accounted for, drained at the end; refused runs, lost engines, beats."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from cathrt.runtime.alert import EngineChange, Refusal, RunSummary, Verdict
from cathrt.runtime.clock import MonotonicClock
from cathrt.runtime.config import Config, SourceConfig
from cathrt.runtime.counts import FRAME_ENDS, CountsInMemory, unjudged, waiting
from cathrt.runtime.errors import EngineLostError, ManifestError, SourceError
from cathrt.runtime.journal.report import verify_journal
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.line.ladder_place import Place
from cathrt.runtime.line.pipeline import Line
from cathrt.runtime.models import record_parts
from cathrt.runtime.processes import live
from cathrt.runtime.processes.live import Watcher, settings_of_sources
from cathrt.runtime.processes.tally import Tally
from tests.lines import fake_engine, line, places_of
from tests.passes import AT_ONCE, Shown
from tests.processes.moving_tap import MovingTap

PATIENCE_S = 60.0


@dataclass
class StandInProcess:
    """What a watcher needs of its process."""

    stop: threading.Event = field(default_factory=threading.Event)
    beats: int = 0
    real_time_threads: list[str] = field(default_factory=list)

    def beat(self) -> None:
        self.beats += 1

    def real_time(self, thread: str) -> None:
        self.real_time_threads.append(thread)


@dataclass
class Lab:
    """One source, its watcher, and what came of it."""

    watcher: Watcher
    counts: CountsInMemory
    shown: Shown
    process: StandInProcess
    journal: Path

    def wait_for(self, what: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not what():
            assert time.monotonic() < deadline, "it did not come"
            assert self.watcher.failure is None or what()
            time.sleep(0.01)


@contextmanager
def lab(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    *,
    pictures: int,
    made: Line | None = None,
    places: list[Place] | None = None,
) -> Iterator[Lab]:
    """A watcher on a line in memory, or on these places of a ladder."""
    made = made or line(rate="live")
    closed = threading.Event()

    monkeypatch.setattr(live, "open_places", lambda *_how: places or places_of(made))
    monkeypatch.setattr(
        live, "tap_opening", lambda _source, _limits: lambda: MovingTap(pictures, closed, held=pictures and 10**9)
    )
    counts, shown, process = CountsInMemory(), Shown(), StandInProcess()
    source = SourceConfig(name="A", kind="phantom", rate_hz=30.0, budget_ms=10_000.0)
    path = tmp_path / "live.journal"
    with Journal(path, AT_ONCE, [Tally({"A": counts}, time.monotonic_ns), shown]) as journal:
        watcher = Watcher(source, Config(), (), journal, counts, MonotonicClock(), process)  # type: ignore[arg-type]
        watcher.thread.start()
        try:
            yield Lab(watcher, counts, shown, process, path)
        finally:
            process.stop.set()
            watcher.thread.join(PATIENCE_S)


def accounted(counts: CountsInMemory) -> None:
    assert (waiting(counts.value), unjudged(counts.value)) == (0, 0)
    assert counts.value("received") == counts.value("held") + sum(map(counts.value, FRAME_ENDS))


def test_every_picture_of_a_run_and_around_it_is_accounted_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with lab(monkeypatch, tmp_path, pictures=20) as found:
        found.wait_for(lambda: any(isinstance(record, RunSummary) for record in found.shown.records))
        found.wait_for(lambda: found.counts.value("held") > 0)
    assert found.watcher.failure is None
    accounted(found.counts)
    (summary,) = [record for record in found.shown.records if isinstance(record, RunSummary)]
    assert summary.source.startswith("A ")
    assert summary.frames == found.counts.value("frames") >= 20
    assert found.counts.value("runs") == 1
    assert verify_journal(found.journal, record_parts()).sound
    assert found.process.real_time_threads[:2] == ["the line of A", "the pictures of A"]


def test_a_process_that_is_stopped_in_a_run_ends_the_run_with_its_summary(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with lab(monkeypatch, tmp_path, pictures=100_000) as found:
        found.wait_for(lambda: sum(isinstance(record, Verdict) for record in found.shown.records) > 5)
    assert found.watcher.failure is None
    accounted(found.counts)
    (summary,) = [record for record in found.shown.records if isinstance(record, RunSummary)]
    assert "interrupted" in summary.flags
    assert verify_journal(found.journal, record_parts()).sound


def test_a_run_that_the_line_cannot_take_is_a_refusal_and_the_next_is_watched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refused = threading.Event()
    watch = live.watch

    def refuses_once(*arguments: object) -> object:
        if refused.is_set():
            return watch(*arguments)  # type: ignore[arg-type]
        refused.set()
        raise ManifestError("no such size")

    monkeypatch.setattr(live, "watch", refuses_once)
    with lab(monkeypatch, tmp_path, pictures=20) as found:
        found.wait_for(lambda: found.counts.value("held") > 10)
    assert found.watcher.failure is None
    (refusal,) = [record for record in found.shown.records if isinstance(record, Refusal)]
    assert (refusal.error, refusal.message) == ("ManifestError", "no such size")
    assert found.counts.value("refused") == found.counts.value("frames") >= 20
    accounted(found.counts)


def test_an_inference_runs_while_no_run_comes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    inferred = threading.Event()
    made = line(lambda inputs, outputs: inferred.set(), rate="live")
    with lab(monkeypatch, tmp_path, pictures=0, made=made) as found:
        found.wait_for(lambda: found.counts.value("inference_ns") > 0 and inferred.is_set())
        assert found.watcher.began


def test_without_live_ai_every_frame_is_failed_with_that_reason_and_the_watcher_lives(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def lost(inputs: object, outputs: object) -> None:
        raise EngineLostError("the device is gone")

    with lab(monkeypatch, tmp_path, pictures=20, made=line(engine=fake_engine(lost), rate="live")) as found:
        found.wait_for(lambda: any(isinstance(record, RunSummary) for record in found.shown.records))
        found.wait_for(lambda: found.counts.value("runs") > 0 and found.watcher.ladder is not None)
        assert not found.watcher.ended
        assert found.watcher.ladder is not None
        assert not found.watcher.ladder.live_ai
    assert found.watcher.failure is None
    accounted(found.counts)
    verdicts = [record for record in found.shown.records if isinstance(record, Verdict)]
    failed = [verdict for verdict in verdicts if verdict.outcome != "DUPLICATE"]  # the last picture is held
    assert len(failed) >= 20
    assert {(verdict.outcome, verdict.retry) for verdict in failed} == {("FAILED", True)}
    assert all("no live AI" in str(verdict.reason) for verdict in failed)
    assert all("the device is gone" in str(verdict.reason) for verdict in failed)
    changes = [record for record in found.shown.records if isinstance(record, EngineChange)]
    assert [(change.what, change.reason, change.live_ai) for change in changes] == [
        ("started", "start", True), ("off", "lost", False)
    ]  # fmt: skip
    assert verify_journal(found.journal, record_parts()).sound


def test_the_process_beats_while_all_watchers_go_round_and_raises_what_ended_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    process = StandInProcess()

    @dataclass
    class Round:
        began: bool = True
        ended: bool = False
        alive_ns: int = 0
        failure: BaseException | None = None
        thread: threading.Thread = field(default_factory=lambda: threading.Thread(target=lambda: None))

    class Clock(MonotonicClock):
        now = 0

        def now_ns(self) -> int:
            return self.now

    monkeypatch.setattr(live, "_BEAT_S", 0.0)
    rounds, clock = [Round(), Round()], Clock()

    def wait(_seconds: float) -> bool:
        looks.append(process.beats)
        if len(looks) == 3:
            clock.now = 100  # both have stood still for longer than 50 ns
        if len(looks) == 5:
            rounds[1].ended, rounds[1].failure = True, SourceError("calls have never returned")
        return False

    looks: list[int] = []
    monkeypatch.setattr(process.stop, "wait", wait)
    with pytest.raises(SourceError, match="never returned"):
        live._watch(rounds, process, clock, 50, lambda: None)  # type: ignore[arg-type]
    assert process.beats == 2
    assert process.stop.is_set()


def test_sources_share_the_threads_and_keep_their_own_budgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "cpu_quota", lambda: 4)
    sources = (
        SourceConfig(name="A", kind="phantom", budget_ms=50.0),
        SourceConfig(name="B", kind="phantom", budget_ms=90.0, queue_frames=5),
    )
    both = settings_of_sources(replace(Config(), sources=sources))
    assert [each.engine.threads for each in both] == [2, 2]
    assert [(each.line.budget_ms, each.line.queue_frames) for each in both] == [(50.0, 2), (90.0, 5)]
    (alone,) = settings_of_sources(replace(Config(), sources=sources[:1]))
    assert alone.engine.threads == 0
