"""MLLP: HL7 v2 messages over a TCP or TLS connection, each in a frame of three bytes, one answer to each.

Not for: what an answer means (acknowledgement.py).
"""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import suppress

_BEGIN, _END = b"\x0b", b"\x1c\r"
MOST_ANSWER_BYTES = 64 << 10


class FrameError(ConnectionError):
    """What came is no MLLP frame."""


class MllpConnection:
    """One connection, opened with the first message and kept. After any error it is closed.

    timeout_s: for connecting, and for one message with its answer.
    """

    def __init__(self, host: str, port: int, timeout_s: float, tls: ssl.SSLContext | None = None) -> None:
        """Connects to nothing yet."""
        self._where, self._timeout_s, self._tls = (host, port), timeout_s, tls
        self._socket: socket.socket | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._socket is not None

    def exchange(self, message: bytes) -> bytes:
        """Send a message and wait for the answer to it. Raises OSError, FrameError among them."""
        try:
            connected = self._connected()
            deadline = time.monotonic() + self._timeout_s
            connected.settimeout(self._timeout_s)
            connected.sendall(_BEGIN + message + _END)
            return _answer(connected, deadline, self._timeout_s)
        except OSError:
            self.close()
            raise

    def require_quiet(self) -> None:
        """Raises OSError where the receiver has closed the connection, or has said something that nobody asked for:
        then what comes next may not be the answer to what is sent next."""
        if self._socket is None:
            return
        self._socket.settimeout(0.0)
        try:
            said = self._socket.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError:
            self.close()
            raise
        self.close()
        raise FrameError("an answer that nobody asked for" if said else "the receiver has closed the connection")

    def abort(self) -> None:
        """Break the connection, from any thread."""
        if (connected := self._socket) is not None:
            with suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.create_connection(self._where, self._timeout_s)
            if self._tls is not None:
                self._socket = self._tls.wrap_socket(self._socket, server_hostname=self._where[0])
        return self._socket


def _answer(connected: socket.socket, deadline: float, timeout_s: float) -> bytes:
    """One frame. Blanks before it are passed over."""
    data = b""
    while (end := data.find(_END)) < 0:
        connected.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            more = connected.recv(4096)
        except TimeoutError as exc:
            raise TimeoutError(f"no acknowledgement within {timeout_s:g} s") from exc
        if not more:
            raise FrameError("the receiver has closed the connection before it acknowledged")
        data = (data + more).lstrip(b"\r\n")
        if data and not data.startswith(_BEGIN):
            raise FrameError("an answer without MLLP's first byte 0B, expected a frame")
        if len(data) > MOST_ANSWER_BYTES:
            raise FrameError(f"an answer of more than {MOST_ANSWER_BYTES} bytes, expected an acknowledgement")
    if data[end + len(_END) :].strip(b"\r\n"):
        raise FrameError("more than one answer to one message")
    return data[len(_BEGIN) : end]
