"""Webhooks: each record as one POST, signed as Standard Webhooks says: a receiver can tell who sent it, and when.

No redirect is followed, no proxy is used, and no more of an answer is read than its beginning. Not for: when a record
is tried again (delivery.py).
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from importlib.metadata import version

from cathrt.runtime.config import OutletConfig
from cathrt.runtime.outlets.address import address_of
from cathrt.runtime.outlets.encryption import calling_context
from cathrt.runtime.outlets.message import Message
from cathrt.runtime.outlets.peer import RefusedError, UnreachableError
from cathrt.runtime.outlets.signing import signature, signing_key_of
from cathrt.runtime.outside.plain_text import shown

_MOST_SAID = 200  # characters
ANSWER_BYTES = 64 << 10  # of an answer that are read; a longer one costs its connection
# Answers that say something of the address, of the sender or of the moment. Other 4xx are about the record.
_NOT_THE_RECORD = (401, 402, 403, 404, 405, 407, 408, 409, 410, 421, 423, 425, 426, 429)
_MAY_BE_THE_RECORD = (409, 500, 501, 505, 506, 507, 508, 510)  # a fault of the receiver that this record may bring out


class Webhook:
    """One receiver over HTTP; the connection is kept between messages. wall_s: seconds since 1970."""

    def __init__(self, outlet: OutletConfig, wall_s: Callable[[], float] = time.time) -> None:
        """Raises ConfigError: the address, a secret or a certificate cannot be used."""
        address = address_of(outlet)
        self._key = signing_key_of(outlet)
        self._path, self._wall_s = address.path, wall_s
        self._connection = (
            HTTPSConnection(address.host, address.port, timeout=outlet.timeout_s, context=calling_context(outlet))
            if address.is_encrypted
            else HTTPConnection(address.host, address.port, timeout=outlet.timeout_s)
        )
        self._aborted = False

    def send(self, message: Message) -> None:
        """POST it. Raises RefusedError, UnreachableError."""
        kept = self._connection.sock is not None
        try:
            response = self._posted(message)
        except (OSError, HTTPException) as exc:
            if not kept or isinstance(exc, TimeoutError) or self._aborted:
                raise self._failed(exc) from exc
            self._connection.close()
            response = self._posted_again(message)  # receivers close connections that were quiet for a while
        status = response.status
        if 200 <= status < 300:
            return
        reason = f"answered {status} {_in_short(response.reason)}".rstrip()
        if 300 <= status < 400:
            raise UnreachableError(f"{reason}: redirects are not followed: give the address that it leads to")
        if 400 <= status < 500 and status not in _NOT_THE_RECORD:
            raise RefusedError(reason)
        raise UnreachableError(reason, wait_s=_asked_to_wait(response), heard=status in _MAY_BE_THE_RECORD)

    def idle(self) -> bool:
        """Between messages nothing is known of the receiver."""
        return False

    def abort(self) -> None:
        """Break the connection."""
        self._aborted = True
        if (connected := self._connection.sock) is not None:
            with suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _posted_again(self, message: Message) -> HTTPResponse:
        try:
            return self._posted(message)
        except (OSError, HTTPException) as exc:
            raise self._failed(exc) from exc

    def _failed(self, exc: Exception) -> UnreachableError:
        self._connection.close()
        heard = not isinstance(exc, ConnectionRefusedError | socket.gaierror | TimeoutError)
        return UnreachableError(f"{type(exc).__name__}: {_in_short(str(exc))}", heard=heard)

    def _posted(self, message: Message) -> HTTPResponse:
        self._connection.request("POST", self._path, message.payload, self._headers(message))
        response = self._connection.getresponse()
        response.read(ANSWER_BYTES)
        if not response.isclosed():  # there is more of it
            self._connection.close()
        return response

    def _headers(self, message: Message) -> dict[str, str]:
        sent_at = str(int(self._wall_s()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"cathrt/{version('cathrt')}",
            "Idempotency-Key": f'"{message.id}"',
            "webhook-id": message.id,
            "webhook-timestamp": sent_at,
            "cathrt-type": message.type,
        }
        if self._key is not None:
            headers["webhook-signature"] = signature(self._key, message.id, sent_at, message.payload)
        return headers


def _in_short(said: str) -> str:
    """What a receiver wrote into its status line, so that it can be shown."""
    return shown(said)[:_MOST_SAID]


def _asked_to_wait(response: HTTPResponse) -> float | None:
    """Retry-After in seconds; its other form, a date, is not read."""
    asked = response.getheader("retry-after", "").strip()
    return float(asked) if asked.isascii() and asked.isdigit() and len(asked) < 9 else None
