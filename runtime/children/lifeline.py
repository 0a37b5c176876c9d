"""A child process's own part in ending with its parent. Imports next to nothing: children start often.

Linux only. Not for: starting and ending children (children.py).
"""

from __future__ import annotations

import ctypes
import os

_PR_SET_PDEATHSIG = 1
_SIGKILL = 9


def die_with_parent(parent_pid: int) -> None:
    """Called by the child, first of all: be killed when the parent ends, however it ends.

    parent_pid: as the parent knows itself. Ends this process at once where the parent is gone already.
    """
    if ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0) != 0 or os.getppid() != parent_pid:
        os._exit(1)
