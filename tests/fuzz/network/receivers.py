"""Hostile receivers for the outlets: a webhook's server, an MQTT broker, a syslog receiver; and a good webhook.

Each answers one connection. Not for: the sources' servers (servers.py).
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
from random import Random

from tests.fuzz.network.conversation import End
from tests.fuzz.network.mutate import mutated, mutated_bytes

_MOST_ROUNDS = 12
_HTTP_WORDS = (
    b"\r\n", b"\n", b"\0", b"HTTP/1.1 ", b"HTTP/9.9 200 OK\r\n", b"Transfer-Encoding: chunked\r\n",
    b"ffffffffffffffff\r\n",
    b"Content-Length: -1\r\n", b"Content-Length: 99999999999999999999\r\n", b"\xff\xfe",
    b"Location: file:///etc/passwd\r\n",
    b"Retry-After: 99999999999\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"Set-Cookie: a=b\r\n", b"HTTP/1.1 200\r\n",
)  # fmt: skip
_MQTT_WORDS = (
    b"\x20\2\0\0",
    b"\x20\2\0\5",
    b"\x40\2\0\1",
    b"\x30\xff\xff\xff\x7f",
    b"\xd0\0",
    b"\xe0\0",
    b"\xff" * 5,
    b"\0\0",
)
_STATUSES = (
    "200 OK", "204 No Content", "202 ", "301 Moved", "302 Found", "400 No", "401 No", "410 Gone", "429 Wait", "500 No",
    "503 Wait", "101 Switching Protocols", "100 Continue", "999 x", "0 x", "-1 x", "abc x", "\xff",
)  # fmt: skip


def serve_webhook(connection: socket.socket, random: Random) -> End:
    """An HTTP answer to each request, and changes of it."""
    with contextlib.closing(connection):
        connection.settimeout(2.0)
        try:
            for _ in range(_MOST_ROUNDS):
                if not _read_request(connection):
                    return "closed"
                for piece in mutated([_http_answer(random)], random, _HTTP_WORDS):
                    connection.sendall(piece)
                if random.random() < 0.3:
                    return "left"
        except OSError:
            return "closed"
    return "answered"


def _read_request(connection: socket.socket) -> bytes:
    """Head and body."""
    got = b""
    while b"\r\n\r\n" not in got:
        if not (piece := connection.recv(65536)):
            return b""
        got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    length = int(lengths[0].partition(b":")[2]) if lengths else 0
    while len(body) < length:
        if not (piece := connection.recv(65536)):
            return b""
        body += piece
    return got


def _http_answer(random: Random) -> bytes:
    body = random.choice((b"", b"ok", b"x" * 1000, b"x" * 200_000))
    headers = [f"HTTP/1.1 {random.choice(_STATUSES)}"]
    match random.randrange(6):
        case 0:
            headers.append("Transfer-Encoding: chunked")
            body = (
                b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:500], body[500:]) if part)
                + b"0\r\n\r\n"
            )
        case 1:
            pass  # until the connection is closed
        case 2:
            headers.append(f"Content-Length: {len(body) + random.choice((-1, 1, 1 << 40))}")
        case _:
            headers.append(f"Content-Length: {len(body)}")
    headers += random.sample(_ANSWER_HEADERS, random.choice((0, 1, 2)))
    return "\r\n".join([*headers, "", ""]).encode("latin-1") + body


def _chunk(part: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(part), part)


_ANSWER_HEADERS = (
    "Retry-After: 1", "Retry-After: -1", "Retry-After: 1e9", "Retry-After: Wed, 21 Oct 2099 07:28:00 GMT",
    "Connection: close",
    "Location: http://127.0.0.1:1/", "Location: file:///etc/passwd", "Content-Encoding: gzip", "Upgrade: h2c",
    "X: " + "y" * 70_000,
    "Content-Type: text/html", "Trailer: x", *(f"X-{n}: y" for n in range(3)),
    "\r\n".join(f"X-{n}: y" for n in range(150)),
)  # fmt: skip


def serve_mqtt(connection: socket.socket, random: Random) -> End:
    """CONNACK, PUBACK and others, in answer to what comes."""
    with contextlib.closing(connection):
        connection.settimeout(2.0)
        try:
            for _ in range(_MOST_ROUNDS):
                packet = connection.recv(65536)
                if not packet:
                    return "closed"
                answer = _mqtt_answer(packet, random)
                connection.sendall(mutated_bytes(answer, random, _MQTT_WORDS) if random.random() < 0.4 else answer)
        except OSError:
            return "closed"
    return "answered"


def _mqtt_answer(packet: bytes, random: Random) -> bytes:
    kind = packet[0] & 0xF0
    if random.random() < 0.1:
        topic = random.choice((b"a/b", b"", b"\xff\xfe", b"#"))
        body = struct.pack(">H", len(topic)) + topic + b"hello"
        return bytes([0x30 | random.choice((0, 2, 4, 6)), len(body)]) + body  # a message that nobody asked for
    if kind == 0x10:
        return b"\x20\2\0" + bytes([random.choice((0, 0, 0, 0, 0, 0, 1, 5, 0x84))])
    if kind == 0x30:
        at = packet.find(b"cathrt/")
        end = at + struct.unpack_from(">H", packet, at - 2)[0] if at >= 2 else len(packet)
        return b"\x40\2" + (packet[end : end + 2].ljust(2, b"\0"))
    return random.choice((b"\xd0\0", b"\x90\3\0\1\0", b"\x50\2\0\1", b"\x62\2\0\1"))


def serve_syslog(connection: socket.socket, random: Random) -> End:
    """Syslog has no answers: what comes all the same, and ends in the middle of a message."""
    with contextlib.closing(connection):
        connection.settimeout(2.0)
        try:
            for _ in range(random.randrange(_MOST_ROUNDS)):
                if not connection.recv(random.choice((1, 100, 65536))):
                    return "closed"
                if random.random() < 0.3:
                    connection.sendall(random.randbytes(random.randint(1, 2000)))
            if random.random() < 0.5:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return "reset"
        except OSError:
            return "closed"
    return "left"


def serve_good_webhook(connection: socket.socket) -> None:
    """The well-behaved receiver: takes whatever comes."""
    with contextlib.closing(connection), contextlib.suppress(OSError):
        connection.settimeout(30.0)
        while _read_request(connection):
            select.select([], [], [], 0.02)
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
