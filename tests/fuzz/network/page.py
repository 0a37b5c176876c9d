"""The page's door: HTTP requests for its paths, with parameters, bodies and WebSockets, and mutations of them.

Not for: the browser's side, or TLS, whose handshake is OpenSSL's.
"""

from __future__ import annotations

import json
from random import Random

from tests.fuzz.network.mutate import mutated

_PATHS = (
    "/", "/static/index.html", "/static/words/ja.json", "/static/../page.py", "/static/%2e%2e%2fpage.py", "/static/",
    "/api/session", "/api/openapi.json", "/api/live", "/api/health", "/api/events", "/api/runs", "/api/studies",
    "/api/live/A/latency", "/api/live/%00/latency", "/api/runs/0", "/api/runs/0/frames", "/api/runs/%ff/frames",
    "/api/runs/" + "a" * 64, "/api/runs/" + "a" * 64 + "/frames", "/api/studies/1.2.3", "/api/studies/..",
    "/api/decisions", "/api/signoffs", "/api/reviews", "/api/pictures/A", "/api/pictures/" + "x" * 300, "/api/nothing",
    "//", "*", "http://127.0.0.1/api/live",
)  # fmt: skip
_QUERIES = (
    "", "", "", "?journal=live", "?limit=5", "?limit=-1", "?limit=99999999999999999999", "?limit=NaN", "?limit=%00",
    "?before=x", "?pass_id=0", "?first=0&count=16", "?first=-1", "?center=1e999&width=0", "?subtract=0", "?subtract=-1",
    "?seconds=60", "?seconds=-1", "?clahe=1e308", "?noise=nan", "?max_side=64", "?a=b&a=b", "?" + "a=b&" * 500,
    "?%ff=%fe",
)  # fmt: skip
_METHODS = ("GET",) * 8 + ("POST",) * 4 + ("DELETE", "PUT", "HEAD", "OPTIONS", "CONNECT", "TRACE", "PRI", "get")
_SOCKET = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
_HEADERS = (
    "Last-Event-ID: live:3,study:0,gateway:0", "Last-Event-ID: live:-1", "Last-Event-ID: ,,:", "Accept: */*",
    "Content-Length: 5", "Content-Length: -1", "Content-Length: 999999999999", "Connection: close", "Cookie: a=b",
    "Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked", "Expect: 100-continue", "Upgrade: h2c",
    _SOCKET + "dGhlIHNhbXBsZSBub25jZQ==", _SOCKET + "dGhlIHNhbXBsZSBub25jZQ==", _SOCKET + "x", "Sec-WebSocket-Key: x",
    "Origin: http://evil.example", "Origin: http://[", "Sec-Fetch-Site: cross-site", "X-CSRF: x", "X-CSRF: \xe9",
    "Cookie: cathrt_session=" + "x" * 5000, "Cookie: cathrt_session", "Cookie: ;=;cathrt_session=\xff", "Host: evil",
    "X-Forwarded-For: 10.0.0.1", "X-Remote-User: admin", "If-None-Match: \"x\", *", "Content-Type: text/plain",
    "X: " + "y" * 15_000, " folded: line",
)  # fmt: skip
_BODIES = (
    "", "{}", "[]", "null", "{", '{"user": "admin", "password": "x"}', '{"user": 1}', '{"user": "\\ud800"}',
    '{"thing": {"kind": "key_frame"}, "verdict": "accept", "shown": []}', '{"shown": ' + "[" * 2000, '{"a": 1e999}',
    '{"study": "1.2.3", "statement": "' + "x" * 3000 + '"}',
)  # fmt: skip
_VERSIONS = ("HTTP/1.1",) * 12 + ("HTTP/1.0", "HTTP/2.0", "HTTP/1.1 x", "")
# Frames of a WebSocket: text, binary, a ping, one that is not masked, a wrong length, a close, a half.
_FRAMES = (
    b"\x81\x84\0\0\0\0next", b"\x82\x81\0\0\0\0\xff", b"\x89\x80\0\0\0\0", b"\x81\x04next",
    b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x88\x82\0\0\0\0\x03\xe8", b"\x01\x81\0\0\0\0a", b"\xff\xff", b"\x81\xfe\x20\0\0\0\0\0" + b"a" * 8192,
)  # fmt: skip
WORDS = (
    b"\r\n", b"\n", b"\0", b"\r\n\r\n", b": ", b"HTTP/1.1", b"chunked", b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"%00",
    b"../",
    b"Sec-WebSocket-Key", b"\xff\xfe", b"\x16\x03\x01\x02\0", b"{\"", b"\\u0000", b"1e999", b"fake log line\n",
)  # fmt: skip


def conversation(random: Random, csrf: str = "") -> list[bytes]:
    """One connection of one to four requests. csrf: with which some of them may change something."""
    return mutated([_request(random, csrf) for _ in range(random.choice((1, 1, 1, 2, 4)))], random, WORDS)


def expects(piece: bytes) -> bool:
    """A whole head is answered."""
    return b"\r\n\r\n" in piece


def _request(random: Random, csrf: str) -> bytes:
    method = random.choice(_METHODS)
    head = f"{method} {random.choice(_PATHS)}{random.choice(_QUERIES)} {random.choice(_VERSIONS)}"
    headers = ["Host: localhost", *random.sample(_HEADERS, random.choice((0, 0, 1, 2, 4)))]
    body = b""
    if method in ("POST", "PUT") and random.random() < 0.8:
        body = random.choice((json.dumps(random.random()), *_BODIES)).encode("utf-8", "surrogatepass")
        headers += ["Content-Type: application/json", f"Content-Length: {len(body)}", f"X-CSRF: {csrf}"]
    if any(header.startswith(_SOCKET) for header in headers):
        body += b"".join(random.choices(_FRAMES, k=random.choice((0, 1, 4))))
    return "\r\n".join([head, *headers, "", ""]).encode("latin-1") + body
