"""Cost of waiting with a deadline, on the stub of the CUDA driver (`python -m benchmarks.device_waits`).

Asking against the driver's own wait, how late the end of work is noticed, and a frame through the engine's thread. The
stub's work takes no time: nothing here is a GPU's speed (benchmarks/gpu_check.py). On a busy machine run it under
`chrt -f 10` as well: without that, sleeps end when the scheduler likes.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import measure
from cathrt.kernels.cuda.waiting import reached
from cathrt.runtime.engines import device_engine
from cathrt.runtime.engines.guarded import GuardedEngine
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from tests.lines import MANIFEST, ArraySource, picture
from tests.stub_driver import hang_scenario
from tests.stub_driver.build import run_under_stub
from tests.stub_driver.image import image

_ON_STUB = "--on-stub"
_WAIT_MS = 10_000.0
_WORK_MS = (0.5, 1.0, 3.0, 5.0, 10.0, 50.0)


def rows(rounds: int) -> Iterator[dict[str, Any]]:
    child = run_under_stub("-m", "benchmarks.device_waits", _ON_STUB, str(rounds))
    if child.returncode != 0:
        raise SystemExit(child.stderr)
    yield from map(json.loads, child.stdout.splitlines())


def rows_on_stub(rounds: int) -> Iterator[dict[str, Any]]:
    """In a process whose driver is the stub."""
    hang_scenario.WAIT_MS = _WAIT_MS
    heartbeat = measure.Heartbeat()
    with tempfile.TemporaryDirectory(prefix="cathrt-bench-") as folder:
        fatbin = Path(folder) / "stub.image"
        fatbin.write_bytes(image())
        device_engine.open_stream = partial(hang_scenario.opening, fatbin)  # type: ignore[assignment]
        bare = hang_scenario.open_on_stub()
        guarded = GuardedEngine("tensorrt", hang_scenario.open_on_stub, _WAIT_MS)
        stream, run, pixels = hang_scenario.streams[0], ArraySource([0.1]).run, picture(0.3)
        steps = [
            one.frame_step(run, MANIFEST.network(CLASSIFIER).preprocessing, time.monotonic_ns)
            for one in (bare, guarded)
        ]
        variants = {
            "idle: the driver's wait": lambda _: stream._calls.ask("cuStreamSynchronize", stream.handle),
            "idle: asking": lambda _: stream.synchronise(),
            "frame: bare engine": lambda _: steps[0](pixels),
            "frame: engine's thread": lambda _: steps[1](pixels),
        }
        samples = measure.interleave(variants, rounds=rounds, warm_up=100)
        for work_ms in _WORK_MS:
            samples[f"noticed: work of {work_ms:g} ms"] = _lateness(work_ms, max(10, rounds // 50))
        guarded.close()
        bare.close()
    heartbeat.finish()
    priority = "real time" if os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR) else "normal"
    for name, found in samples.items():
        case, impl = name.split(": ")
        yield measure.row("device_waits", case, impl, found, heartbeat, priority=priority)
    median = {name: found.median_ms for name, found in samples.items()}
    figures = {
        "asking_adds_ms": median["idle: asking"] - median["idle: the driver's wait"],
        "thread_adds_ms": median["frame: engine's thread"] - median["frame: bare engine"],
        "late_after_1_ms": median["noticed: work of 1 ms"],
    }
    yield measure.headline("device_waits", figures, heartbeat, ("cuda-core", "cuda-bindings"))


def _lateness(work_ms: float, times: int) -> measure.Samples:
    """How long after its end work of this length is noticed."""
    late = measure.Samples()
    for _ in range(times):
        began = time.monotonic_ns()
        end = began + round(work_ms * 1e6)
        reached(lambda end=end: time.monotonic_ns() >= end, _WAIT_MS)  # type: ignore[misc]
        late.began_ns.append(began)
        late.took_ns.append(time.monotonic_ns() - end)
    return late


if __name__ == "__main__":
    if _ON_STUB in sys.argv:
        measure.report(rows_on_stub(int(sys.argv[2])), as_json=True)
        sys.stdout.flush()
        os._exit(0)  # cuda-core's own end of the process is no part of this
    measure.command(__doc__, rows, quick=200, full=5000)
