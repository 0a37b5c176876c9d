"""The line on a GPU engine whose driver hangs: at every kind of call, in every phase, and in every kind of queued work.

`python -m tests.stub_driver.hang_scenario` on the stub opens the engine beside a fallback, judges a run of host frames
and one of lent frames, keeps warm in between and closes; it prints a JSON line for each hang. Judged by
tests/engines/test_tensorrt_on_stub.py. Not for: refusals and losses (scenario.py).
"""

from __future__ import annotations

import gc
import json
import logging
import sys
import tempfile
import time
import weakref
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cathrt.kernels.cuda.driver import DriverStream, open_stream
from cathrt.kernels.cuda.stream import DeviceMemory
from cathrt.kernels.cuda.waiting import never_free
from cathrt.runtime.engines import device_engine, guarded
from cathrt.runtime.engines.fake import FakeEngine
from cathrt.runtime.engines.guarded import GuardedEngine
from cathrt.runtime.engines.tensorrt import TensorRtEngine
from cathrt.runtime.engines.tensorrt_plan import LoadedPlan, Told
from cathrt.runtime.errors import EngineError
from cathrt.runtime.frame import Frame
from cathrt.runtime.frame_step import Stepped
from cathrt.runtime.line.failover import FailoverEngine
from cathrt.runtime.line.pipeline import watch
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from tests.engines.fake_tensorrt import fake_tensorrt
from tests.lines import MANIFEST, SIZE, ArraySource, ListJournal, brightness, engine_of, line
from tests.stub_driver.control import Fault, Stub
from tests.stub_driver.image import image
from tests.stub_driver.scenario import QUEUES_WORK

WAIT_MS = 150.0  # far more than the stub needs, also on a machine with much else to do
SLOWER, OPEN_WITHIN_MS = 1.5, 300.0
SCORES = [0.1, 0.3, 0.5, 0.7]
PHASES = ("open", "host frames", "warm", "lent frames", "close")


@dataclass(slots=True)
class Pass:
    """What became of one pass. phases: the seconds each took.   frames: (outcome, engine, reason, seconds) of each.

    returned: which lent frames went back.   calls_after: driver calls after the hang was known.
    """

    phases: dict[str, float] = field(default_factory=dict)
    frames: list[tuple[str, str | None, str | None, float]] = field(default_factory=list)
    returned: list[int] = field(default_factory=list)
    calls_after: int = 0


class Lent:
    """A frame that lies on the device."""

    def __init__(self, memory: DeviceMemory, stream: int) -> None:
        self.__cuda_array_interface__ = {
            "version": 3, "data": (memory.address, True), "shape": (SIZE, SIZE), "typestr": "|u1", "stream": stream,
        }  # fmt: skip


class LentSource(ArraySource):
    """A run of frames that another library lends; `told` hears of each that goes back."""

    lender: tuple[DriverStream, DeviceMemory]
    told: Pass

    def frames(self) -> Iterator[Frame]:  # type: ignore[override]
        for index in range(len(self.items)):
            lent = Lent(self.lender[1], self.lender[0].handle)
            weakref.finalize(lent, self.told.returned.append, index).atexit = False
            yield Frame(lent, index, time.monotonic_ns())  # type: ignore[arg-type]
            del lent


class Timed(ListJournal):
    """Notes what became of each frame and how long it took."""

    def begin(self, told: Pass) -> None:
        self.told, self.at = told, time.monotonic()

    def append(self, record: Any) -> None:
        if hasattr(record, "outcome"):
            now = time.monotonic()
            self.told.frames.append((str(record.outcome), engine_of(record), record.reason, now - self.at))
            self.at = now


class Standby(FakeEngine):
    """A fallback that takes any frame, also one on a device."""

    def __init__(self) -> None:
        super().__init__(
            MANIFEST.network(CLASSIFIER).input_specs(), MANIFEST.network(CLASSIFIER).output_specs(), brightness
        )

    def frame_step(self, *_: Any) -> Any:
        outputs = {spec.name: spec.empty() for spec in self.outputs}
        return lambda pixels, grayscale=0: Stepped(outputs, 0.0, 0.0, self.name)


