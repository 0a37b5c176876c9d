"""SIGINT, SIGTERM and SIGHUP set an event, so that a service ends at a place of its own choice.

Not for: commands that a signal ends by an exception (commands/stop_signals.py).
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

STOP_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
# Whoever sends a signal may send it twice: `timeout` does, and so does a terminal through a wrapper that hands it on.
TWICE_S = 1.0


@dataclass(frozen=True, slots=True)
class Stopped:
    """stop: set by the first signal. hurry: by a further one, more than a second later."""

    stop: threading.Event = field(default_factory=threading.Event)
    hurry: threading.Event = field(default_factory=threading.Event)


@contextmanager
def stopped_by_signals() -> Iterator[Stopped]:
    """While the block runs, signals set events. One that is ignored stays so. To be called in the main thread.

    The kernel's signal handler writes to a pipe, and a thread reads it: this works while the main thread is in a long
    call of a vendor's code, and never takes a lock that the interrupted code holds (Event.set() in a handler may).
    """
    stopped = Stopped()
    reading, writing = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(writing, False)
    before_descriptor = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    handled = [number for number in STOP_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, _leave_it_to_the_thread) for number in handled}
    threading.Thread(target=_watch, args=(reading, stopped), name="cathrt-signals", daemon=True).start()
    try:
        yield stopped
    finally:
        signal.set_wakeup_fd(before_descriptor)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writing)  # the thread reads the end, and closes its side


def _leave_it_to_the_thread(number: int, frame: object) -> None:
    """Python's part of the handler; the pipe has the signal already."""


def _watch(reading: int, stopped: Stopped) -> None:
    first_s: float | None = None
    with contextlib.closing(os.fdopen(reading, "rb", buffering=0)) as pipe:
        while numbers := pipe.read(1):
            if numbers[0] not in STOP_SIGNALS:
                continue
            now_s = time.monotonic()
            if first_s is None:
                first_s = now_s
                stopped.stop.set()
            elif now_s - first_s > TWICE_S:
                stopped.hurry.set()
