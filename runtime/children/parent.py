"""Starts and ends child processes. None outlives close() or its parent, and neither does what it started.

Linux only. Not for: the child's own part in that (lifeline.py), and what it may do while it lives
(sources/confinement.py).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from queue import SimpleQueue

_Start = Callable[[], "subprocess.Popen[bytes]"]
_Jobs = SimpleQueue["tuple[_Start, Future[subprocess.Popen[bytes]]]"]

_POLL_S = 0.002

# The kernel sends a child its death signal when the *thread* that started it ends. So one thread starts all children;
# it is a daemon, which lives until the process ends.
_jobs: _Jobs | None = None
_lock = threading.Lock()


def start_child(start: _Start) -> subprocess.Popen[bytes]:
    """Run `start` in a thread that lives as long as this process. The child must call
    lifeline.die_with_parent().

    start: makes a Popen with start_new_session=True, so that end_child() finds its whole group. Raises what it raises.
    """
    started: Future[subprocess.Popen[bytes]] = Future()
    _starter().put((start, started))
    return started.result()


def _starter() -> _Jobs:
    global _jobs
    with _lock:
        if _jobs is None:
            _jobs = SimpleQueue()
            threading.Thread(target=_start_all, args=(_jobs,), name="cathrt-start", daemon=True).start()
        return _jobs


def _start_all(jobs: _Jobs) -> None:
    while True:
        start, started = jobs.get()
        try:
            started.set_result(start())
        except BaseException as exc:  # start_child() raises it
            started.set_exception(exc)
        del start, started  # or the last child's Popen would live until the next one is started


def _after_fork() -> None:
    """A forked copy of this process has none of its threads."""
    global _jobs, _lock
    _jobs, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


@dataclass(slots=True)
class ForkedChild:
    """A child of this process that a fork server has made for it. As Popen has them: pid, returncode, wait()."""

    pid: int
    returncode: int | None = None

    def wait(self) -> int:
        if self.returncode is None:
            try:
                self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            except ChildProcessError:  # SIGCHLD is ignored here: the kernel has reaped it, and knows no status
                self.returncode = 0
        return self.returncode


def exit_status(process: subprocess.Popen[bytes] | ForkedChild, within_s: float) -> int | None:
    """How a child ended, as Popen.returncode says it; None where it still runs after `within_s`.

    The child stays unreaped, so that its process group keeps its number until end_child().
    """
    deadline = time.monotonic() + within_s
    while process.returncode is None:
        try:
            found = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:  # SIGCHLD is ignored here: the kernel has reaped it
            return process.wait()
        if found is not None:
            return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
        if time.monotonic() >= deadline:
            return None
        time.sleep(_POLL_S)
    return process.returncode


def end_child(process: subprocess.Popen[bytes] | ForkedChild) -> None:
    """Kill a child and everything it started that stayed in its process group; then reap it."""
    if process.returncode is None:  # not yet reaped: neither number can be another's
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)  # one that was just forked may have no group of its own yet
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
