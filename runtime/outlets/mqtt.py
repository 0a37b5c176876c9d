"""MQTT 3.1.1: each record as one message of QoS 1, and a retained status that the broker sets to offline when we die.

paho's client is driven from the outlet's own thread, with one message in flight. Needs the extra `mqtt`. Not for: when
a record is tried again (delivery.py).
"""

from __future__ import annotations

import hashlib
import json
import select
import socket
import ssl
import time
from contextlib import suppress
from pathlib import Path

from paho.mqtt.client import Client, ConnectFlags, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.config import OutletConfig
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.outlets.address import address_of
from cathrt.runtime.outlets.encryption import calling_context
from cathrt.runtime.outlets.message import Message
from cathrt.runtime.outlets.peer import UnreachableError
from cathrt.runtime.outside.secret_file import secret_from

KEEPALIVE_S = 30  # the broker takes us for dead after one and a half times this
_QOS = 1
_GOODBYE_S = 1.0


class _ClosedWhereRefused(ssl.SSLSocket):
    """paho forgets a socket whose handshake has failed; here it is closed at once."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


class Mqtt:
    """One broker. Topics: TOPIC/JOURNAL/TYPE for records, TOPIC/status for the status."""

    def __init__(self, outlet: OutletConfig) -> None:
        """Raises ConfigError: the address, the topic, a secret or a certificate cannot be used."""
        self._address, self._topic, self._timeout_s = address_of(outlet), outlet.topic, outlet.timeout_s
        if {*self._topic} & {*"+#\0"} or self._topic.startswith("$"):
            raise ConfigError(
                f"outlets.{outlet.name}.topic: found {self._topic!r}, expected one without +, # and a leading $"
            )
        if outlet.secret_file and not (self._address.is_encrypted or self._address.is_local):
            raise ConfigError(
                f"outlets.{outlet.name}.address: found mqtt:// to another machine, expected mqtts://, since anybody on "
                "the way could read the password"
            )
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=_client_id(outlet),
            clean_session=True,
            protocol=MQTTv311,
            reconnect_on_failure=False,
        )
        self._client.connect_timeout = self._timeout_s
        self._client.will_set(f"{self._topic}/status", _status("offline"), _QOS, retain=True)
        if outlet.user:
            key = f"outlets.{outlet.name}.secret_file"
            self._client.username_pw_set(outlet.user, secret_from(Path(outlet.secret_file), key, least=1))
        if self._address.is_encrypted:
            context = calling_context(outlet)
            context.sslsocket_class = _ClosedWhereRefused
            self._client.tls_set_context(context)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._welcome: ReasonCode | None = None  # what the broker answered to our CONNECT
        self._gone = ""  # why the connection has ended

    def send(self, message: Message) -> None:
        """Publish it and wait for the broker's acknowledgement. Raises UnreachableError."""
        self._connect()
        self._publish(f"{self._topic}/{message.journal}/{message.type}", message.payload, retain=False)

    def idle(self) -> bool:
        """Be connected, and say so in time. Raises UnreachableError."""
        self._connect()
        self._turn(0.0)
        return True

    def abort(self) -> None:
        """Break the connection."""
        if isinstance(connected := self._client.socket(), socket.socket):
            with suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Set the status to offline and say goodbye, where the connection still stands."""
        if self._client.is_connected() and not self._gone:
            with suppress(UnreachableError):
                self._publish(f"{self._topic}/status", _status("offline"), retain=True, within_s=_GOODBYE_S)
        self._client.disconnect()
        if (connected := self._client.socket()) is not None:
            with suppress(OSError):
                connected.close()

    def _connect(self) -> None:
        if self._welcome is not None:
            return
        try:
            self._client.connect(self._address.host, self._address.port, KEEPALIVE_S)
        except (OSError, ValueError) as exc:  # ssl.CertificateError is a ValueError
            raise UnreachableError(f"{type(exc).__name__}: {exc}") from exc
        deadline = time.monotonic() + self._timeout_s
        while self._welcome is None:
            self._turn(self._left(deadline, "no answer to CONNECT"))
        self._publish(f"{self._topic}/status", _status("online"), retain=True)

    def _publish(self, topic: str, payload: bytes, *, retain: bool, within_s: float | None = None) -> None:
        deadline = time.monotonic() + (self._timeout_s if within_s is None else within_s)
        try:
            published = self._client.publish(topic, payload, _QOS, retain=retain)
            while not published.is_published():
                self._turn(self._left(deadline, "no PUBACK"))
        except (RuntimeError, ValueError) as exc:  # what paho raises where the message was not taken
            raise UnreachableError(f"{type(exc).__name__}: {exc}", heard=True) from exc

    def _left(self, deadline: float, without: str) -> float:
        left = deadline - time.monotonic()
        if left <= 0.0:
            self._gone = without  # no goodbye to one that does not answer
            raise UnreachableError(f"{without} within {self._timeout_s:g} s")
        return left

    def _turn(self, wait_s: float) -> None:
        """Read and write what is due; wait so long for it. Raises UnreachableError where the connection has ended."""
        connected = self._client.socket()
        if connected is not None and not self._gone:
            writes = [connected] if self._client.want_write() else []
            pending = getattr(connected, "pending", lambda: 0)()
            poll = select.poll()
            poll.register(connected, select.POLLIN | (select.POLLOUT if writes else 0))
            ready = poll.poll(0.0 if pending else min(wait_s, 1.0) * 1000.0)
            if pending or any(event & ~select.POLLOUT for _, event in ready):
                self._client.loop_read()
            if self._client.want_write():
                self._client.loop_write()
            self._client.loop_misc()
        if self._welcome is not None and self._welcome.is_failure:
            raise UnreachableError(f"the broker refused the connection: {self._welcome}")
        if self._gone or self._client.socket() is None:
            raise UnreachableError(
                f"the connection has ended: {self._gone or 'closed'}", heard=self._welcome is not None
            )

    def _on_connect(
        self, _client: Client, _userdata: object, _flags: ConnectFlags, code: ReasonCode, _more: Properties | None
    ) -> None:
        self._welcome = code

    def _on_disconnect(
        self, _client: Client, _userdata: object, _flags: object, code: ReasonCode, _more: Properties | None
    ) -> None:
        self._gone = str(code)


def _client_id(outlet: OutletConfig) -> str:
    """The same at each start, so that the broker ends what is left of the connection before; 23 letters, as it may ask
    for."""
    named = "\n".join((socket.gethostname(), outlet.topic, outlet.name))
    return f"cathrt-{hashlib.sha256(named.encode()).hexdigest()[:16]}"


def _status(state: str) -> bytes:
    return json.dumps({"state": state, "notice": NOTICE}, ensure_ascii=False).encode()
