"""Standard output of `cathrt run`: what becomes durable in its journals, each record marked as live or confirmed.

Not for: the feed to other programs (the gateway's).
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Self

from cathrt.runtime.alert import NOTICE, StoredRecord
from cathrt.runtime.commands.options import say, show, show_json
from cathrt.runtime.commands.standard_streams import limit_output_wait, styled
from cathrt.runtime.commands.teller import Teller
from cathrt.runtime.errors import CathrtError, JournalError, SinkError
from cathrt.runtime.journal.head import Head, noted_head
from cathrt.runtime.journal.lateness import as_shown
from cathrt.runtime.journal.reader import JournalReader
from cathrt.runtime.journal.records import RecordParts
from cathrt.runtime.models import record_parts
from cathrt.runtime.ports import Sink
from cathrt.runtime.processes.state_folder import StateFolder
from cathrt.runtime.sinks.console import ConsoleSink
from cathrt.runtime.sinks.jsonl import JsonlSink

_LAST_WAIT_S = 5.0  # for a reader who takes nothing, once all has ended


class ShownJournals:
    """Follows the live and the study journal from where they stand, each in a thread, until finish().

    Where standard output takes no more, it says so and shows no more: the records are in the journals, and the feed.
    A reader who takes nothing for a time holds up nobody but this: what waits is shown when he reads on.
    """

    def __init__(self, state: StateFolder, *, json_: bool) -> None:
        """Raises JournalError: a journal that is there cannot be read."""
        self._json = json_
        self._lock = threading.Lock()  # one record at a time
        self._ended = threading.Event()
        self.failure: CathrtError | None = None
        parts = record_parts()
        self._threads = [
            threading.Thread(
                target=self._follow,
                args=(path, noted_head(path) or Head(), _sink(result, parts, json_=json_)),
                name=f"cathrt-show-{result}",
                daemon=True,
            )
            for result, path in (("live", state.live_journal), ("confirmed", state.study_journal))
        ]
        self._teller = Teller("cathrt-show-told")

    def __enter__(self) -> Self:
        self._teller.tell(self._begin)
        self._teller.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.finish()

    def tell(self, document: dict[str, Any], text: str) -> None:
        """Show a line that is no record, and say it on standard error. Returns at once, whoever reads."""

        def show_and_say() -> None:
            self.show_document(document)
            say(text)

        self._teller.tell(show_and_say)

    def show_document(self, document: dict[str, Any]) -> None:
        """With --json: a line that is no record."""
        if self._json:
            self._out(lambda: show_json(document))

    def show_line(self, text: str) -> None:
        """Without --json: a line that is no record."""
        if not self._json:
            self._out(lambda: show(text))

    def finish(self) -> None:
        """Show what is durable by now, and no more. To be called when the writers have ended. Idempotent."""
        if self._ended.is_set():
            return
        limit_output_wait(_LAST_WAIT_S)
        self._ended.set()
        if left_out := self._teller.finish():
            say(f"{left_out} lines about processes were not shown, since nobody read those before them")
        for thread in self._threads:
            thread.join()

    def _begin(self) -> None:
        """The notice, ahead of all else; then the journals, each in its thread."""
        if not self._json:
            self._out(lambda: show(NOTICE))
        for thread in self._threads:
            thread.start()

    def _follow(self, path: Path, after: Head, sink: Sink) -> None:
        with closing(JournalReader(path)) as reader:
            try:
                for followed in reader.follow(after, self._ended):
                    stored = as_shown(followed.stored, time.monotonic_ns())
                    if not self._out(partial(sink.emit, stored)):
                        return
            except JournalError as exc:
                self._fail(exc)

    def _out(self, write: Callable[[], None]) -> bool:
        """Write one thing; whether standard output takes it."""
        with self._lock:
            if isinstance(self.failure, SinkError):
                return False
            try:
                write()
            except SinkError as exc:
                self._fail(exc)
                return False
            return True

    def _fail(self, error: CathrtError) -> None:
        self.failure = self.failure or error
        say(f"{error} [the processes go on; every record is in the journals]")


class _JsonLines:
    """JSON lines as `cathrt replay --json` prints them, with "result" after the type of each: live or confirmed."""

    def __init__(self, stream: BinaryIO, result: str) -> None:
        self._lines = JsonlSink(stream)
        self._result = b',"result":"%b",' % result.encode()

    def emit(self, stored: StoredRecord) -> None:
        type_, _, rest = stored.body.partition(b",")  # a body begins with its type (records.py)
        self._lines.emit(replace(stored, body=type_ + self._result + rest))

    def close(self) -> None:
        self._lines.close()


def _sink(result: str, parts: RecordParts, *, json_: bool) -> Sink:
    if json_:
        return _JsonLines(sys.stdout.buffer, result)
    return ConsoleSink(styled(sys.stdout), parts, mark=f"{result:11}", noticed=True)
