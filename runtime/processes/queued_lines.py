"""A log handler that holds nobody up: lines wait in a bounded queue for a thread that writes them to standard error.

Whoever reads standard error may take nothing for hours; a line of pictures that logs must not wait for that. What no
longer fits is dropped and counted, and the count is logged. Not for: what a line says (log_lines.py).
"""

from __future__ import annotations

import logging
import os
import queue
import select
import threading
from contextlib import suppress
from logging.handlers import QueueHandler

from cathrt.runtime.outside.plain_text import shown

MOST_LINES = 1000  # that wait
LAST_WAIT_S = 1.0  # at the end of the process, for a reader who takes nothing
_STANDARD_ERROR = 2
_END = b""


class QueuedLines(QueueHandler):
    """Formats in the thread that logs, which returns at once.

    Writes to the descriptor itself: a thread that hangs in the buffer of sys.stderr would keep Python from ending.
    """

    def __init__(self, formatter: logging.Formatter, descriptor: int = _STANDARD_ERROR) -> None:
        super().__init__(queue.Queue[bytes](MOST_LINES))
        self.setFormatter(formatter)
        self._descriptor = descriptor
        self._begin()

    def enqueue(self, record: logging.LogRecord) -> None:
        """record: as prepare() has made it, with the whole line as its message."""
        self._put(record.getMessage())

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """A record that cannot be shown: its place instead. logging's own way would write to sys.stderr, and wait."""
        self._put(shown(f"a record of {record.name}, {record.filename} line {record.lineno}, cannot be shown"))

    def flush(self) -> None:
        """Wait until all is written, but not for ever."""
        lines = self._lines
        if self._is_ours:
            with lines.all_tasks_done:
                lines.all_tasks_done.wait_for(lambda: not lines.unfinished_tasks, LAST_WAIT_S)

    def close(self) -> None:
        """Write what a reader takes within a moment. To be called once nobody logs here any more."""
        self.flush()
        if self._is_ours:
            with suppress(queue.Full):
                self._lines.put_nowait(_END)
        super().close()

    def _begin(self) -> None:
        """In this process, with nothing waiting: what waits in a process that forked is its own."""
        self._pid = os.getpid()
        self._lines = self.queue = queue.Queue[bytes](MOST_LINES)
        self._counting, self._dropped = threading.Lock(), 0
        threading.Thread(target=self._write_all, args=(self._lines,), name="cathrt-log", daemon=True).start()

    @property
    def _is_ours(self) -> bool:
        return self._pid == os.getpid()

    def _put(self, line: str) -> None:
        if not self._is_ours:
            self._begin()
        try:
            self._lines.put_nowait(line.encode("utf-8", "backslashreplace") + b"\n")
        except queue.Full:
            with self._counting:
                self._dropped += 1

    # The thread's side.

    def _write_all(self, lines: queue.Queue[bytes]) -> None:
        while (line := lines.get()) != _END:
            self._write(line)
            if lines.empty() and (dropped := self._dropped_so_far()):
                self._write(self._said(dropped))
            lines.task_done()

    def _dropped_so_far(self) -> int:
        with self._counting:
            dropped, self._dropped = self._dropped, 0
        return dropped

    def _said(self, dropped: int) -> bytes:
        text = "%d log lines were dropped, nobody read those before them"
        record = logging.LogRecord("cathrt", logging.WARNING, __file__, 0, text, (dropped,), None)
        return self.format(record).encode() + b"\n"

    def _write(self, line: bytes) -> None:
        """In pieces that a pipe with any room takes whole. What nobody can read is lost."""
        waiting = select.poll()
        waiting.register(self._descriptor, select.POLLOUT)
        while line:
            waiting.poll()
            try:
                line = line[os.write(self._descriptor, line[: select.PIPE_BUF]) :]
            except BlockingIOError:  # others write to it too
                continue
            except OSError:
                return
