"""The child's part in ending with its parent. Imports very little, because children start often.

Linux only. Not for: starting and ending children (parent.py).
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

_PR_SET_PDEATHSIG = 1
_SIGKILL = 9


def die_with_parent(parent_pid: int) -> None:
    """Called by the child, first of all: be killed when the parent ends, however it ends.

    parent_pid: as the parent knows itself. Ends this process at once where the parent is gone already.
    """
    if ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0) != 0 or os.getppid() != parent_pid:
        os._exit(1)


def work_for_parent(parent_pid: int) -> None:
    """For a worker of a pool: as die_with_parent(), and Ctrl-C in the terminal ends it without a traceback."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))
    die_with_parent(parent_pid)


@contextmanager
def starting_workers() -> Iterator[None]:
    """Around the start of a pool: its workers begin with SIGINT blocked, until work_for_parent() has them ready."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
