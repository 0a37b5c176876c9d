"""A connection to a syslog receiver: UDP, or TCP and TLS with octet counting (RFC 5426, 6587, 5425).

Syslog acknowledges nothing. Over TCP and TLS send() returns once the receiver's system has acknowledged the last byte;
over UDP once it was sent. Not for: what a message says (syslog.py, audit/forwarding.py), when one is tried again.
"""

from __future__ import annotations

import fcntl
import select
import socket
import ssl
import struct
import termios
import time
from contextlib import suppress

from cathrt.runtime.outlets.address import Address

_FIRST_LOOK_S, _LONGEST_LOOK_S = 0.001, 0.05  # at what the receiver's system has not acknowledged yet


class SyslogConnection:
    """Opened by the first message; after any error it is closed, and the next message opens it anew.

    For one thread, but for abort(). address: syslog+udp, syslog+tcp or syslog+tls. timeout_s: of each message.
    """

    def __init__(self, address: Address, tls: ssl.SSLContext | None, timeout_s: float) -> None:
        self._address, self._tls, self._timeout_s = address, tls, timeout_s
        self._socket: socket.socket | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a connection; over UDP, a socket."""
        return self._socket is not None

    @property
    def is_udp(self) -> bool:
        """Whether nobody can tell what has arrived."""
        return self._address.scheme == "syslog+udp"

    def send(self, text: bytes) -> None:
        """Raises OSError (ssl.SSLError is one)."""
        if self.is_udp:
            self._send_datagram(text)
        else:
            self._send_counted(b"%d %b" % (len(text), text))

    def require_open(self) -> None:
        """Raises OSError where the receiver has closed or reset the connection. What it says is thrown away."""
        connected = self._connected()
        connected.settimeout(0.0)
        try:
            while connected.recv(4096):
                pass
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        raise ConnectionResetError("the receiver has closed the connection")

    def abort(self) -> None:
        """Break it: a send() in another thread fails soon."""
        if (connected := self._socket) is not None:
            with suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """The next message opens it anew."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connected(self) -> socket.socket:
        if self._socket is None:
            where = (self._address.host, self._address.port)
            if self.is_udp:
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
        deadline = time.monotonic() + self._timeout_s
        self.require_open()
        connected = self._connected()
        connected.settimeout(self._timeout_s)
        connected.sendall(frame)
        look_s = _FIRST_LOOK_S
        while _unacknowledged(connected):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not acknowledged within {self._timeout_s:g} s")
            select.select([], [], [], look_s)
            look_s = min(2.0 * look_s, _LONGEST_LOOK_S)
        self.require_open()


def _unacknowledged(connected: socket.socket) -> int:
    """Bytes that the receiver's system has not acknowledged."""
    (left,) = struct.unpack("i", fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, struct.pack("i", 0)))
    return int(left)
