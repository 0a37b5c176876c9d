"""Storage Commitment Push Model as SCP (PS3.4 annex J): takes N-ACTION requests, and answers that they were taken.

Not for: the answer itself, which is an N-EVENT-REPORT (commitment_reporter.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cathrt.runtime.listener import statuses
from cathrt.runtime.listener.commitment_book import Instance, TransactionInUseError
from cathrt.runtime.listener.commitment_reporter import CommitmentReporter
from cathrt.runtime.listener.data_sets import message_data_set, usable_uid
from cathrt.runtime.listener.peers import RefusedError, address_of, answered, title_of
from cathrt.runtime.listener.sop_classes import STORAGE_COMMITMENT_INSTANCE
from cathrt.runtime.sources.dicom.attributes import Attributes

MOST_INSTANCES = 1024  # of one request: runs and stills of a study are some tens
MOST_PENDING = 64  # requests of one peer without an answer
_REQUEST_COMMITMENT = 1  # Action Type ID


class CommitmentService:
    """Each association calls it from its own thread. has_room: whether the disk has room for rows."""

    def __init__(self, reporter: CommitmentReporter, has_room: Callable[[], bool]) -> None:
        self._reporter = reporter
        self._has_room = has_room

    def request(self, event: Any) -> tuple[int, None]:
        """N-ACTION: success once the request is durable."""
        peer = event.assoc.requestor
        return answered(lambda: self._take(event), peer, "commitment request"), None

    def _take(self, event: Any) -> None:
        request, peer = event.request, event.assoc.requestor
        if str(request.RequestedSOPInstanceUID or "") != STORAGE_COMMITMENT_INSTANCE:
            raise RefusedError(statuses.NO_SUCH_INSTANCE, "not the well-known instance of Storage Commitment")
        if request.ActionTypeID != _REQUEST_COMMITMENT:
            raise RefusedError(statuses.NO_SUCH_ACTION, "not the action of requesting commitment")
        keywords = ("TransactionUID", "ReferencedSOPSequence")
        with message_data_set(request.ActionInformation, str(event.context.transfer_syntax), keywords) as sent:
            transaction_uid = usable_uid(sent.attributes, "TransactionUID")
            instances = _instances(sent.items("ReferencedSOPSequence"))
        if not transaction_uid:
            raise RefusedError(statuses.INVALID_ARGUMENT, "no valid Transaction UID (0008,1195)")
        title = title_of(peer)
        if self._reporter.pending_of(title) >= MOST_PENDING:
            raise RefusedError(statuses.RESOURCE_LIMITATION, f"{MOST_PENDING} requests of it have no answer yet")
        if not self._has_room():
            raise RefusedError(statuses.RESOURCE_LIMITATION, "the disk has no room (listener.reserve_mib)")
        try:
            self._reporter.ask(title, address_of(peer), transaction_uid, instances)
        except TransactionInUseError:
            raise RefusedError(statuses.INVALID_ARGUMENT, "a Transaction UID that is in use") from None


def _instances(items: list[Attributes]) -> list[Instance]:
    """What is asked about, each once."""
    if not items:
        raise RefusedError(statuses.INVALID_ARGUMENT, "no Referenced SOP Sequence (0008,1199), or an empty one")
    if len(items) > MOST_INSTANCES:
        raise RefusedError(statuses.RESOURCE_LIMITATION, f"{len(items)} instances, expected at most {MOST_INSTANCES}")
    asked = [
        Instance(usable_uid(item, "ReferencedSOPClassUID"), usable_uid(item, "ReferencedSOPInstanceUID"))
        for item in items
    ]
    if not all(uid for instance in asked for uid in instance):
        raise RefusedError(statuses.INVALID_ARGUMENT, "an instance without valid UIDs")
    return list(dict.fromkeys(asked))
