"""SIGINT, SIGTERM and SIGHUP end a command by an exception, so that everything it holds is closed.

The exit code is 128 and the signal's number, as a shell says it. Not for: a reader of the output that has gone, which
is an error of output (standard_streams.py).
"""

from __future__ import annotations

import os
import signal
import time
from types import FrameType

from cathrt.runtime.processes.stop_event import STOP_SIGNALS, TWICE_S

STOPPED = 128  # and the number of the signal: 129, 130, 143


def stop_on_signals() -> None:
    """From now on the first of the three raises SystemExit; another one, a second later, ends the process at once.

    One that is ignored stays so: nohup ignores SIGHUP, a shell's background job SIGINT.
    """
    first_s: list[float] = []

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        if not first_s:
            first_s.append(time.monotonic())
            raise SystemExit(STOPPED + number)
        if time.monotonic() - first_s[0] > TWICE_S:
            # Closing hangs. Nothing that was shown is lost, it was durable before. No traceback, no clean-up.
            os._exit(STOPPED + number)

    for number in STOP_SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, stop)
