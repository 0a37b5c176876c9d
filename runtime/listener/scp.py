"""The listener: builds the port and its services from settings, runs them, and ends them well.

Not for: limits on peers (server.py), and the services (storage_service, commitment_service, procedure_steps).
"""

from __future__ import annotations

import ipaddress
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pynetdicom import AE, evt

from cathrt.runtime.config import ListenerConfig
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.listener import statuses, tls
from cathrt.runtime.listener.commitment_book import Commitment
from cathrt.runtime.listener.commitment_calls import CommitmentCaller, Line, peers_from_settings
from cathrt.runtime.listener.commitment_reporter import CommitmentReporter, Retries
from cathrt.runtime.listener.commitment_service import CommitmentService
from cathrt.runtime.listener.commitments_asked import CommitmentsAsked
from cathrt.runtime.listener.library import library_prepared
from cathrt.runtime.listener.object_store import Arrival, ObjectStore, Placed
from cathrt.runtime.listener.open_associations import OpenAssociations
from cathrt.runtime.listener.peers import address_of, title_of
from cathrt.runtime.listener.procedure_steps import ProcedureSteps
from cathrt.runtime.listener.server import Hooks, Network, PortLimits, Server
from cathrt.runtime.listener.sop_classes import contexts
from cathrt.runtime.listener.storage_service import StorageService, Told
from cathrt.runtime.listener.studies import EndRules
from cathrt.runtime.listener.study_end import StudyEnd
from cathrt.runtime.listener.study_watch import StudyWatch, sender_name


@dataclass(frozen=True, slots=True)
class _Parts:
    """What runs behind the port."""

    store: ObjectStore
    watch: StudyWatch
    caller: CommitmentCaller


class Listener:
    """A running port, and what runs behind it. close() lets what is being received come to its end first."""

    def __init__(self, server: Server, parts: _Parts) -> None:
        self._server = server
        self._parts = parts
        runs = [lambda: server.serve_forever(poll_interval=0.2), parts.watch.run, parts.caller.run]
        self._threads = [threading.Thread(target=run, daemon=True) for run in runs]
        self._closing = False
        for thread in self._threads:
            thread.start()

    @property
    def port(self) -> int:
        """The TCP port, also where the system chose it."""
        return int(self._server.server_address[1])

    @property
    def connections(self) -> int:
        """Open connections."""
        return self._server.connections

    @property
    def refused(self) -> int:
        """Connections that were not let in."""
        return self._server.refused

    @property
    def is_well(self) -> bool:
        """Whether everything runs that should."""
        return self._closing or all(thread.is_alive() for thread in self._threads)

    def end_study(self, study_instance_uid: str) -> None:
        """A person says that a study has ended. Raises UnknownStudyError, sqlite3.Error."""
        self._parts.watch.end_study(study_instance_uid)

    def close(self, drain_s: float) -> bool:
        """Accept nothing new, wait so long for open associations, then abort them. Returns whether none had to be.

        An object of an aborted association was never confirmed: its sender sends it again. Idempotent.
        """
        self._closing = True
        serving, *others = self._threads
        if serving.is_alive():
            self._server.stop_accepting()
            serving.join()
        deadline = time.monotonic() + drain_s
        while self._server.connections and time.monotonic() < deadline:
            time.sleep(0.02)
        left = self._server.associations()
        for association in left:
            association.abort()
        for association in left:
            association.join(5.0)
        self._parts.caller.stop()
        self._parts.watch.stop()
        for thread in others:
            thread.join(10.0)
        self._parts.store.spool.sweep()
        return not left


