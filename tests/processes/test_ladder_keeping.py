"""What the main thread does for the ladders: health hears of each change, and a new process is asked for in a pause."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from cathrt.runtime.config import Config
from cathrt.runtime.errors import EngineError, EngineLostError
from cathrt.runtime.processes.engine_health import ENGINES
from cathrt.runtime.processes.ladder_keeping import Keeping
from cathrt.runtime.processes.state_folder import StateFolder
from tests.line.ladders import Bench
from tests.processes.test_swap_desk import Lane


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    folder = StateFolder(tmp_path / "state")
    folder.make()
    return folder


def keeping_of(state: StateFolder, bench: Bench) -> Keeping:
    return Keeping([Lane(bench)], state, Config(), bench.clock, threading.Event(), {})


def test_the_report_follows_the_ladder(state: StateFolder) -> None:
    bench = Bench("gpu", "cpu")
    keeping = keeping_of(state, bench)
    keeping.look()
    assert (state.read_report(ENGINES) or {})["A"]["keyframe"]["engine"] == "gpu"
    bench.run(3, {1: bench.engines["gpu"].lose})
    keeping.look()
    assert (state.read_report(ENGINES) or {})["A"]["keyframe"]["engine"] == "cpu"


def test_a_report_that_cannot_be_written_stops_nothing_and_comes_later(state: StateFolder) -> None:
    bench = Bench("gpu", "cpu")
    keeping = keeping_of(state, bench)
    state.report(ENGINES).mkdir()
    keeping.look()
    bench.run(3, {1: bench.engines["gpu"].lose})
    keeping.look()
    state.report(ENGINES).rmdir()
    keeping.look()
    assert (state.read_report(ENGINES) or {})["A"]["keyframe"]["engine"] == "cpu"


def test_without_live_ai_a_new_process_is_asked_for_after_a_minute_and_never_in_a_run(state: StateFolder) -> None:
    bench = Bench("gpu")

    def refuses() -> object:
        raise EngineError("this process cannot")

    bench.opens["gpu"] = refuses  # type: ignore[assignment]
    keeping = keeping_of(state, bench)
    bench.run(3, {1: bench.engines["gpu"].lose})
    bench.rest(20.0)
    keeping.look()
    bench.clock.advance(61.0)
    bench.run(3, {1: keeping.look})
    with pytest.raises(EngineLostError, match="a new process tries it"):
        keeping.look()
    again = keeping_of(state, bench)
    again.look()
    bench.clock.advance(61.0)
    again.look()  # the next one waits longer
