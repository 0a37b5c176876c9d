"""The process that decoders are forked from: python -m cathrt.runtime.sources.decoder.fork_server KIND CONTROL PARENT,
started by decoder/servers.py and by nothing else.

Imports once what reading inputs of one kind needs, then forks a decoder for each request. It reads no input and no
request itself, so nothing that one file does can reach the decoder of the next. Not for: what a decoder does
(child.py).

Each message on CONTROL, a socket, brings the descriptors of Given and of standard error, and is answered by the
decoder's process id, or by minus the error number. The decoder is a child of PARENT: that one sees how it ends and
reaps it, and it outlives this process.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn, cast

from cathrt.runtime.children.lifeline import die_with_parent
from cathrt.runtime.errors import SourceError
from cathrt.runtime.sources.decoder.child import READERS, Given, serve
from cathrt.runtime.sources.decoder.system_calls import ARCHITECTURES
from cathrt.runtime.sources.discover import InputKind

DESCRIPTORS = 5  # Given's four, and standard error
ANSWER = struct.Struct("i")

_CLONE_PARENT = 0x00008000  # linux/sched.h: the new process is a child of our parent, not of us


def main(arguments: list[str], serve: Callable[[Given], None] = serve) -> None:
    """Fork decoders until the parent closes its side. serve: what each does; another one is only of use to tests."""
    kind, control, parent = cast(InputKind, arguments[0]), int(arguments[1]), int(arguments[2])
    die_with_parent(parent)
    with suppress(SourceError, ImportError):  # a decoder meets it again and says so
        READERS[kind]()
    if len(os.listdir("/proc/self/task")) != 1:
        sys.exit("a library has started a thread, which a forked decoder would lack: report it")
    gc.freeze()  # or the first collection of each decoder would copy every page
    with socket.socket(fileno=control) as channel:
        while True:
            message, given, _, _ = socket.recv_fds(channel, 1, DESCRIPTORS)
            if not message:
                return
            answer = _forked(channel, given, parent, serve) if len(given) == DESCRIPTORS else -errno.EMFILE
            for descriptor in given:
                os.close(descriptor)
            channel.send(ANSWER.pack(answer))


def _forked(channel: socket.socket, given: list[int], parent: int, serve: Callable[[Given], None]) -> int:
    """The process id of a new decoder, or minus the error number. In the decoder it does not return."""
    architecture = ARCHITECTURES.get(os.uname().machine)
    if architecture is None:
        return -errno.ENOSYS
    # With the interpreter's lock held, and without the C library's preparations for forks, which are about other
    # threads: there are none.
    libc = ctypes.PyDLL(None, use_errno=True)
    pid = int(libc.syscall(architecture.numbers["clone"], _CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0))
    if pid == 0:
        channel.close()
        _decode(given, parent, serve)
    return pid if pid > 0 else -ctypes.get_errno()


def _decode(given: list[int], parent: int, serve: Callable[[Given], None]) -> NoReturn:
    """A decoder from its first moment to its last: its end is that of the process."""
    status = 1
    try:
        die_with_parent(parent)
        os.setsid()  # a process group of its own, for end_child()
        *ours, stderr = given
        os.dup2(stderr, 2)
        os.close(stderr)
        serve(Given(*ours))
        status = 0
    except SystemExit as exc:
        if isinstance(exc.code, int | None):
            status = exc.code or 0
        else:
            print(exc.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        raise
    finally:
        with suppress(OSError):
            sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])
