"""What a peer is answered that asks for storage commitment: which of its objects are here for good (PS3.4 annex J).

Not for: how the answer reaches it (commitment_reporter.py).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from cathrt.runtime.listener import statuses
from cathrt.runtime.listener.commitment_book import Instance
from cathrt.runtime.listener.object_store import ObjectStore, Received, State
from cathrt.runtime.listener.sop_classes import STORABLE

_log = logging.getLogger(__name__)

_ALL_COMMITTED, _FAILURES_EXIST = 1, 2  # Event Type ID


@dataclass(frozen=True, slots=True)
class Report:
    """committed: the store answers for these. failed: for these it does not, and the Failure Reason of each."""

    committed: tuple[Instance, ...]
    failed: tuple[tuple[Instance, int], ...]

    @property
    def event_type_id(self) -> int:
        """Of the N-EVENT-REPORT."""
        return _FAILURES_EXIST if self.failed else _ALL_COMMITTED


def report_of(instances: Sequence[Instance], store: ObjectStore) -> Report:
    """Look every object up. Raises sqlite3.Error."""
    reasons = [(instance, _failure_reason(instance, store)) for instance in instances]
    return Report(
        tuple(instance for instance, reason in reasons if reason is None),
        tuple((instance, reason) for instance, reason in reasons if reason is not None),
    )


def event_information(transaction_uid: str, report: Report) -> Dataset:
    """The data set of the N-EVENT-REPORT (PS3.4 table J.3-3)."""
    information = Dataset()
    information.TransactionUID = transaction_uid
    if report.committed:
        information.ReferencedSOPSequence = [_reference(instance) for instance in report.committed]
    if report.failed:
        information.FailedSOPSequence = [_reference(instance) for instance, _ in report.failed]
        for item, (_, reason) in zip(information.FailedSOPSequence, report.failed, strict=True):
            item.FailureReason = reason
    return information


def _failure_reason(instance: Instance, store: ObjectStore) -> int | None:
    """Why the store does not answer for an object; None where it does."""
    if instance.sop_class_uid not in STORABLE:
        return statuses.CLASS_NOT_SUPPORTED
    kept = store.kept(instance.sop_instance_uid)
    if not kept:
        return statuses.NO_SUCH_INSTANCE
    if any(received.state is State.QUARANTINED for received in kept):
        return statuses.PROCESSING_FAILURE  # two contents, one UID: which of them the peer means is not known
    (received,) = kept
    if received.arrival.sop_class_uid != instance.sop_class_uid:
        return statuses.CLASS_INSTANCE_CONFLICT
    return None if _is_there(received, store) else statuses.PROCESSING_FAILURE


def _is_there(received: Received, store: ObjectStore) -> bool:
    path = store.path_of(received.state, received.content_sha256)
    try:
        found: int | str = path.stat().st_size
    except OSError as exc:
        found = str(exc.strerror)
    if found != received.size:
        _log.error("%s: found %s, expected %d bytes: not committed to; check the disk", path, found, received.size)
    return found == received.size


def _reference(instance: Instance) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = instance
    return item
