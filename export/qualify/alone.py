"""Measures an engine alone in a new process: time of a call, memory.

Not for: comparing engines with each other (benchmarks/engines.py), or with their reference (qualify/measure.py).
"""

from __future__ import annotations

import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.children.lifeline import starting_workers, work_for_parent
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines import open_engine
from cathrt.runtime.errors import EngineError
from cathrt.runtime.models import open_bundle

ALONE_CALLS = 500
P99_NEEDS = 459  # calls for a p99 of 99 % confidence (MLPerf's early stopping, no miss)
_MIB = 1024.0  # kB of /proc/self/status in one


@dataclass(frozen=True, slots=True)
class Latency:
    """Wall time of single calls, in order; at least one."""

    took_ms: tuple[float, ...]

    def quantile(self, share: float) -> float:
        """The least measured time that this share of the calls did not exceed."""
        return float(np.quantile(self.took_ms, share, method="higher"))


@dataclass(frozen=True, slots=True)
class Alone:
    """The engine in a process of its own, fed with noise. rss_before_mib: of that process before the engine was
    opened; peak_rss_mib: the most it ever held."""

    latency: Latency
    rss_before_mib: float
    peak_rss_mib: float


def measure_alone(bundle: Bundle, role: str, engine: str, config: EngineConfig, calls: int = ALONE_CALLS) -> Alone:
    """Latency and memory of the engine in a new process, where neither the reference nor its threads disturb it.

    role: the network. The process knows the kinds of model of MODELS as it is installed, and none that was added since.

    Memory is the process's own (RSS): what a driver keeps on a device is not in it. Raises what opening and running
    the engine raise, EngineError where the process dies.
    """
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(1, context, work_for_parent, (os.getpid(),)) as pool:
            with starting_workers():
                measured = pool.submit(_alone, bundle.path, bundle.signed_by, role, engine, config, calls)
            return measured.result()
    except BrokenProcessPool as exc:
        raise EngineError(
            f"{engine}: the process that measured it alone died: it needs more memory than there is?"
        ) from exc


def _alone(path: Path, signed_by: str, role: str, engine: str, config: EngineConfig, calls: int) -> Alone:
    """In the new process."""
    bundle = open_bundle(path, [signed_by])
    before = _status_mib("VmRSS")
    opened = open_engine(engine, bundle, role, config)
    try:
        draw = np.random.Generator(np.random.PCG64(0))
        for buffer in opened.input_buffers.values():
            np.copyto(buffer, draw.standard_normal(buffer.shape), casting="unsafe")
        took_ms: list[float] = []
        for _ in range(calls):
            began = time.monotonic_ns()
            opened.infer(opened.input_buffers)
            took_ms.append((time.monotonic_ns() - began) / 1e6)
    finally:
        opened.close()
    return Alone(Latency(tuple(took_ms)), before, _status_mib("VmHWM"))


def _status_mib(key: str) -> float:
    """A line of /proc/self/status. Not getrusage: its peak outlives exec, so a child begins with its parent's."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0]) / _MIB
    raise EngineError(f"/proc/self/status has no {key}: memory is measured on Linux only")
