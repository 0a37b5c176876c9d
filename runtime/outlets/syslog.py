"""Syslog: each record as an RFC 5424 message around one CEF line, over UDP, TCP or TLS with octet counting.

Syslog acknowledges nothing. Over TCP and TLS a record counts as delivered once the receiver's system has acknowledged
its last byte; over UDP once it was sent, so no UDP outlet can be mandatory. Not for: when a record is tried again
(delivery.py).
"""

from __future__ import annotations

import fcntl
import re
import select
import socket
import ssl
import struct
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from cathrt.runtime.config import OutletConfig
from cathrt.runtime.outlets.address import Address, address_of
from cathrt.runtime.outlets.cef import cef_line
from cathrt.runtime.outlets.encryption import calling_context
from cathrt.runtime.outlets.message import Message
from cathrt.runtime.outlets.peer import UnreachableError

_FACILITIES = {"daemon": 3, **{f"local{number}": 16 + number for number in range(8)}}
_WARNING, _NOTICE, _INFORMATIONAL, _DEBUG = 4, 5, 6, 7
_SEVERITIES = {"refusal": _WARNING, "engine": _WARNING, "alert": _NOTICE, "verdict": _DEBUG}
_FIRST_LOOK_S, _LONGEST_LOOK_S = 0.001, 0.05  # at what the receiver's system has not acknowledged yet
_NOT_IN_A_NAME = re.compile("[^!-~]")


class Syslog:
    """One receiver. wall_s: seconds since 1970."""

    def __init__(self, outlet: OutletConfig, wall_s: Callable[[], float] = time.time) -> None:
        """Raises ConfigError: the address or a certificate cannot be used."""
        self._address: Address = address_of(outlet)
        self._tls = calling_context(outlet) if self._address.is_encrypted else None
        self._timeout_s, self._wall_s = outlet.timeout_s, wall_s
        self._facility = _FACILITIES[outlet.facility]
        self._socket: socket.socket | None = None

    def send(self, message: Message) -> None:
        """Send it and wait for the receiver's system. Raises UnreachableError."""
        text = syslog_message(message, self._facility, self._wall_s()).encode("utf-8", "backslashreplace")
        if self._address.scheme == "syslog+udp":
            self._through(lambda: self._send_datagram(text))
        else:
            self._through(lambda: self._send_counted(b"%d %b" % (len(text), text)))

    def idle(self) -> bool:
        """Notice that the receiver has closed the connection. Raises UnreachableError."""
        if self._socket is None or self._address.scheme == "syslog+udp":
            return False
        self._through(lambda: self._require_open(self._connected()))
        return True

    def abort(self) -> None:
        """Break the connection."""
        if (connected := self._socket) is not None:
            with suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _through(self, send: Callable[[], None]) -> None:
        try:
            send()
        except OSError as exc:
            heard = self._socket is not None and not isinstance(exc, TimeoutError)
            self.close()
            raise UnreachableError(f"{type(exc).__name__}: {exc}", heard=heard) from exc

    def _connected(self) -> socket.socket:
        if self._socket is None:
            where, udp = (self._address.host, self._address.port), self._address.scheme == "syslog+udp"
            if udp:
                family, kind, protocol, _, found = socket.getaddrinfo(*where, type=socket.SOCK_DGRAM)[0]
                connected = socket.socket(family, kind, protocol)
                connected.settimeout(self._timeout_s)
                connected.connect(found)
            else:
                connected = socket.create_connection(where, self._timeout_s)
            self._socket = connected
            if self._tls is not None:
                self._socket = self._tls.wrap_socket(connected, server_hostname=self._address.host)
        return self._socket

    def _send_datagram(self, text: bytes) -> None:
        connected = self._connected()
        connected.send(text)
        if fault := connected.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(fault, "nobody listens there")

    def _send_counted(self, frame: bytes) -> None:
        connected, deadline = self._connected(), time.monotonic() + self._timeout_s
        self._require_open(connected)
        connected.settimeout(self._timeout_s)
        connected.sendall(frame)
        look_s = _FIRST_LOOK_S
        while _unacknowledged(connected):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not acknowledged within {self._timeout_s:g} s")
            select.select([], [], [], look_s)
            look_s = min(2.0 * look_s, _LONGEST_LOOK_S)
        self._require_open(connected)

    def _require_open(self, connected: socket.socket) -> None:
        """Raises OSError where the receiver has closed or reset the connection. What it says is thrown away."""
        connected.settimeout(0.0)
        try:
            while connected.recv(4096):
                pass
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        raise ConnectionResetError("the receiver has closed the connection")


def syslog_message(message: Message, facility: int, wall_s: float) -> str:
    """The RFC 5424 message. Its text has no byte order mark, since readers of CEF look for its first letters."""
    priority = facility * 8 + _SEVERITIES.get(message.type, _INFORMATIONAL)
    moment = datetime.fromtimestamp(wall_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    host = _NOT_IN_A_NAME.sub("", socket.gethostname())[:255] or "-"
    number = (message.seq - 1) % ((1 << 31) - 1) + 1
    return (
        f"<{priority}>1 {moment} {host} cathrt {message.journal} {message.type} "
        f'[meta sequenceId="{number}"] {cef_line(message)}'
    )


def _unacknowledged(connected: socket.socket) -> int:
    """Bytes that the receiver's system has not acknowledged."""
    (left,) = struct.unpack("i", fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, struct.pack("i", 0)))
    return int(left)
