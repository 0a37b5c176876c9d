"""The gateway process of `cathrt run`: python -m cathrt.runtime.processes.gateway STATE [--config FILE]

Receives objects by DICOM into STATE/store, serves the journals of all processes as a feed, shows them on the page and
delivers them to outlets.
What people decide goes into STATE/gateway.journal; what was received is in the store's index. Not for: judging it
(study.py).
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from cathrt.runtime.audit.messages import Party
from cathrt.runtime.audit.state import AUDIT
from cathrt.runtime.audit.trail import AuditTrail
from cathrt.runtime.config import Config, ListenerConfig
from cathrt.runtime.decisions.book import DECISIONS, DecisionBook
from cathrt.runtime.errors import CathrtError, SinkError
from cathrt.runtime.gateway.feed import Feed, FeedStatus, Pages, opened_feed
from cathrt.runtime.listener.object_store import Arrival, ObjectStore, Placed
from cathrt.runtime.listener.scp import Listener, opened_listener
from cathrt.runtime.listener.spool import spool_limits
from cathrt.runtime.metrics.otlp import exporting
from cathrt.runtime.metrics.otlp_spans import exporting_runs
from cathrt.runtime.models import load_config
from cathrt.runtime.objects.due import Evidence
from cathrt.runtime.outlets.audit_receiver import forwarding_to
from cathrt.runtime.outlets.outlets import opened_outlets
from cathrt.runtime.outlets.state import OUTLETS
from cathrt.runtime.outlets.studies import Studies
from cathrt.runtime.processes.child import Process, ProcessArguments, process_main
from cathrt.runtime.processes.figures import figures
from cathrt.runtime.processes.gateway_page import page_of
from cathrt.runtime.processes.health import health_of
from cathrt.runtime.processes.kept_report import KeptReport
from cathrt.runtime.processes.retaining import gateway_keeper
from cathrt.runtime.processes.state_folder import StateFolder
from cathrt.runtime.retention.keeper import retaining

_BEAT_S = 0.2
_NOBODY = Party("unknown", "", is_requestor=True)

_log = logging.getLogger(__name__)


def gateway(running: Process, arguments: ProcessArguments) -> None:
    """Receive and serve until running.stop is set; then let associations end, and readers have the last events.

    Raises CathrtError.
    """
    settings = load_config(arguments.config)
    with forwarding_to(settings.audit) as forwarding:
        _serve(running, arguments, settings, AuditTrail(arguments.state.audit, forwarding=forwarding))


def _serve(running: Process, arguments: ProcessArguments, settings: Config, audit: AuditTrail) -> None:
    """Raises CathrtError."""
    state = arguments.state
    journals = state.journals

    def health(feed: FeedStatus) -> Mapping[str, Any]:
        return health_with(feed, state, settings)

    pages = Pages(health, lambda feed: figures(state, settings, feed))

    evidence = Evidence(state.study_journal, state.store, state.gateway_journal)
    studies = Studies(evidence, settings.limits, audit=audit)
    reported, audit_report = KeptReport(state, OUTLETS).write, KeptReport(state, AUDIT)
    with (
        closing(_opened_store(state, settings)) as store,
        closing(DecisionBook(state.gateway_journal, settings.journal, KeptReport(state, DECISIONS).write)) as book,
        opened_outlets(settings.outlets, journals, state.outbox, reported, studies=studies) as outlets,
        opened_feed(settings.feed, journals, pages) as feed,
        page_of(arguments, settings, audit, book, lambda: health(feed.status())),
        exporting(settings.metrics, lambda: pages.metrics(feed.status())),
        exporting_runs(settings.metrics, journals, state.path),
        _receiving(settings.listener, store, studies) as listener,
        retaining(gateway_keeper(state, settings, store, book)),
    ):
        at = f"{settings.listener.ae_title} on {settings.listener.host}:{listener.port}"
        _log.info("listening as %s, feed at %s", at, feed.url)
        audit.started()
        refused = 0
        while not running.stop.wait(_BEAT_S):
            require_well(listener, feed)
            outlets.attend()
            book.attend()
            if listener.refused > refused:
                audit.alert(f"{listener.refused - refused} connections to the DICOM port were not let in", _NOBODY)
                refused = listener.refused
            audit_report.keep(asdict(audit.state()))
            running.beat()
        audit.stopped()


def _note(audit: AuditTrail, arrival: Arrival, placed: Placed) -> None:
    """An object came in that was not here yet."""
    if placed is not Placed.AGAIN:
        audit.received(Party(arrival.calling_ae, arrival.address, is_requestor=True), [(arrival.sop_class_uid, 1)])


def health_with(feed: FeedStatus, state: StateFolder, settings: Config) -> Mapping[str, Any]:
    """The health of the whole, with what the feed alone knows: journals that cannot be followed."""
    health = health_of(state, settings, time.monotonic_ns())
    faults = tuple(f"feed {name}: {fault}" for name, fault in feed.faults.items())
    return replace(health, reasons=(*health.reasons, *faults)).document()


def require_well(listener: Listener, feed: Feed) -> None:
    """Raises CathrtError where one of the two has ended by itself; the supervisor then starts the process anew."""
    if not feed.is_running:
        feed.close()  # which raises the reason, if there is one
        raise CathrtError("the feed has ended: it has to be started anew")
    if not listener.is_well:
        raise CathrtError("a thread of the DICOM listener has ended: it has to be started anew")


def _opened_store(state: StateFolder, settings: Config) -> ObjectStore:
    try:
        return ObjectStore(state.store, spool_limits(settings))
    except (OSError, sqlite3.Error) as exc:
        raise SinkError(
            f"{state.store}: cannot be used as a store ({exc}): check the disk and the permissions"
        ) from exc


@contextmanager
def _receiving(settings: ListenerConfig, store: ObjectStore, studies: Studies) -> Iterator[Listener]:
    """The listener, with errors of its start as CathrtError."""
    with ExitStack() as stack:
        try:
            listener = stack.enter_context(
                opened_listener(settings, store, partial(_note, studies.audit), asked=studies.commitments)
            )
        except (OSError, sqlite3.Error) as exc:
            raise CathrtError(
                f"{settings.host}:{settings.port}: cannot listen there ({exc}): "
                "choose another listener.host or listener.port"
            ) from exc
        yield listener


if __name__ == "__main__":
    process_main("gateway", "normal", gateway)
