"""Reports on storage commitment on associations that we open, to peers whose address is configured.

We call as the SCP of the class, which is proposed by role selection (PS3.7 annex D.3.3.4, PS3.4 annex J). One call at
a time: a peer that does not answer delays the others by listener.pdu_s at most a few times.
Not for: associations that peers open (open_associations.py).
"""

from __future__ import annotations

import logging
import sqlite3
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.presentation import build_context, build_role

from cathrt.runtime.errors import CathrtError
from cathrt.runtime.listener import statuses
from cathrt.runtime.listener.commitment_book import Commitment
from cathrt.runtime.listener.commitment_report import event_information
from cathrt.runtime.listener.commitment_reporter import CommitmentReporter
from cathrt.runtime.listener.open_associations import OpenAssociations
from cathrt.runtime.listener.peer_address import peer_address, require_reachable
from cathrt.runtime.listener.server import PortLimits, limit_reading
from cathrt.runtime.listener.sop_classes import LITTLE, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE

_log = logging.getLogger(__name__)

_TICK_S = 0.25


class CallError(CathrtError):
    """A peer cannot be called, or takes no report."""


@dataclass(frozen=True, slots=True)
class Line:
    """How we call. ae_title: ours. peers: host and port by AE title. tls: None for calls without."""

    ae_title: str
    peers: Mapping[str, tuple[str, int]]
    limits: PortLimits
    tls: ssl.SSLContext | None


class CommitmentCaller:
    """look() does what there is to do; run() does so until stop(), in a thread of the caller's."""

    def __init__(self, line: Line, reporter: CommitmentReporter, open_associations: OpenAssociations) -> None:
        self._line = line
        self._reporter = reporter
        self._open = open_associations
        self._stop = threading.Event()
        self._association: Any = None

    def run(self) -> None:
        """look() now and then, until stop()."""
        while not self._stop.wait(_TICK_S):
            try:
                self.look()
            except sqlite3.Error as exc:  # nothing is lost: what is pending stays so
                _log.error("reports on storage commitment cannot be noted (%s): tried again", exc)
                self._stop.wait(1.0)

    def stop(self) -> None:
        """End run(), and the call that it may be at. Idempotent."""
        self._stop.set()
        association = self._association
        if association is not None and association.is_established:
            association.abort()

    def look(self) -> None:
        """Make the calls that are due. Raises sqlite3.Error."""
        self._open.sweep()
        while not self._stop.is_set() and (due := self._reporter.claim_due()):
            self._call(due)

    def _call(self, left: list[Commitment]) -> None:
        """Send what one peer awaits, on one association."""
        try:
            with self._called(left[0].peer_ae) as association:
                while left and not self._stop.is_set():
                    self._report(association, left[0])
                    del left[0]
        except CallError as exc:
            for commitment in left:
                self._reporter.not_taken(commitment, str(exc), ours=True)
        finally:
            for commitment in left:
                self._reporter.release(commitment)

    def _report(self, association: Any, commitment: Commitment) -> None:
        """Send one report. Raises CallError where the peer does not take it."""
        report = self._reporter.report(commitment)
        try:
            answer, _ = association.send_n_event_report(
                event_information(commitment.transaction_uid, report),
                report.event_type_id,
                STORAGE_COMMITMENT,
                STORAGE_COMMITMENT_INSTANCE,
            )
        except (RuntimeError, ValueError) as exc:  # the association is over, or was never for this
            raise CallError(f"the association ended ({exc})") from exc
        status = getattr(answer, "Status", None)
        if status is None:
            raise CallError("no answer to the report")
        if status != statuses.SUCCESS:
            raise CallError(f"its status is 0x{status:04X}")
        self._reporter.taken(commitment, report)

    @contextmanager
    def _called(self, peer_ae: str) -> Iterator[Any]:
        """An association with a peer on which we are the SCP. Raises CallError."""
        if peer_ae not in self._line.peers:
            raise CallError(f"no address of {peer_ae} in listener.commitment_peers, and it has not come back")
        host, port = self._line.peers[peer_ae]
        association = self._associate(peer_ae, host, port)
        wrapper = association.dul.socket
        connection = None if wrapper is None else wrapper.socket
        self._association = association
        try:
            if not association.is_established:
                how = "rejects us" if association.is_rejected else "takes no association, or breaks off"
                raise CallError(f"{host}:{port} {how}")
            if not any(context.as_scp for context in association.accepted_contexts):
                raise CallError(f"{host}:{port} does not accept us as SCP of Storage Commitment (role selection)")
            yield association
        finally:
            self._association = None
            if association.is_established:
                association.release()
            association.kill()
            if connection is not None:
                connection.close()  # which pynetdicom forgets where the other side was first

    def _associate(self, peer_ae: str, host: str, port: int) -> Any:
        limits = self._line.limits
        try:
            require_reachable(host, port, limits.pdu_s)
        except OSError as exc:
            raise CallError(f"{host}:{port} cannot be reached ({exc.strerror or exc})") from exc
        ae = AE(self._line.ae_title)
        ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = limits.pdu_s
        return ae.associate(
            host,
            port,
            contexts=[build_context(STORAGE_COMMITMENT, list(LITTLE))],
            ae_title=peer_ae,
            max_pdu=limits.pdu_bytes,
            ext_neg=[build_role(STORAGE_COMMITMENT, scp_role=True)],
            tls_args=None if self._line.tls is None else (self._line.tls, host),
            evt_handlers=[(evt.EVT_CONN_OPEN, partial(_limit, limits))],
        )


def _limit(limits: PortLimits, event: Any) -> None:
    limit_reading(event.assoc, limits)


def peers_from_settings(peers: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Host and port by AE title. Raises ValueError naming the address that is none."""
    return {peer.ae_title: (peer.host, peer.port) for peer in map(peer_address, peers)}
