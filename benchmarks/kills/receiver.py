"""The receiver of a webhook outlet: notes the id of each record that comes, and now and then its answer is lost.

Not for: whether all came (judge.py).
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks.kills.users import Notes
from cathrt.runtime.gateway.events import RECORD_TYPES

NAME = "webhook"
_ANSWER_LOST_EVERY = 50


class _Receiver(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, notes: Notes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.notes, self.number = notes, 0

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection whose sender was killed says nothing."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Receiver

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        body = self.rfile.read(length)
        if len(body) < length:  # its sender was killed
            self.close_connection = True
            return
        message = json.loads(body)
        self.server.notes.note(message["record"]["id"])
        self.server.number += 1
        if self.server.number % _ANSWER_LOST_EVERY == 0:
            self.close_connection = True
            return
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is said of single requests."""


@contextmanager
def receiving(folder: Path) -> Iterator[str]:
    """Receive until the end of the block. Gives the outlet's part of the configuration: every record, no rate limit."""
    with _Receiver(Notes(folder / f"{NAME}.jsonl")) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield (
                f'\n[[outlets]]\nname = "{NAME}"\nkind = "webhook"\nmandatory = true\nrate_per_minute = 0\n'
                f'address = "http://127.0.0.1:{server.server_address[1]}/"\n'
                f"types = {json.dumps(sorted(RECORD_TYPES))}\nfirst_wait_s = 0.1\nmost_wait_s = 1.0\ndrain_s = 30.0\n"
            )
        finally:
            server.shutdown()
            thread.join()
