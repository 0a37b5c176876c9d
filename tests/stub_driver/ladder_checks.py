"""The live ladder over a GPU that is lost or hangs: pytest runs this file in a child process on the stub of the driver.

tests/engines/test_tensorrt_on_stub.py starts it. A stub that was reset is a GPU that is well again. Not for: every call
at which a driver may hang (hang_scenario.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from cathrt.kernels.cuda.stream import CudaError
from cathrt.runtime.alert import EngineChange
from cathrt.runtime.clock import MonotonicClock
from cathrt.runtime.config import Config, LadderConfig, LineConfig
from cathrt.runtime.engines import device_engine, guarded
from cathrt.runtime.engines.device_tensors import engine_error
from cathrt.runtime.engines.guarded import GuardedEngine
from cathrt.runtime.engines.tensorrt import TensorRtEngine
from cathrt.runtime.frame import Frame, LostFrame
from cathrt.runtime.line.heat import Heat
from cathrt.runtime.line.ladder_place import Place, Rung
from cathrt.runtime.line.live_ladder import LiveLadder
from cathrt.runtime.line.pipeline import Line, watch
from cathrt.runtime.models import record_parts
from tests.clocks import ManualClock
from tests.lines import ArraySource, ListJournal, engine_of, served
from tests.stub_driver.control import RESULTS, Fault, Stub
from tests.stub_driver.hang_scenario import SCORES, WAIT_MS, Standby, open_on_stub, opening

SWITCH_MS = 1000.0
ON_GPU, ON_CPU = ("MET", "tensorrt"), ("MET", "fake (fallback for tensorrt)")
TROUBLES = {
    "lost": Fault("cuGraphLaunch", 1, RESULTS["CUDA_ERROR_ILLEGAL_ADDRESS"], sticky=True),
    "hung in a call": Fault("cuGraphLaunch", 1, hang=True),
    "hung in its work": Fault("cuGraphLaunch", 1, hang=True, later=True),
}


def _opened() -> TensorRtEngine:
    """As opened_on_stream() does it."""
    try:
        return open_on_stub()
    except CudaError as exc:
        raise engine_error("tensorrt", exc) from exc


class Struck(ArraySource):
    """A run in which something happens ahead of its second frame."""

    strike: Callable[[], None]

    def frames(self) -> Iterator[Frame | LostFrame]:
        for item in super().frames():
            if item.index == 1:
                self.strike()
            yield item


class Lane:
    """One live source: a GPU, and below it an engine on the CPU."""

    def __init__(self) -> None:
        self.journal = ListJournal()
        self.probing = ManualClock(10**9)  # by which the ladder waits and probes
        model = served()
        rungs = [
            Rung("tensorrt", model, lambda: GuardedEngine("tensorrt", _opened, WAIT_MS), on_gpu=True),
            Rung("cpu", model, Standby),
        ]
        for rung in rungs:
            rung.engine = rung.open()
        place = Place(rungs, LadderConfig(back_after_s=9.0), self.probing, 60_000.0, all_signs=True)
        line = Line((), record_parts(), Config(line=LineConfig(budget_ms=60_000.0)), MonotonicClock(), "live")
        self.ladder = LiveLadder("A", line, [place], self.journal, Heat)
        self.runs = 0

    def run(self, strike: Callable[[], None] = lambda: None) -> list[tuple[str, str | None]]:
        """Outcome and engine of each frame of one run. strike: called ahead of the second."""
        self.runs += 1
        before = len(self.journal.verdicts)
        run = Struck(SCORES, name=f"run {self.runs}")
        run.strike = strike
        watch(self.ladder.watched(run), self.ladder.begin(), self.ladder)
        self.ladder.end()
        return [(str(verdict.outcome), engine_of(verdict)) for verdict in self.journal.verdicts[before:]]

    def rest(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            self.probing.advance(1.0)
            self.ladder.look()
            self.ladder.settle()

    @property
    def changes(self) -> list[EngineChange]:
        return self.journal.of(EngineChange)


@pytest.fixture
def lane(stub: Stub, fatbin: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Lane]]:
    monkeypatch.setattr(device_engine, "open_stream", partial(opening, fatbin))
    monkeypatch.setattr(guarded, "OPEN_WITHIN_MS", 2000.0)
    yield Lane
    stub.reset()


@pytest.mark.parametrize("trouble", TROUBLES)
def test_the_next_rung_judges_within_a_second(lane: Callable[[], Lane], stub: Stub, trouble: str) -> None:
    made = lane()
    assert made.run() == [ON_GPU] * len(SCORES)
    judged = made.run(lambda: stub.reset(TROUBLES[trouble]))
    assert judged == [ON_GPU, ("FAILED", None), *[ON_CPU] * (len(SCORES) - 2)]
    change = made.changes[-1]
    assert (change.what, change.reason, change.live_ai) == ("down", trouble.partition(" ")[0], True)
    failed = made.journal.verdicts[len(SCORES) + 1]
    assert failed.latency_ms.end_to_end <= SWITCH_MS
    made.rest(20.0)
    assert made.run()[0] == ON_CPU, "not before the device is well"


def test_a_gpu_that_hung_judges_again_when_it_is_well(lane: Callable[[], Lane], stub: Stub) -> None:
    made = lane()
    made.run(lambda: stub.reset(TROUBLES["hung in a call"]))
    stub.reset()
    made.rest(30.0)
    assert (made.changes[-1].what, made.changes[-1].reason) == ("up", "healthy")
    assert made.run() == [ON_GPU] * len(SCORES)
    assert made.ladder.report()["keyframe"]["left_behind"] == 1


def test_a_context_that_is_gone_asks_for_a_new_process(lane: Callable[[], Lane], stub: Stub) -> None:
    made = lane()
    made.run(lambda: stub.reset(TROUBLES["lost"]))
    assert not made.ladder.needs_new_process
    made.rest(200.0)
    assert made.ladder.needs_new_process
    assert made.ladder.live_ai, "the lower rung judges meanwhile"
