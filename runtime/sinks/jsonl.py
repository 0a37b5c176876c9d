"""Records as JSON Lines: one compact UTF-8 object a line, the same bytes that the journal stores.

Two things may differ: an alert's `late`, since it was live when it was stored and is not any more, and control
characters of a text from outside, which stand as JSON's escapes here. Not for: people (console.py).
"""

from __future__ import annotations

from typing import BinaryIO

from cathrt.runtime.alert import StoredRecord
from cathrt.runtime.errors import SinkError
from cathrt.runtime.outside.plain_text import json_escaped


class JsonlSink:
    """Writes to a binary stream (sys.stdout.buffer, a file) and flushes each line: a reader never waits for half a one.

    The stream stays the caller's to close.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def emit(self, stored: StoredRecord) -> None:
        """Write one line. Raises SinkError if the reader has gone or the stream takes no more."""
        try:
            self._stream.write(json_escaped(stored.body.decode()).encode() + b"\n")
            self._stream.flush()
        except BrokenPipeError as exc:
            raise SinkError("JSON lines: the reader has closed the pipe: nothing more is written to it") from exc
        except (OSError, ValueError) as exc:  # ValueError: the stream is closed
            raise SinkError(f"JSON lines: the stream cannot be written ({exc}): check where it goes") from exc

    def close(self) -> None:
        """Nothing is held back and nothing is owned."""
