"""The decoder process as its parent holds it: start, listen with a time limit, give credit, stop, say how it ended.

Not for: what the messages mean (sandbox.py).
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import select
import signal
import sys
import time
from dataclasses import dataclass
from fcntl import F_ADD_SEALS, F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK, fcntl
from typing import Any

from cathrt.runtime.children.parent import end_child, exit_status
from cathrt.runtime.errors import SourceError
from cathrt.runtime.sources.decoder.servers import ForkServer, server_of
from cathrt.runtime.sources.messages import MAX_FRAME_LINE, MAX_RUN_LINE, Request, text_from_request
from cathrt.runtime.sources.reply_error import ReplyError
from cathrt.runtime.sources.syntax import printable

_STDERR_KEPT = 4096
# What the kernel or the C library ends a process with for what it did itself. Any other signal came from outside, or
# from a limit on the whole run: the frame in work is not to blame.
_CRASHES = frozenset({"SIGSEGV", "SIGBUS", "SIGABRT", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS"})


_MEANING = dict.fromkeys(_CRASHES, "crashed while decoding") | {
    "SIGXCPU": "used up its CPU time, limits.decoder_cpu_s",
    "SIGKILL": "killed from outside, or by the system because memory ran out",
}


class NotStartedError(SourceError):
    """No decoder could be started: the input was not looked at."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a decoder stopped by itself. killed: by a signal that the frame in work is not to blame for."""

    text: str
    killed: bool


class DecoderProcess:
    """One child, one request. Not thread-safe. close() kills it; so does every way this object can be left."""

    def __init__(self, request: Request, server: ForkServer | None = None) -> None:
        """server: the fork server; by default this process's own for that kind of input.

        Raises NotStartedError where no process can be started; nothing is left of it then.
        """
        self._kept = contextlib.ExitStack()  # descriptors of ours, until close()
        self._closed = False
        try:
            with contextlib.ExitStack() as given:  # descriptors that the child has copies of
                self._start(request, server or server_of(request.kind), given)
        except OSError as exc:
            self._kept.close()
            raise NotStartedError(
                f"{request.name}: the decoder cannot be started ({exc.strerror or exc}): "
                f"check {sys.executable}, and the limits on processes, open files and memory"
            ) from exc
        except BaseException:
            self._kept.close()
            raise
        self._poll = select.poll()
        self._poll.register(self._replies, select.POLLIN)
        self._poll.register(self._stderr_fd, select.POLLIN)
        self._pending = bytearray()
        self._stderr = b""
        self._line_limit = MAX_RUN_LINE

    def _start(self, request: Request, server: ForkServer, given: contextlib.ExitStack) -> None:
        request_fd = _held(given, os.memfd_create("cathrt-request"))
        self._ring_fd = _held(self._kept, os.memfd_create("cathrt-ring", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))
        self._replies, replies_out = _pipe(self._kept, given)
        self._stderr_fd, stderr_out = _pipe(self._kept, given)
        credits_in, self._credits = _pipe(given, self._kept)
        os.set_blocking(self._replies, False)
        os.set_blocking(self._stderr_fd, False)
        with open(request_fd, "wb", closefd=False) as file:
            file.write(text_from_request(request).encode())
        os.lseek(request_fd, 0, os.SEEK_SET)
        descriptors = (request_fd, replies_out, credits_in, self._ring_fd, stderr_out)
        self._process = server.fork(descriptors, request.limits.first_frame_s)

    @property
    def pid(self) -> int:
        return self._process.pid

    def receive(self, wait_s: float) -> dict[str, Any] | None:
        """The next reply; None once the child has closed its side.

        Raises TimeoutError after `wait_s`, ReplyError for what is no reply.
        """
        deadline = time.monotonic() + wait_s
        while (end := self._pending.find(b"\n")) < 0:
            if len(self._pending) > self._line_limit:
                raise ReplyError("a reply without end")
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError
            for descriptor, _ in self._poll.poll(remaining * 1000.0):
                if descriptor == self._stderr_fd:
                    self._drain_stderr()
                elif piece := os.read(self._replies, 65536):
                    self._pending += piece
                else:
                    return None
        line = bytes(self._pending[:end])
        del self._pending[: end + 1]
        self._line_limit = MAX_FRAME_LINE
        return _document(line)

    def size_ring(self, size: int) -> mmap.mmap:
        """Give the ring its size, seal it (a child that shrank it would kill us with SIGBUS) and map it read-only."""
        os.ftruncate(self._ring_fd, size)
        fcntl(self._ring_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
        return mmap.mmap(self._ring_fd, size, prot=mmap.PROT_READ)

    def give_credit(self, slots: int) -> None:
        """Let the child fill this many more slots. A child that is gone is noticed by receive()."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._credits, b"+" * slots)

    def how_it_ended(self) -> Ending:
        """Why the child stopped by itself: its signal, the kind of its error, or its exit status.

        Not what the error says: a library's words may quote an element.
        """
        status = exit_status(self._process, within_s=2.0)
        if status is None:
            return Ending("it closed its side and went on running", killed=False)
        self._drain_stderr()
        if status < 0:
            name = _signal_name(-status)
            return Ending(f"{name}: {_MEANING.get(name, 'killed from outside')}", killed=name not in _CRASHES)
        lines = self._stderr.decode(errors="replace").strip().splitlines()
        kind = printable(lines[-1].partition(": ")[0], 200) if lines else ""
        last = kind or f"ended with status {status} and no word"
        return Ending(last, killed=False)

    def close(self) -> None:
        """Kill the child and whatever it started, and free everything. Idempotent."""
        if self._closed:
            return
        self._closed = True
        end_child(self._process)
        self._kept.close()

    def _drain_stderr(self) -> None:
        """Keep the last of what the child says there. Never waits."""
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self._stderr_fd, 65536):
                self._stderr = (self._stderr + piece)[-_STDERR_KEPT:]
            with contextlib.suppress(KeyError):
                self._poll.unregister(self._stderr_fd)


def _document(line: bytes) -> dict[str, Any]:
    def refuse(token: str) -> float:
        raise ReplyError(f"a number that is none: {token}")

    try:
        document = json.loads(line, parse_constant=refuse)
    except (ValueError, RecursionError) as exc:
        raise ReplyError("a reply that is not JSON") from exc
    if not isinstance(document, dict):
        raise ReplyError("a reply that is no object")
    return document


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # the real-time signals between SIGRTMIN and SIGRTMAX
        return f"signal {number}"


def _held(stack: contextlib.ExitStack, descriptor: int) -> int:
    stack.callback(os.close, descriptor)
    return descriptor


def _pipe(reader: contextlib.ExitStack, writer: contextlib.ExitStack) -> tuple[int, int]:
    """Both ends of a new pipe, each held by its stack."""
    read, write = os.pipe()
    return _held(reader, read), _held(writer, write)
