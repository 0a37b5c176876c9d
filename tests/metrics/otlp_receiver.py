"""A receiver of OpenTelemetry on this machine. Not for: what is sent to it (test_otlp.py, test_otlp_spans.py)."""

from __future__ import annotations

import gzip
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Receiver:
    """refuses: how many requests it answers with an error. taken: path, authorization and body of the others."""

    port: int = 0
    refuses: int = 0
    taken: list[tuple[str, str, bytes]] = field(default_factory=list)
    came: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))


@contextmanager
def receiving() -> Iterator[Receiver]:
    """One that listens until the end of the block."""
    found = Receiver()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = gzip.decompress(self.rfile.read(int(self.headers["content-length"])))
            if found.refuses:
                found.refuses -= 1
                self.send_response(400)
            else:
                found.taken.append((self.path, self.headers.get("authorization", ""), body))
                self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()
            found.came.release()

        def log_message(self, *_arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()