@contextmanager
def opened_listener(
    settings: ListenerConfig,
    store: ObjectStore,
    told: Told,
    told_end: Callable[[StudyEnd], None] = lambda _end: None,
    told_commitment: Callable[[Commitment], None] = lambda _commitment: None,
    asked: CommitmentsAsked | None = None,
) -> Iterator[Listener]:
    """Listen until the end of the block.

    told: called for each object once it is durable, before its sender is told. told_end: for each end of a study, once
    it is durable. told_commitment: for each request that was answered or given up. Each from threads of the listener.
    asked: where reports go on what was asked of others.
    Raises ConfigError for settings that cannot be used, OSError where the address cannot be had, sqlite3.Error where
    the store's index cannot.
    """
    ae, limits, line, rules = _ae(settings), _limits(settings), _line(settings), _rules(settings)
    accepting = tls.accepting(settings)
    server: Server | None = None

    def receiving() -> frozenset[str]:
        return frozenset() if server is None else _receiving(server, store)

    def told_and_woken(arrival: Arrival, placed: Placed) -> None:
        watch.wake()
        told(arrival, placed)

    watch = StudyWatch(store, rules, told_end, receiving)
    retries = Retries(settings.commitment_attempts, settings.commitment_retry_s)
    reporter = CommitmentReporter(store, retries, told_commitment)
    open_associations = OpenAssociations(reporter, settings.idle_s)
    steps = ProcedureSteps(watch, store.has_room)
    handlers = [
        (evt.EVT_C_ECHO, lambda _event: statuses.SUCCESS),
        (evt.EVT_C_STORE, StorageService(store, told_and_woken).store),
        (evt.EVT_N_ACTION, CommitmentService(reporter, store.has_room).request),
        (evt.EVT_N_CREATE, steps.create),
        (evt.EVT_N_SET, steps.change),
        (evt.EVT_N_EVENT_REPORT, (asked or CommitmentsAsked()).take),
    ]
    hooks = Hooks(sweep=store.spool.sweep, joined=open_associations.join)
    with warnings.catch_warnings(), library_prepared(store):
        server = Server(ae, (settings.host, settings.port), contexts(), handlers, limits, accepting, hooks)
        caller = CommitmentCaller(line, reporter, open_associations)
        listener = Listener(server, _Parts(store, watch, caller))
        try:
            yield listener
        finally:
            listener.close(settings.drain_s)


def _ae(settings: ListenerConfig) -> AE:
    try:
        ae = AE(settings.ae_title)
        ae.require_calling_aet = list(settings.calling_ae_titles)
    except ValueError as exc:
        raise ConfigError(f"listener: an AE title that is none ({exc}): up to 16 characters of ASCII") from exc
    ae.maximum_pdu_size = settings.pdu_bytes
    ae.maximum_associations = 2 * settings.max_associations  # server.py counts, and refuses before
    ae.require_called_aet = True
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = settings.idle_s
    return ae


def _limits(settings: ListenerConfig) -> PortLimits:
    return PortLimits(
        addresses=tuple(map(_network, settings.addresses)),
        connections=settings.max_associations,
        pdu_bytes=settings.pdu_bytes + 6,
        pdu_s=settings.pdu_s,
        association_s=settings.association_s,
    )


def _line(settings: ListenerConfig) -> Line:
    try:
        peers = peers_from_settings(settings.commitment_peers)
    except ValueError as exc:
        raise ConfigError(
            f"listener.commitment_peers: found {str(exc)!r}, expected AE_TITLE@HOST:PORT, as in ANGIO1@10.1.2.21:104"
        ) from exc
    return Line(settings.ae_title, peers, _limits(settings), tls.calling(settings))


def _rules(settings: ListenerConfig) -> EndRules:
    if settings.study_long_idle_s <= settings.study_idle_s:
        raise ConfigError(
            f"listener.study_long_idle_s: found {settings.study_long_idle_s}, expected more than "
            f"listener.study_idle_s = {settings.study_idle_s}: each is a sign of its own"
        )
    return EndRules(settings.study_settle_s, settings.study_idle_s, settings.study_long_idle_s)


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as exc:
        raise ConfigError(f"listener.addresses: found {text!r}, expected an address or a network ({exc})") from exc


def _receiving(server: Server, store: ObjectStore) -> frozenset[str]:
    """Senders of objects that are on their way in."""
    owners = store.spool.owners()
    return frozenset(
        sender_name(title_of(association.requestor), address_of(association.requestor))
        for association in server.associations()
        if owners & {association, association.dul}
    )
