"""The receiver of a webhook outlet, which is there for a while and then away in one of three ways.

Away: nobody listens; it answers 503; it takes the request and never answers. Not for: the outlet (runtime/outlets).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from pathlib import Path
from typing import Literal

from benchmarks.soak.lab import free_port

Away = Literal["nobody listens", "503", "silent"]
_AWAY: tuple[Away, ...] = ("nobody listens", "503", "silent")
TYPES = ("alert", "run", "refusal", "draft", "engine")
_SECRET_BYTES = 32


class Receiver:
    """taken: how often each record came, by journal and record id. forged: requests whose signature was not right."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.taken: dict[str, Counter[str]] = {}
        self.forged = 0
        self.turned_away = 0
        self._key = secrets.token_bytes(_SECRET_BYTES)
        self.secret_file = folder / "webhook.secret"
        self.secret_file.write_text(f"whsec_{base64.b64encode(self._key).decode()}\n", encoding="ascii")
        self.secret_file.chmod(0o600)
        self._away: Away | None = None
        self._lock = threading.Lock()

    def section(self) -> str:
        """The outlet in the box's TOML. Nothing is limited, so that everything must arrive."""
        return (
            f'[[outlets]]\nname = "soak"\nkind = "webhook"\naddress = "http://127.0.0.1:{self.port}/records"\n'
            f'mandatory = true\nrate_per_minute = 0\ntypes = {json.dumps(TYPES)}\nsecret_file = "{self.secret_file}"\n'
            "timeout_s = 3.0\nfirst_wait_s = 0.5\nmost_wait_s = 5.0\n"
        )

    def run(self, over: threading.Event, stays: threading.Event, up_s: float, down_s: float) -> None:
        """Come and go until `over`. stays: from then on it stays, so that what is left can be delivered."""
        for away in cycle(_AWAY):
            self._away = None
            with self._listening():
                if _waited(up_s, over, stays):
                    over.wait()
                    return
                self._away = away
                if away != "nobody listens":
                    _waited(down_s, over, stays)
            if away == "nobody listens":
                _waited(down_s, over, stays)

    def _listening(self) -> closing[_Listening]:
        return closing(_Listening(self))

    def handle(self, headers: dict[str, str], body: bytes) -> int | None:
        """The status to answer with; None: no answer."""
        if self._away is not None:
            self.turned_away += 1
            return None if self._away == "silent" else 503
        if not self._is_signed(headers, body):
            self.forged += 1
            return 401
        document = json.loads(body)
        with self._lock:
            self.taken.setdefault(document["journal"], Counter())[document["record"]["id"]] += 1
        return 204

    def _is_signed(self, headers: dict[str, str], body: bytes) -> bool:
        signed = f"{headers.get('webhook-id')}.{headers.get('webhook-timestamp')}.".encode() + body
        digest = base64.b64encode(hmac.new(self._key, signed, hashlib.sha256).digest()).decode()
        given = headers.get("webhook-signature", "").split()
        return any(hmac.compare_digest(one, f"v1,{digest}") for one in given)


class _Listening:
    """The port, open until close()."""

    def __init__(self, receiver: Receiver) -> None:
        self._over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", receiver.port), _handler(receiver, self._over))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(receiver: Receiver, over: threading.Event) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status = receiver.handle({name.lower(): value for name, value in self.headers.items()}, body)
            if status is None:
                over.wait()
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing."""

    return Handler


def _waited(seconds: float, over: threading.Event, stays: threading.Event) -> bool:
    """Whether it is to stay from now on."""
    for _ in _ticks(seconds):
        if over.wait(0.25) or stays.is_set():
            return True
    return stays.is_set() or over.is_set()


def _ticks(seconds: float) -> Iterator[int]:
    return iter(range(max(1, round(seconds / 0.25))))
