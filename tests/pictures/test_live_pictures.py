"""The live process puts what its sources show into their rings, after each verdict, and goes on without a ring."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cathrt.runtime.alert import JUDGED, Verdict
from cathrt.runtime.clock import MonotonicClock
from cathrt.runtime.config import Config, PageConfig, SourceConfig
from cathrt.runtime.counts import CountsInMemory
from cathrt.runtime.errors import SinkError
from cathrt.runtime.frame import Grayscale
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.pictures.layout import pictures_mib
from cathrt.runtime.pictures.writer import PictureRing
from cathrt.runtime.ports import Picture
from cathrt.runtime.processes import live
from cathrt.runtime.processes.live import Watcher
from cathrt.runtime.processes.state_folder import StateFolder
from cathrt.runtime.processes.tally import Tally
from tests.lines import line, places_of
from tests.passes import AT_ONCE, Shown
from tests.processes.moving_tap import MovingTap
from tests.processes.test_live import StandInProcess

PATIENCE_S = 60.0
SOURCE = SourceConfig(name="A", kind="phantom", rate_hz=30.0, budget_ms=10_000.0)


@dataclass
class Seen:
    """A ring that remembers what was put, and which frames had a verdict in the journal by then."""

    journal: Journal
    shown: Shown
    put_: list[tuple[int, frozenset[int | None]]] = field(default_factory=list)

    @property
    def is_wanted(self) -> bool:
        return True

    def put(self, picture: Picture) -> bool:
        self.journal.sync()
        self.put_.append((picture.captured_ns, frozenset(one.acquired_ns for one in verdicts_in(self.shown))))
        return True


def verdicts_in(shown: Shown) -> list[Verdict]:
    return [one for one in shown.records if isinstance(one, Verdict)]


def judged_in(shown: Shown) -> set[int | None]:
    """When frames were taken. The first is judged when the second has come: until then it may be of no run."""
    return {one.acquired_ns for one in verdicts_in(shown) if one.frame_index and one.outcome in JUDGED}


def test_a_picture_is_put_once_its_frame_was_judged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    closed, counts, shown = threading.Event(), CountsInMemory(), Shown()
    process: Any = StandInProcess()
    made = line(rate="live")
    monkeypatch.setattr(live, "open_places", lambda *_how: places_of(made))
    monkeypatch.setattr(live, "tap_opening", lambda _source, _limits: lambda: MovingTap(40, closed, held=10**9))
    with Journal(tmp_path / "live.journal", AT_ONCE, [Tally({"A": counts}, time.monotonic_ns), shown]) as journal:
        seen = Seen(journal, shown)
        watcher = Watcher(
            SOURCE,
            Config(),
            (),
            journal,
            counts,
            MonotonicClock(),
            process,
            seen,
        )
        watcher.thread.start()
        try:
            _until(lambda: len(judged_in(shown) & {captured_ns for captured_ns, _ in seen.put_[:-10]}) >= 5)
        finally:
            process.stop.set()
            watcher.thread.join(PATIENCE_S)
    assert watcher.failure is None
    judged = judged_in(shown)
    of_run = [(captured_ns, before) for captured_ns, before in seen.put_ if captured_ns in judged]
    assert of_run
    assert all(captured_ns in before for captured_ns, before in of_run)
    assert len(of_run) < len(seen.put_), "pictures of no run, too: what a monitor shows while the pedal is off"


def test_a_source_whose_ring_cannot_be_made_is_watched_without_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = StateFolder(tmp_path / "state")
    state.make(tmp_path)
    state.pictures("A").mkdir()
    assert live._ring(state, Config(sources=(SOURCE,)), SOURCE, MonotonicClock()) is None
    assert "no pictures of A for the page" in caplog.text
    assert (
        live._ring(state, Config(page=PageConfig(enabled=False)), replace(SOURCE, name="B"), MonotonicClock()) is None
    )
    assert not state.pictures("B").exists()


def test_a_ring_takes_what_the_start_asks_for(tmp_path: Path) -> None:
    config = Config(sources=(SOURCE, replace(SOURCE, name="B")), page=PageConfig(picture_mib=1))
    state = StateFolder(tmp_path / "state")
    state.make(tmp_path)
    rings = [live._ring(state, config, source, MonotonicClock()) for source in config.sources]
    taken = sum(state.pictures(source.name).stat().st_blocks * 512 for source in config.sources)
    assert 6 << 20 < taken <= pictures_mib(config) << 20 <= 8 << 20
    for ring in rings:
        assert isinstance(ring, PictureRing)
        with closing(ring):
            assert ring.put(Picture(np.zeros((512, 512), np.uint8), Grayscale(8), 1))
    assert pictures_mib(replace(config, page=PageConfig(enabled=False))) == 0
    state.require_room(1, 1)
    with pytest.raises(SinkError, match=r"pictures for the page \(1000000000\).*lower page.picture_mib"):
        state.require_room(1, 10**9)


def _until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)
