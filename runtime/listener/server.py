"""The port: who may connect, for how long, and how much a message may claim. Wraps pynetdicom, which trusts its peers.

pynetdicom 3.0.4 reads a PDU of whatever length it declares (up to 4 GiB), waits for a slow one for ever, does the TLS
handshake in the thread that accepts connections, and keeps in memory any message that is no C-STORE. Each of these has
its limit here. Not for: what is done with an object (scp.py).
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any

from pynetdicom import AE
from pynetdicom.fsm import InvalidEventError
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AssociationServer, RequestHandler

from cathrt.runtime.sources.dicom.attributes import CONVERSION_ERRORS

_REQUEST_BYTES = 1 << 18  # of an A-ASSOCIATE-RQ: 128 presentation contexts with 38 transfer syntaxes each take less
_MESSAGE_BYTES = 1 << 20  # of what is held in memory: command sets, and data sets of anything but C-STORE
_HEADER = 6  # type and length of a PDU

# What pynetdicom raises of a message that contradicts itself, or that comes when it may not.
_UNREADABLE = (*CONVERSION_ERRORS, EOFError, InvalidEventError)

_log = logging.getLogger(__name__)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class PortLimits:
    """addresses: networks that may connect. connections: at once. pdu_bytes: of one PDU of an association.

    pdu_s: longest for one PDU to arrive, and for a TLS handshake. association_s: longest that a connection stays open.
    """

    addresses: Collection[Network]
    connections: int
    pdu_bytes: int
    pdu_s: float
    association_s: float


@dataclass(frozen=True, slots=True)
class Hooks:
    """sweep: called now and then. joined: called with each new association, before its thread begins."""

    sweep: Callable[[], None]
    joined: Callable[[Any], None]


class PeerError(OSError):
    """A peer broke a limit: the connection is closed. An OSError, which pynetdicom takes for a lost connection."""


class Server(AssociationServer):
    """Accepts connections; each association has threads of its own."""

    def __init__(
        self,
        ae: AE,
        address: tuple[str, int],
        contexts: Sequence[PresentationContext],
        handlers: Sequence[Any],
        limits: PortLimits,
        tls: ssl.SSLContext | None,
        hooks: Hooks,
    ) -> None:
        """Bind and listen. Raises OSError where the address cannot be had."""
        self.limits = limits
        self.hooks = hooks
        self.refused = 0  # connections that were not let in
        self._tls = tls
        self._beginning: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self.request_queue_size = 64
        super().__init__(ae, address, ae.ae_title, list(contexts), None, list(handlers), _Handler)

    @property
    def connections(self) -> int:
        """Connections that are open, or begin: living threads, so that none can be forgotten."""
        with self._lock:
            return len(self.active_associations) + len(self._beginning)

    def associations(self) -> list[Any]:
        """Open associations."""
        with self._lock:
            return list(self.active_associations)

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002 - socketserver's signature
        """Whether a connection is let in at all: by its address, and while there is room."""
        address = ipaddress.ip_address(client_address[0].partition("%")[0])
        known = getattr(address, "ipv4_mapped", None) or address
        allowed = any(known in network for network in self.limits.addresses)
        allowed = allowed and self.connections < self.limits.connections
        self.refused += not allowed
        return allowed

    def service_actions(self) -> None:
        """Called by serve_forever() now and then."""
        super().service_actions()
        self.hooks.sweep()

    def stop_accepting(self) -> None:
        """End serve_forever() and give the address back; associations go on."""
        socketserver.BaseServer.shutdown(self)
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread of its own: a peer that dawdles over its handshake delays nobody."""
        thread = threading.Thread(target=self._begin, args=(request, client_address), daemon=True)
        with self._lock:
            self._beginning.add(thread)
        thread.start()

    def _begin(self, connection: socket.socket, client_address: Any) -> None:
        try:
            connection.settimeout(self.limits.pdu_s)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            self.finish_request(connection, client_address)
        except OSError as exc:  # ssl.SSLError is one: no certificate, the wrong one, or no TLS at all
            _log.warning("connection from %s refused: %s", client_address[0], exc)
            connection.close()
            self.refused += 1
        finally:
            with self._lock:
                self._beginning.discard(threading.current_thread())