def open_on_stub() -> TensorRtEngine:
    """As open_tensorrt(), with a network that is the one kernel of the stub."""
    stream = device_engine.open_stream(priority="high", wait_ms=WAIT_MS)
    (given,), (made,) = MANIFEST.network(CLASSIFIER).input_specs(), MANIFEST.network(CLASSIFIER).output_specs()
    trt = fake_tensorrt(
        MANIFEST.network(CLASSIFIER).input_specs(),
        MANIFEST.network(CLASSIFIER).output_specs(),
        lambda inputs, outputs: None,
    )

    class Context(trt.IExecutionContext):  # type: ignore[misc]
        def execute_async_v3(self, stream_handle: int) -> bool:
            on = next(one for one in reversed(streams) if one.handle == stream_handle)  # handles come again
            nbytes = made.empty().nbytes
            source, target = (DeviceMemory(self.memory[spec.name], nbytes) for spec in (given, made))
            on.launch("stub_increment_kernel", (2, 1, 1), (256, 1, 1), source, target, np.int32(nbytes))
            return True

    class Engine(trt.ICudaEngine):  # type: ignore[misc]
        def create_execution_context(self, strategy: Any) -> Any:  # noqa: ARG002
            return Context()

    return TensorRtEngine(LoadedPlan("tensorrt", "plan", trt, None, Engine(), Told()), stream)


streams: list[DriverStream] = []


def opening(fatbin: Path, *arguments: Any, **settings: Any) -> DriverStream:
    """open_stream() with the stub's kernels; the network finds its stream in `streams`."""
    streams.append(open_stream(*arguments, fatbin=fatbin, **settings))
    return streams[-1]


def run(stub: Stub, lender: tuple[DriverStream, DeviceMemory], counts: dict[str, dict[str, int]] | None) -> Pass:
    """One pass through all phases. counts: filled with the driver's calls up to the end of each phase."""
    told = Pass()
    began = time.monotonic()

    def ended(phase: str) -> None:
        nonlocal began
        now = time.monotonic()
        told.phases[phase], began = now - began, now
        if counts is not None:
            counts[phase] = stub.report().calls

    streams.clear()
    try:
        engine = FailoverEngine([GuardedEngine("tensorrt", open_on_stub, WAIT_MS), Standby()])
    except EngineError:
        engine = FailoverEngine([Standby()], instead_of="tensorrt")
    ended("open")
    journal = Timed()
    journal.begin(told)
    watch(ArraySource(SCORES), line(engine=engine), journal)
    ended("host frames")
    engine.keep_warm()
    ended("warm")
    lent = LentSource(SCORES, name="lent")
    lent.lender, lent.told = lender, told
    journal.begin(told)
    watch(lent, line(engine=engine), journal)
    ended("lent frames")
    known = stub.count("any")
    engine.close()
    ended("close")
    told.calls_after = stub.count("any") - known
    gc.collect()
    return told


def hangs(counts: dict[str, dict[str, int]]) -> Iterator[Fault]:
    """The first call of each name in each phase and its last never return; work that each queues never ends.

    Not the release of the context: that comes when the engine's thread has ended, and nobody waits for it.
    """
    ends = {name: count for name, count in counts[PHASES[-1]].items() if name != "cuDevicePrimaryCtxRelease"}
    for name, last in sorted(ends.items()):
        begins = {counts[phase].get(name, 0) + 1 for phase in PHASES[:-1]} | {1, last}
        for nth in sorted(number for number in begins if number <= last):
            yield Fault(name, nth, hang=True)
            if name in QUEUES_WORK:
                yield Fault(name, nth, hang=True, later=True)


def main() -> None:
    logging.disable()
    stub = Stub()
    guarded.OPEN_WITHIN_MS, guarded.SLOWER = OPEN_WITHIN_MS, SLOWER
    with tempfile.TemporaryDirectory() as folder:
        fatbin = Path(folder) / "stub.image"
        fatbin.write_bytes(image())
        device_engine.open_stream = partial(opening, fatbin)  # type: ignore[assignment]
        lending = open_stream(fatbin=fatbin)
        never_free(lending)  # on a driver that hangs by then
        lender = (lending, lending.allocate(SIZE * SIZE))
        run(stub, lender, None)  # cuda-core looks a few things up once in a process
        counts: dict[str, dict[str, int]] = {}
        stub.reset()
        print(json.dumps({"fault": None, **asdict(run(stub, lender, counts))}), flush=True)
        for fault in hangs(counts):
            stub.reset(fault)
            told = run(stub, lender, None)
            print(json.dumps({"fault": asdict(fault), **asdict(told), "struck": stub.report().struck}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
