"""The feed's door: HTTP requests for what it serves, and mutations of them. Not for: TLS, whose handshake is OpenSSL's.

Several requests may come on one connection, as HTTP/1.1 allows.
"""

from __future__ import annotations

from random import Random

from tests.fuzz.network.mutate import mutated

_PATHS = (
    "/", "/health", "/metrics", "/feeds/live", "/feeds/study", "/feeds/gateway", "/feeds/nobody", "/feeds/live/", "*",
    "/feeds/../../etc/passwd", "/feeds/%2e%2e%2f", "/feeds/live%00", "//", "http://127.0.0.1/health",
)  # fmt: skip
_QUERIES = (
    "", "", "", "?types=alert,run", "?types=verdict", "?after=end", "?after=3", "?after=1-0000000000000000", "?types=",
    "?types=alarm", "?after=-1", "?after=99999999999999999999", "?since=3", "?types=alert&types=run", "?after=%ff",
    "?" + "a=b&" * 500,
)  # fmt: skip
_METHODS = ("GET", "GET", "GET", "GET", "GET", "POST", "HEAD", "OPTIONS", "PUT", "CONNECT", "TRACE", "PRI", "get")
_HEADERS = (
    "Last-Event-ID: 3", "Last-Event-ID: 1-0000000000000000", "Last-Event-ID: ", "Last-Event-ID: end", "Accept: */*",
    "Last-Event-ID: -1", "Content-Length: 5", "Content-Length: -1", "Content-Length: 999999999999", "Connection: close",
    "Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked", "Expect: 100-continue", "Upgrade: websocket",
    "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13",
    "Origin: http://evil.example", "Sec-Fetch-Site: cross-site", "Authorization: Bearer x", "Authorization: Basic eDp5",
    "Authorization: Bearer " + "x" * 5000, "Cookie: a=b", "Range: bytes=0-1", "X-Forwarded-For: 10.0.0.1", "Host: evil",
    "Accept-Encoding: gzip", "Content-Type: application/json", "X: " + "y" * 15_000, " folded: line",
)  # fmt: skip
_VERSIONS = ("HTTP/1.1",) * 8 + ("HTTP/1.0", "HTTP/2.0", "HTTP/9.9", "HTTP/1.1 x", "")
_HOSTS = ("localhost", "127.0.0.1", "[::1]:8732", "localhost:1", "evil.example", "", "127.0.0.1.evil.example")
WORDS = (
    b"\r\n", b"\n", b"\r", b"\0", b"\r\n\r\n", b": ", b"HTTP/1.1", b"chunked", b"0\r\n\r\n", b"ffffffffffffffff\r\n",
    b"%00",
    b"Last-Event-ID", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\xff\xfe", b"\x16\x03\x01\x02\0", b"../",
    b"fake log line\n",
)  # fmt: skip


def conversation(random: Random) -> list[bytes]:
    """One connection of one to four requests."""
    return mutated([_request(random) for _ in range(random.choice((1, 1, 1, 2, 4)))], random, WORDS)


def expects(piece: bytes) -> bool:
    """A whole head is answered."""
    return b"\r\n\r\n" in piece


def _request(random: Random) -> bytes:
    head = f"{random.choice(_METHODS)} {random.choice(_PATHS)}{random.choice(_QUERIES)} {random.choice(_VERSIONS)}"
    host = random.choice(_HOSTS) if random.random() < 0.2 else "localhost"
    headers = [f"Host: {host}", *random.sample(_HEADERS, random.choice((0, 0, 1, 2, 5)))]
    body = random.choice((b"", b"", b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n"))
    return "\r\n".join([head, *headers, "", ""]).encode() + body
