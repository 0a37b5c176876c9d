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
import subprocess
import sys
import time
from fcntl import F_ADD_SEALS, F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK, fcntl
from typing import Any

from cathrt.runtime.sources.messages import MAX_FRAME_LINE, MAX_RUN_LINE, ReplyError, Request, text_from_request
from cathrt.runtime.sources.syntax import printable

_PROGRAM = ("-m", "cathrt.runtime.sources.child")
_STDERR_KEPT = 4096
# What Python and its shared libraries need to be found, and one thread for libraries that would start one per core.
_KEPT_ENVIRONMENT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")
_CHILD_ENVIRONMENT = {"LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


class DecoderProcess:
    """One child, one request. Not thread-safe. close() kills it; so does every way this object can be left."""

    def __init__(self, request: Request, program: tuple[str, ...] = _PROGRAM) -> None:
        """program: arguments to the Python interpreter; another one than the decoder is only of use to tests."""
        request_fd = os.memfd_create("cathrt-request")
        self._ring_fd = os.memfd_create("cathrt-ring", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        self._replies, replies_out = os.pipe()
        credits_in, self._credits = os.pipe()
        try:
            with open(request_fd, "wb", closefd=False) as file:
                file.write(text_from_request(request).encode())
            os.lseek(request_fd, 0, os.SEEK_SET)
            self._process = subprocess.Popen(
                [sys.executable, "-P", *program]
                + [str(descriptor) for descriptor in (replies_out, credits_in, self._ring_fd)],
                stdin=request_fd,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(replies_out, credits_in, self._ring_fd),
                env=_CHILD_ENVIRONMENT | {key: os.environ[key] for key in _KEPT_ENVIRONMENT if key in os.environ},
                start_new_session=True,  # Ctrl-C in the terminal is the parent's to handle
            )
        finally:
            for descriptor in (request_fd, replies_out, credits_in):
                os.close(descriptor)
        assert self._process.stderr is not None
        self._stderr_fd = self._process.stderr.fileno()
        os.set_blocking(self._replies, False)
        os.set_blocking(self._stderr_fd, False)
        self._poll = select.poll()
        self._poll.register(self._replies, select.POLLIN)
        self._poll.register(self._stderr_fd, select.POLLIN)
        self._pending = bytearray()
        self._stderr = b""
        self._line_limit = MAX_RUN_LINE
        self._closed = False

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

    def how_it_ended(self) -> str:
        """One line on why the child stopped by itself: its last word on standard error, its signal or exit status."""
        try:
            status = self._process.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            return "it closed its side and went on running"
        self._drain_stderr()
        if status == -signal.SIGXCPU or (status == -signal.SIGKILL and not self._closed):
            return f"{signal.Signals(-status).name}: used up its CPU time or was killed"
        if status < 0:
            return f"{signal.Signals(-status).name}: crashed while decoding"
        lines = self._stderr.decode(errors="replace").strip().splitlines()
        return printable(lines[-1], 200) if lines else f"ended with status {status} and no word"

    def close(self) -> None:
        """Kill the child and free everything. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._process.kill()
        self._process.wait()
        assert self._process.stderr is not None
        self._process.stderr.close()
        for descriptor in (self._replies, self._credits, self._ring_fd):
            os.close(descriptor)

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