class _Handler(RequestHandler):
    """Begins an association whose socket has limits."""

    server: Server

    def _create_association(self) -> Any:
        association: Any = super()._create_association()
        limit_reading(association, self.server.limits)
        provider = association.dul
        association.run = partial(_negotiate_to_the_end, association, association.run)
        provider.run = partial(_run_to_the_end, association, provider.run, self.request)
        self.server.hooks.joined(association)
        return association


def limit_reading(association: Any, limits: PortLimits) -> None:
    """From now on what an association reads has limits. Its socket must be there."""
    association.dul.socket.recv = _LimitedReader(association, limits).recv


def _run_to_the_end(association: Any, run: Callable[[], None], connection: socket.socket) -> None:
    """The thread that reads from the peer.

    By itself it dies of a message that it cannot read, leaves a connection open that the peer closed first, and lets
    the association's other thread wait for a request that cannot come any more.
    """
    try:
        run()
    except _UNREADABLE as exc:
        _say_ended(association, exc)
    finally:
        association.is_established = False
        association._kill = True
        association.dul.kill_dul()
        association.dul.socket.close()
        connection.close()
        association.dul.to_user_queue.put(None)  # as if the time for a request were up


def _negotiate_to_the_end(association: Any, run: Callable[[], None]) -> None:
    """The thread that answers the peer.

    By itself it dies of a request that it can read and not agree on, such as a context without a transfer syntax. The
    connection then stays open until its time is up.
    """
    try:
        run()
    except _UNREADABLE as exc:
        _say_ended(association, exc)
        association.dul.kill_dul()  # whose thread closes the connection


def _say_ended(association: Any, exc: Exception) -> None:
    address = association.requestor.address
    _log.warning("connection from %s ended: a message that cannot be read (%s)", address, type(exc).__name__)


class _LimitedReader:
    """Reads no PDU that is longer than agreed, none that takes too long, and nothing after the association's time."""

    def __init__(self, association: Any, limits: PortLimits) -> None:
        self._association = association
        self._limits = limits
        self._ends = time.monotonic() + limits.association_s

    def recv(self, nr_bytes: int) -> bytearray:
        """Exactly so many bytes, or fewer where the peer closed its side. Raises OSError: the connection is over."""
        try:
            return self._received(nr_bytes)
        except PeerError as exc:
            association = self._association
            peer = association.requestor if association.is_acceptor else association.acceptor
            _log.warning("connection with %s ended: %s", peer.address, exc)
            raise

    def _received(self, nr_bytes: int) -> bytearray:
        most = self._limits.pdu_bytes if self._association.is_established else _REQUEST_BYTES
        if nr_bytes > most:
            raise PeerError(f"a PDU of {nr_bytes} bytes, expected at most {most}")
        if nr_bytes == _HEADER:
            self._require_small_message()
        connection: socket.socket = self._association.dul.socket.socket
        received = bytearray(nr_bytes)
        deadline = min(time.monotonic() + self._limits.pdu_s, self._ends)
        count = 0
        while count < nr_bytes:
            left = deadline - time.monotonic()
            if left <= 0:
                raise PeerError(f"{count} of {nr_bytes} bytes of a PDU in time, expected all of them")
            connection.settimeout(left)
            got = connection.recv_into(memoryview(received)[count:])
            if not got:
                return received[:count]
            count += got
        return received

    def _require_small_message(self) -> None:
        """Of a message that is being received, what is not in a file is in memory."""
        message = self._association.dimse.message
        held = [] if message is None else [message.encoded_command_set, message.data_set]
        size = sum(part.tell() for part in held if isinstance(part, BytesIO))
        if size > _MESSAGE_BYTES:
            raise PeerError(f"a message of {size} bytes that is no C-STORE, expected at most {_MESSAGE_BYTES}")
