"""The taking end of a stream, the same for everybody: waits for the next picture and copies it out of shared memory.

Not for: queues, which are what the implementations differ in.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from benchmarks.frame_stream.generator import MESSAGE
from benchmarks.frame_stream.pictures import Pictures
from cathrt.runtime.processes.priority import Grants, make_real_time

_THREAD = threading.local()
_real_time = True


@dataclass(frozen=True, slots=True, eq=False)
class Arrival:
    """A picture that has arrived. captured_ns: when the taker had it whole."""

    number: int
    captured_ns: int
    pixels: NDArray[Any]


class Arrivals:
    """One stream. For one thread."""

    def __init__(self, fifo: Path, pictures: Pictures) -> None:
        """Listen: the generator begins. Waits until it is there."""
        self._fifo = os.open(fifo, os.O_RDONLY)
        self._pictures = pictures

    def next(self) -> Arrival | None:
        """Wait for the next picture; None: the stream has ended."""
        go_ahead()
        message = os.read(self._fifo, MESSAGE.size)
        if not message:
            os.close(self._fifo)
            return None
        number, _, _ = MESSAGE.unpack(message)
        pixels = self._pictures.taken(number)
        return Arrival(number, time.monotonic_ns(), pixels)


def let_ahead(*, real_time: bool) -> None:
    """What go_ahead() gives from now on: at a trial's begin, for all threads of the process."""
    global _real_time
    _real_time = real_time


def go_ahead() -> None:
    """Give the calling thread the priority that the live process gives its threads, where the system grants it.

    Whatever takes or judges pictures here calls it: nobody is ahead by priority alone. Under overload nobody has it:
    real-time threads that always compute are stopped by the kernel for 50 ms of each second, and the generator with
    them (sched(7), sched_rt_runtime_us).
    """
    if getattr(_THREAD, "real_time", False) is not _real_time:
        _THREAD.real_time = _real_time
        if _real_time:
            make_real_time(Grants(), "a stream")
        else:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
