"""Syslog: each record as an RFC 5424 message around one CEF line.

Syslog acknowledges nothing. Over TCP and TLS a record counts as delivered once the receiver's system has acknowledged
its last byte; over UDP once it was sent, so no UDP outlet can be mandatory. Not for: the connection
(syslog_connection.py), when a record is tried again (delivery.py).
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime

from cathrt.runtime.config import OutletConfig
from cathrt.runtime.outlets.address import address_of
from cathrt.runtime.outlets.cef import cef_line
from cathrt.runtime.outlets.encryption import calling_context
from cathrt.runtime.outlets.message import Message
from cathrt.runtime.outlets.peer import UnreachableError
from cathrt.runtime.outlets.syslog_connection import SyslogConnection

_FACILITIES = {"daemon": 3, **{f"local{number}": 16 + number for number in range(8)}}
_WARNING, _NOTICE, _INFORMATIONAL, _DEBUG = 4, 5, 6, 7
_SEVERITIES = {"refusal": _WARNING, "engine": _WARNING, "alert": _NOTICE, "verdict": _DEBUG}
_NOT_IN_A_NAME = re.compile("[^!-~]")


class Syslog:
    """One receiver. wall_s: seconds since 1970."""

    def __init__(self, outlet: OutletConfig, wall_s: Callable[[], float] = time.time) -> None:
        """Raises ConfigError: the address or a certificate cannot be used."""
        address = address_of(outlet)
        tls = calling_context(outlet) if address.is_encrypted else None
        self._connection = SyslogConnection(address, tls, outlet.timeout_s)
        self._facility, self._wall_s = _FACILITIES[outlet.facility], wall_s

    def send(self, message: Message) -> None:
        """Send it and wait for the receiver's system. Raises UnreachableError."""
        text = syslog_message(message, self._facility, self._wall_s()).encode("utf-8", "backslashreplace")
        self._through(lambda: self._connection.send(text))

    def idle(self) -> bool:
        """Notice that the receiver has closed the connection. Raises UnreachableError."""
        if not self._connection.is_open or self._connection.is_udp:
            return False
        self._through(self._connection.require_open)
        return True

    def abort(self) -> None:
        """Break the connection."""
        self._connection.abort()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _through(self, send: Callable[[], None]) -> None:
        try:
            send()
        except OSError as exc:
            heard = self._connection.is_open and not isinstance(exc, TimeoutError)
            self._connection.close()
            raise UnreachableError(f"{type(exc).__name__}: {exc}", heard=heard) from exc


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
