"""Standard input, output and error of a command: always open, plain text; an output error is a SinkError.

Not for: what is written (commands/options.py), or files that a command writes (output_files.py).
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
import time
from typing import TYPE_CHECKING, ClassVar, TextIO, TypeVar

from cathrt.runtime.errors import SinkError
from cathrt.runtime.outside.plain_text import shown_lines

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_Text = TypeVar("_Text", bound=io.TextIOWrapper)
_INPUT, _OUTPUT, _ERROR = 0, 1, 2
_LOOK_MS = 200  # how often a writer that waits looks whether it is to wait any longer


def prepare_standard_streams() -> None:
    """Give the process its three descriptors and sys.stdout and sys.stderr their rules. Called before all else.

    Where a descriptor is closed, the next file or socket would get its number, and what is printed would go there. So
    each closed one becomes /dev/null: input at its end, output that can only be read, so that writing to it fails as it
    does without a reader, and error that takes everything.
    """
    if isinstance(sys.stdout, _PlainText):
        return
    for descriptor, mode in ((_INPUT, os.O_RDONLY), (_OUTPUT, os.O_RDONLY), (_ERROR, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            found = os.open(os.devnull, mode)  # the lowest number that is free, and those below are taken
            assert found == descriptor
            os.set_inheritable(descriptor, True)
    if sys.stdin is None:
        sys.stdin = open(_INPUT, encoding="utf-8", closefd=False)  # noqa: SIM115 - for the life of the process
    sys.stdout = _plain_text(_Output(_OUTPUT, "wb", closefd=False), sys.stdout)
    sys.stderr = _plain_text(_Messages(_ERROR, "wb", closefd=False), sys.stderr)


def styled(stream: TextIO) -> TextIO:
    """A way to the same place that lets escape sequences through, for text that is plain but for our own."""
    if isinstance(stream, _PlainText):
        raw = _Output if stream.fileno() == _OUTPUT else _Messages
        return _buffered(io.TextIOWrapper, raw(stream.fileno(), "wb", closefd=False), stream)
    return stream


def drop_output() -> None:
    """What standard output still holds goes nowhere: it has failed once, and Python flushes it again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), _OUTPUT)


def limit_output_wait(seconds: float) -> None:
    """From now on a reader of standard output that takes nothing for so long counts as gone."""
    _Output.patience_s = seconds


class _Output(io.FileIO):
    """Standard output. Whoever writes what cannot be written gets a SinkError.

    patience_s: how long it waits for its reader; None: for ever. Written in pieces that a pipe with any room takes at
    once, so that it never waits where it could not be told to stop.
    """

    patience_s: ClassVar[float | None] = None

    def write(self, data: ReadableBuffer, /) -> int:
        piece = memoryview(data).cast("B")[: select.PIPE_BUF]
        try:
            self._await_reader()
            while (count := super().write(piece)) is None:  # not blocking, and full for now
                self._await_reader()
        except BrokenPipeError as exc:
            raise SinkError("standard output: the reader has closed the pipe: nothing more is written to it") from exc
        except OSError as exc:
            why = "it is closed" if exc.errno == errno.EBADF else exc.strerror
            raise SinkError(f"standard output cannot be written ({why}): check where it goes") from exc
        return count

    def _await_reader(self) -> None:
        """Until there is room. Raises SinkError; OSError where the descriptor is none."""
        waiting, began_s = select.poll(), time.monotonic()
        waiting.register(self.fileno(), select.POLLOUT)
        while not waiting.poll(_LOOK_MS):
            if self.patience_s is not None and time.monotonic() - began_s > self.patience_s:
                raise SinkError(
                    f"standard output: its reader has taken nothing for {self.patience_s:g} s: nothing more is written"
                )


class _Messages(io.FileIO):
    """Standard error. What nobody can read is lost, and there is no other place to say so; the exit code stays."""

    def write(self, data: ReadableBuffer, /) -> int:
        size = memoryview(data).nbytes
        try:
            return super().write(data) or size
        except OSError:
            return size


class _PlainText(io.TextIOWrapper):
    """Text for people, whoever writes it: control characters other than line ends are written out."""

    ascii_only = False

    def write(self, text: str, /) -> int:
        plain = shown_lines(text)
        if self.ascii_only:
            plain = plain.encode("ascii", "backslashreplace").decode("ascii")
        super().write(plain)
        return len(text)


def _plain_text(raw: io.FileIO, before: TextIO | None) -> TextIO:
    stream = _buffered(_PlainText, raw, before)
    # Said to be UTF-8, since click takes an ASCII stream for a mistake and writes around it.
    stream.ascii_only = before is not None and before.encoding.lower().replace("-", "") in ("ascii", "usascii")
    return stream


def _buffered(kind: type[_Text], raw: io.FileIO, before: TextIO | None) -> _Text:
    encoding = "utf-8" if before is None or "ascii" in before.encoding.lower() else before.encoding
    lines = raw.fileno() == _ERROR or raw.isatty()
    return kind(io.BufferedWriter(raw), encoding=encoding, errors="backslashreplace", line_buffering=lines)
