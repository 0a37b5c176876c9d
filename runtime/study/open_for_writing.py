"""Whether a file is still being written, where the system can tell: by asking for a read lease on it.

Linux refuses a read lease (fcntl(2), F_SETLEASE) while any process of this machine has the file open for writing. On
file systems without leases, and for files of other users, it cannot tell. Not for: writers on other machines.
"""

from __future__ import annotations

import errno
import os
import signal
from fcntl import F_RDLCK, F_SETLEASE, F_SETSIG, F_UNLCK, fcntl
from pathlib import Path


def is_open_for_writing(path: Path) -> bool:
    """True where a process of this machine is known to have it open for writing. Waits for nothing, raises nothing."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False  # whoever opens it next says why
    try:
        fcntl(descriptor, F_SETSIG, signal.SIGURG)  # sent to who holds a lease that is broken: by default it is ignored
        fcntl(descriptor, F_SETLEASE, F_RDLCK)
        fcntl(descriptor, F_SETLEASE, F_UNLCK)
    except OSError as exc:
        return exc.errno == errno.EAGAIN
    finally:
        os.close(descriptor)
    return False
