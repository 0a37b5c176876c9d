"""Asks a Python child process, with a deadline: NVIDIA's code in it may crash or hang without harm.

Not for: children that go on working (sources/child.py), and not for what is asked (device_probe.py, layer_report.py).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence


def ask_child(
    arguments: Sequence[str], within_s: float, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments and wait for its end. Raises TimeoutError where there is none within `within_s`.

    environment: instead of this process's own.
    A process that hangs inside a driver may not die of SIGKILL either. It is killed, with whatever it started, and left
    to a thread that waits for it; the caller does not.
    """
    child = subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=environment,
        start_new_session=True,  # a process group of its own, so that all of it can be killed
    )
    try:
        out, err = child.communicate(timeout=within_s)
    except BaseException as exc:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        threading.Thread(target=_reap, args=(child,), name="cathrt-reap", daemon=True).start()
        if isinstance(exc, subprocess.TimeoutExpired):
            raise TimeoutError(f"no end within {within_s:g} s") from exc
        raise
    return subprocess.CompletedProcess(child.args, child.returncode, out, err)


def how_it_ended(child: subprocess.CompletedProcess[str]) -> str:
    """Signal or exit status, and the last line of what it said on stderr."""
    status = child.returncode
    how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    last = (child.stderr.strip().splitlines() or ["no word"])[-1]
    return f"{how} ({last[:200]})"


def _reap(child: subprocess.Popen[str]) -> None:
    for stream in (child.stdout, child.stderr):
        if stream is not None:
            stream.close()
    child.wait()
