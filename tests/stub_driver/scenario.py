"""A run of frames through upload, kernel and download over a ring of two slots, and everything that can break in it.

`python -m tests.stub_driver.scenario` on the stub breaks one driver call after another and prints a JSON line for each
run; tests/kernels/test_driver_stream.py judges them. Not for: speed, or what real kernels compute.
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels.cuda.driver import DriverStream, loaded, open_stream
from cathrt.kernels.cuda.driver_calls import LOST
from cathrt.kernels.cuda.events import Event, Graph
from cathrt.kernels.cuda.stream import CudaError, DeviceLostError, DeviceMemory
from tests.stub_driver.control import RESULTS, Fault, Stub
from tests.stub_driver.image import image

FRAMES = 12
FRAME_BYTES = 1009  # prime
REFUSED = {
    "open": "CUDA_ERROR_OUT_OF_MEMORY",
    "allocate": "CUDA_ERROR_OUT_OF_MEMORY",
    "copy": "CUDA_ERROR_INVALID_VALUE",
    "launch": "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES",
    "event": "CUDA_ERROR_INVALID_HANDLE",
    "synchronise": "CUDA_ERROR_NOT_SUPPORTED",
    "graph": "CUDA_ERROR_OUT_OF_MEMORY",
}
FATAL = [RESULTS[name] for name in LOST if name in RESULTS]  # taken in turn, so that each is met
QUEUES_WORK = ("cuMemcpyHtoDAsync", "cuMemcpyDtoHAsync", "cuMemsetD8Async", "cuLaunchKernelEx", "cuEventRecord",
               "cuGraphLaunch")  # fmt: skip


@dataclass(slots=True)
class Outcome:
    """What became of each frame. begun: how many driver calls there had been when each was begun, and after all."""

    delivered: list[int] = field(default_factory=list)
    wrong: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    errors: list[tuple[str, str]] = field(default_factory=list)
    begun: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Slot:
    """One place in the ring. frame: in flight in it, or None. graph: its work recorded, or None to ask for it anew."""

    given: NDArray[np.uint8]
    result: NDArray[np.uint8]
    source: DeviceMemory
    target: DeviceMemory
    begin: Event
    end: Event
    graph: Graph | None = None
    frame: int | None = None


def pixels(frame: int) -> NDArray[np.uint8]:
    return (np.arange(FRAME_BYTES) * 7 + frame * 31).astype(np.uint8)


def ask(stream: DriverStream, slot: Slot) -> None:
    stream.upload(slot.given, slot.source)
    stream.zero(slot.target)
    count = np.int32(FRAME_BYTES)
    stream.launch("stub_increment_kernel", (4, 1, 1), (256, 1, 1), slot.source, slot.target, count)
    stream.download(slot.target, slot.result)


def make_slot(stream: DriverStream, *, recorded: bool) -> Slot:
    source, target = stream.allocate(FRAME_BYTES), stream.allocate(FRAME_BYTES)
    slot = Slot(
        stream.pinned(FRAME_BYTES), stream.pinned(FRAME_BYTES), source, target, stream.record(), stream.record()
    )
    if recorded:
        with stream.capture() as slot.graph:
            ask(stream, slot)
    return slot


def submit(stream: DriverStream, slot: Slot, frame: int) -> None:
    slot.given[:] = pixels(frame)
    slot.result[:] = 0
    stream.record(slot.begin)
    stream.wait(slot.begin)  # true already, and a call that can fail
    if slot.graph is None:
        ask(stream, slot)
    else:
        stream.replay(slot.graph)
    stream.record(slot.end)


def collect(stream: DriverStream, slot: Slot, outcome: Outcome) -> None:
    if slot.frame is None:
        return
    frame, slot.frame = slot.frame, None
    try:
        if not slot.end.done:
            slot.end.synchronise()
        if not stream.elapsed_ms(slot.begin, slot.end) >= 0.0:
            raise AssertionError("an end before its beginning")
    except CudaError as exc:
        outcome.failed.append(frame)
        give_up(stream, exc, outcome)
        return
    right = np.array_equal(slot.result, pixels(frame) + np.uint8(1))
    (outcome.delivered if right else outcome.wrong).append(frame)


def give_up(stream: DriverStream, exc: CudaError, outcome: Outcome) -> None:
    """Note why a frame failed, and wait: what had been asked for it may still be using its slot."""
    outcome.errors.append((type(exc).__name__, str(exc)))
    if isinstance(exc, DeviceLostError):
        raise exc
    stream.synchronise()


def frames(stream: DriverStream, ring: tuple[Slot, Slot], stub: Stub, outcome: Outcome) -> None:
    for frame in range(FRAMES):
        outcome.begun.append(stub.count("any"))
        slot = ring[frame % len(ring)]
        collect(stream, slot, outcome)
        try:
            submit(stream, slot, frame)
        except CudaError as exc:
            outcome.failed.append(frame)
            give_up(stream, exc, outcome)
        else:
            slot.frame = frame
    outcome.begun.append(stub.count("any"))
    for slot in ring:
        collect(stream, slot, outcome)
    while not stream.query():
        pass


def run(stub: Stub, fatbin: Path) -> Outcome:
    """The whole of it. Every frame ends in exactly one of delivered, wrong and failed, whatever breaks."""
    outcome = Outcome()
    loaded.cache_clear()  # as in a new process
    ring: tuple[Slot, ...] = ()
    try:
        with open_stream(priority="high", fatbin=fatbin) as stream:
            ring = (make_slot(stream, recorded=False), make_slot(stream, recorded=True))
            frames(stream, ring, stub, outcome)
    except CudaError as exc:
        outcome.errors.append((type(exc).__name__, str(exc)))
    known = {*outcome.delivered, *outcome.wrong, *outcome.failed}
    outcome.failed += [frame for frame in range(FRAMES) if frame not in known]
    return outcome


def faults(counts: dict[str, int], calls: dict[str, int]) -> Iterator[Fault]:
    """Every call of every class refused, every one fatal, and every piece of queued work failing while it is done."""
    turn = 0
    for what, count in counts.items():
        for nth in range(1, count + 1):
            turn += 1
            yield Fault(what, nth, RESULTS[REFUSED[what]])
            yield Fault(what, nth, FATAL[turn % len(FATAL)], sticky=True)
    for name in QUEUES_WORK:
        for nth in range(1, calls[name] + 1):
            turn += 1
            yield Fault(name, nth, FATAL[turn % len(FATAL)], sticky=True, later=True)


def told(stub: Stub, fatbin: Path, fault: Fault | None) -> dict[str, Any]:
    """One line: what was broken, what became of the frames, and what the stub saw."""
    stub.reset(fault)
    outcome = run(stub, fatbin)
    gc.collect()
    return {"fault": asdict(fault) if fault else None, **asdict(outcome), "report": asdict(stub.report())}


def main() -> None:
    stub = Stub()
    with tempfile.TemporaryDirectory() as folder:
        fatbin = Path(folder) / "stub.image"
        fatbin.write_bytes(image())
        told(stub, fatbin, None)  # cuda-core looks a few things up once in a process
        gc.freeze()
        clean = told(stub, fatbin, None)
        clean["counts"] = {what: stub.count(what) for what in REFUSED}
        print(json.dumps(clean))
        for fault in faults(clean["counts"], clean["report"]["calls"]):
            print(json.dumps(told(stub, fatbin, fault)))


if __name__ == "__main__":
    sys.exit(main())
