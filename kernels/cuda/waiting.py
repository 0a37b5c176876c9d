"""Waits for a device with a deadline, by asking the driver again and again: the driver's own waits have no deadline.

Not for: what is waited for (driver.py). Costs on the stub: docs/engines.md.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable

DEFAULT_WAIT_MS = 10_000.0  # for programs that only measure or test; the line has engine.device_wait_ms
_SPIN_MS = 5.0  # work of some milliseconds is noticed within microseconds of its end
_SHARE = 16.0  # longer work is asked about after each sixteenth of the time it has taken: noticed 6 % late at most
_LONGEST_SLEEP_MS = 2.0


def reached(ask: Callable[[], bool], within_ms: float) -> bool:
    """Ask until the answer is True; False where it is not after `within_ms`. What `ask` raises goes through."""
    begun_ns = time.monotonic_ns()
    while not ask():
        waited_ms = (time.monotonic_ns() - begun_ns) / 1e6
        if waited_ms >= within_ms:
            return False
        if waited_ms > _SPIN_MS:
            time.sleep(min(waited_ms / _SHARE, _LONGEST_SLEEP_MS, within_ms - waited_ms) / 1e3)
    return True


def never_free(owner: object) -> None:
    """Keep `owner`, and all that it refers to, until the process ends, and run no finaliser of it even then.

    A device that does not answer may still read and write what it was given, and a call that frees any of it may never
    return.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(owner))
