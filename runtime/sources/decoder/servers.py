"""The fork servers of this process, one for each kind of input: started when first needed, ended with the process.

The parent's side of fork_server.py. Not for: what is said to a decoder (process.py).
"""

from __future__ import annotations

import atexit
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence

from cathrt.runtime.children.parent import ForkedChild, end_child, exit_status, start_child
from cathrt.runtime.sources.decoder.fork_server import ANSWER
from cathrt.runtime.sources.discover import InputKind
from cathrt.runtime.sources.syntax import printable

_log = logging.getLogger(__name__)

_PROGRAM = ("-m", "cathrt.runtime.sources.decoder.fork_server")
# What Python and its shared libraries need to be found, and one thread for libraries that would start one per core.
_KEPT_ENVIRONMENT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")
_CHILD_ENVIRONMENT = {"LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
_STDERR_KEPT = 4096


class _GoneError(OSError):
    """The server does not answer."""


class ForkServer:
    """A process that has imported what decoders of one kind of input need, and forks them. Thread-safe.

    One that has died or hangs is replaced by the next fork(); the decoders it has forked go on.
    """

    def __init__(self, kind: InputKind, program: tuple[str, ...] = _PROGRAM) -> None:
        """program: arguments to the Python interpreter; another one is only of use to tests."""
        self._kind, self._program = kind, program
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the server; None while there is none."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the process, unless it runs, and wait for nothing. Raises OSError where no process can be started."""
        with self._lock:
            self._start()

    def fork(self, descriptors: Sequence[int], within_s: float) -> ForkedChild:
        """A new decoder with copies of these descriptors. Raises OSError: no process, or no answer within the time."""
        with self._lock:
            if self._process is not None:
                try:
                    return self._asked(descriptors, within_s)
                except _GoneError as exc:
                    _log.warning("the fork server of %s decoders %s: a new one is started", self._kind, exc)
            self._start()
            return self._asked(descriptors, within_s)

    def close(self) -> None:
        """End the process. The next fork() starts another one."""
        with self._lock:
            self._end()

    def _start(self) -> None:
        if self._process is not None:
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stderr = -1
        try:
            with theirs:
                stderr = os.memfd_create("cathrt-stderr")  # it is silent, or has one last word
                environment = {key: os.environ[key] for key in _KEPT_ENVIRONMENT if key in os.environ}
                arguments = [self._kind, str(theirs.fileno()), str(os.getpid())]
                self._process = start_child(
                    lambda: subprocess.Popen(
                        [sys.executable, "-P", *self._program, *arguments],
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=stderr,
                        pass_fds=[theirs.fileno()],
                        env=_CHILD_ENVIRONMENT | environment,
                        start_new_session=True,  # Ctrl-C in the terminal is the parent's to handle
                    )
                )
        except BaseException:
            ours.close()
            if stderr >= 0:
                os.close(stderr)
            raise
        self._channel, self._stderr = ours, stderr

    def _asked(self, descriptors: Sequence[int], within_s: float) -> ForkedChild:
        """Raises _GoneError, with the server ended, where it does not answer; OSError where it cannot fork."""
        assert self._process is not None
        try:
            self._channel.settimeout(within_s)
            socket.send_fds(self._channel, [b"+"], descriptors)
            answer = self._channel.recv(ANSWER.size)
        except TimeoutError:
            self._end()
            raise _GoneError(f"gave no answer within limits.first_frame_s = {within_s:g}") from None
        except ConnectionError:
            answer = b""
        except BaseException:  # interrupted: its answer would be taken for the next one's
            self._end()
            raise
        if len(answer) != ANSWER.size:
            why = self._last_word(self._process)
            self._end()
            raise _GoneError(why)
        (pid,) = ANSWER.unpack(answer)
        if pid < 0:
            raise OSError(-pid, os.strerror(-pid))
        return ForkedChild(pid)

    def _last_word(self, process: subprocess.Popen[bytes]) -> str:
        status = exit_status(process, within_s=2.0)
        lines = os.pread(self._stderr, _STDERR_KEPT, 0).decode(errors="replace").strip().splitlines()
        return f"ended with status {status}" + (f": {printable(lines[-1], 200)}" if lines else "")

    def _end(self) -> None:
        if self._process is not None:
            process, self._process = self._process, None
            self._channel.close()
            os.close(self._stderr)
            end_child(process)


_servers: dict[InputKind, ForkServer] = {}
_lock = threading.Lock()


def server_of(kind: InputKind) -> ForkServer:
    """This process's own server of a kind; the first call makes it, and its first fork() starts it."""
    with _lock:
        if kind not in _servers:
            _servers[kind] = ForkServer(kind)
        return _servers[kind]


@atexit.register
def _end_all() -> None:
    for server in _servers.values():
        server.close()


def _after_fork() -> None:
    """A forked copy of this process has servers of its own: these are not its children."""
    global _lock
    _servers.clear()
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
