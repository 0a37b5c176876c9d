"""Receivers on loopback that do as a test says: an HTTP server, a small MQTT 3.1.1 broker, a syslog server.

A receiver takes what it is sent, unless its script has a word for the next attempt: "error" (a fault of its own),
"refuse" (it does not want it), "busy", "hang" (no answer), "reset", "lost" (taken, and the answer is lost), "drip" (an
answer without end). Not for: TLS, which tests wrap around it.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

PATIENCE_S = 30.0
_STATUS = {"error": b"500 Fault", "refuse": b"422 No", "busy": b"503 Busy", "secret": b"401 Who", "moved": b"302 There"}


@dataclass
class Taken:
    """One message as it was taken. headers: of HTTP, or the topic of MQTT under "topic"."""

    id: str
    headers: dict[str, str]
    payload: bytes

    @property
    def envelope(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.payload)
        return document


@dataclass
class Told:
    """What a test tells a receiver, and what it has got.

    answer: decides by the record's id where the script is empty.
    """

    script: deque[str] = field(default_factory=deque)
    answer: Callable[[str], str] = lambda _id: "take"
    taken: list[Taken] = field(default_factory=list)
    attempts: list[str] = field(default_factory=list)
    reason: str = ""  # after the status
    more_headers: dict[str, str] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def word(self, id_: str) -> str:
        """What to do with this attempt."""
        with self.changed:
            self.attempts.append(id_)
            word = self.script.popleft() if self.script else self.answer(id_)
            self.changed.notify_all()
        return word

    def take(self, taken: Taken) -> None:
        with self.changed:
            self.taken.append(taken)
            self.changed.notify_all()

    @property
    def ids(self) -> list[str]:
        """Of what was taken, repeats too."""
        return [one.id for one in self.taken]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            while not condition():  # patience is for the next attempt: a long backlog takes its time
                attempts = len(self.attempts)
                more = self.changed.wait_for(lambda: condition() or len(self.attempts) > attempts, PATIENCE_S)  # noqa: B023
                assert more, f"took {len(self.taken)}, {attempts} attempts, the last at {self.attempts[-3:]}"


class Receiver:
    """A listening socket and a thread a connection. `serve` speaks the protocol over one connection, until it ends."""

    scheme = ""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.told = Told()
        self.connections = 0
        self._tls = tls
        self._port = 0
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self.up()

    @property
    def address(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self._port}"

    def up(self) -> None:
        """Listen; on the same port as before, if it was there before."""
        self._listening = socket.socket()
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listening.bind(("127.0.0.1", self._port))
        self._listening.listen(16)
        self._port = self._listening.getsockname()[1]
        self._begin(self._accept, self._listening)

    def down(self) -> None:
        """Close all connections and do not listen."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in tuple(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
        self._threads.clear()

    def serve(self, connection: socket.socket) -> None:
        raise NotImplementedError

    def _begin(self, what: Callable[[socket.socket], None], connection: socket.socket) -> None:
        thread = threading.Thread(target=what, args=(connection,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            self.connections += 1
            self._begin(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        self._open.add(connection)
        try:
            with suppress(OSError, EndedError):
                if self._tls is not None:
                    connection = self._tls.wrap_socket(connection, server_side=True)
                    self._open.add(connection)
                connection.settimeout(PATIENCE_S)
                self.serve(connection)
        finally:
            self._open.discard(connection)
            connection.close()


class EndedError(Exception):
    """The peer has closed the connection, or the script wants it closed."""


def exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise EndedError
        data += more
    return data


def reset(connection: socket.socket) -> None:
    """Close it with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise EndedError


def hang(connection: socket.socket) -> None:
    """Until the peer, or the test, closes the connection."""
    while connection.recv(4096):
        pass
    raise EndedError


class HttpReceiver(Receiver):
    """Speaks enough HTTP/1.1 for one POST after the other."""

    scheme = "http"

    def serve(self, connection: socket.socket) -> None:
        while True:
            self._one(connection)

    def _one(self, connection: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += exactly(connection, 1)
        first, *lines = head.decode("latin-1").strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        taken = Taken(
            headers["webhook-id"], {"": first, **headers}, exactly(connection, int(headers["content-length"]))
        )
        word = self.told.word(taken.id)
        if word == "hang":
            hang(connection)
        if word == "reset":
            reset(connection)
        if word in ("take", "lost", "drip"):
            self.told.take(taken)
        if word == "lost":
            raise EndedError
        if word == "drip":
            connection.sendall(b"HTTP/1.1 200 OK\r\nx: ")
            while True:
                connection.sendall(b"x")
                if self.told.changed.acquire(timeout=0.01):
                    self.told.changed.release()
        status = _STATUS.get(word, b"200 OK")
        more = "".join(f"{name}: {value}\r\n" for name, value in self.told.more_headers.items()).encode()
        if word.startswith("no HTTP"):
            connection.sendall(f"{word}\r\n\r\n".encode())
            raise EndedError
        said = self.told.reason.encode()
        connection.sendall(b"HTTP/1.1 %b%b\r\n%bcontent-length: 2\r\n\r\nok" % (status, said, more))


class MqttReceiver(Receiver):
    """A broker of MQTT 3.1.1: CONNECT with will, user and password, PUBLISH of QoS 0 and 1, retained messages.

    There is no word in MQTT 3.1.1 for what it does not want: "refuse" and "error" end the connection, as brokers do.
    """

    scheme = "mqtt"

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.retained: dict[str, bytes] = {}
        self.logins: list[tuple[str, str]] = []
        self.client_ids: list[str] = []
        self.refused_with = 0  # the return code of CONNACK
        super().__init__(tls)

    @property
    def status(self) -> str:
        """What the retained status of the topic "cathrt" says."""
        return str(json.loads(self.retained.get("cathrt/status", b'{"state": "none"}'))["state"])

    def serve(self, connection: socket.socket) -> None:
        kind, body = self._packet(connection)
        assert kind == 0x10
        will = self._connect(body)
        connection.sendall(bytes((0x20, 2, 0, self.refused_with)))
        if self.refused_with:
            raise EndedError
        try:
            while True:
                kind, body = self._packet(connection)
                if kind & 0xF0 == 0xE0:  # DISCONNECT: the will is void
                    will = None
                    return
                if kind & 0xF0 == 0xC0:
                    connection.sendall(b"\xd0\x00")
                if kind & 0xF0 == 0x30:
                    self._publish(connection, kind, body)
        finally:
            if will is not None:
                self._retain(*will)

    def _connect(self, body: bytes) -> tuple[str, bytes] | None:
        name, rest = _text(body)
        assert name == b"MQTT"
        assert rest[0] == 4  # 3.1.1
        flags, rest = rest[1], rest[4:]
        client_id, rest = _text(rest)
        self.client_ids.append(client_id.decode())
        will = None
        if flags & 0x04:
            topic, rest = _text(rest)
            payload, rest = _text(rest)
            assert flags & 0x38 == 0x28  # QoS 1, retained
            will = (topic.decode(), payload)
        user, rest = _text(rest) if flags & 0x80 else (b"", rest)
        password, rest = _text(rest) if flags & 0x40 else (b"", rest)
        self.logins.append((user.decode(), password.decode()))
        return will

    def _publish(self, connection: socket.socket, kind: int, body: bytes) -> None:
        topic, rest = _text(body)
        acknowledged = b""
        if kind & 0x06:
            acknowledged, rest = b"\x40\x02" + rest[:2], rest[2:]
        if kind & 0x01:
            self._retain(topic.decode(), rest)
        else:
            taken = Taken(
                json.loads(rest)["record"]["id"], {"topic": topic.decode(), "qos": str((kind >> 1) & 3)}, rest
            )
            word = self.told.word(taken.id)
            if word == "hang":
                hang(connection)
            if word in ("reset", "refuse", "error", "busy"):
                reset(connection)
            self.told.take(taken)
            if word == "lost":
                raise EndedError
        connection.sendall(acknowledged)

    def _retain(self, topic: str, payload: bytes) -> None:
        with self.told.changed:
            self.retained[topic] = payload
            self.told.changed.notify_all()

    @staticmethod
    def _packet(connection: socket.socket) -> tuple[int, bytes]:
        (kind,) = exactly(connection, 1)
        length = shift = 0
        while True:
            (byte,) = exactly(connection, 1)
            length |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return kind, exactly(connection, length)


def _text(data: bytes) -> tuple[bytes, bytes]:
    (length,) = struct.unpack(">H", data[:2])
    return data[2 : 2 + length], data[2 + length :]


_EXTERNAL_ID = re.compile(rb"externalId=([^ ]+)")


class SyslogReceiver(Receiver):
    """Octet-counted syslog over TCP. It has no word for anything: it takes, or the connection ends."""

    scheme = "syslog+tcp"

    def serve(self, connection: socket.socket) -> None:
        while True:
            digits = b""
            while (character := exactly(connection, 1)) != b" ":
                digits += character
            message = exactly(connection, int(digits))
            found = _EXTERNAL_ID.search(message)
            assert found
            taken = Taken(found[1].decode(), {}, message)
            word = self.told.word(taken.id)
            if word != "take":
                reset(connection)
            self.told.take(taken)


RECEIVERS: dict[str, type[Receiver]] = {"webhook": HttpReceiver, "mqtt": MqttReceiver, "syslog": SyslogReceiver}


@contextmanager
def receiving(kind: str, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A receiver of that kind that listens."""
    receiver = RECEIVERS[kind](tls)
    try:
        yield receiver
    finally:
        receiver.down()
