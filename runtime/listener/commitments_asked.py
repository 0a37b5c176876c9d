"""What receivers were asked to commit to, and what they have said since: as SCU of Storage Commitment (PS3.4 annex J).

A receiver answers on the association of the request, on the next one that we open, or on one that it opens to our
listener: whichever it is, the answer comes here. What is asked is forgotten with the process: asking again is harmless.
Not for: being asked (commitment_service.py).
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cathrt.runtime.listener import statuses
from cathrt.runtime.listener.data_sets import DataSetError, message_data_set, usable_uid
from cathrt.runtime.sources.dicom.attributes import Attributes

_MOST = 1024  # transactions that are remembered; the oldest goes
_EVENTS = (1, 2)  # all committed; failures exist


@dataclass(slots=True)
class _Asked:
    """instances: SOP Instance UIDs. failed: with the Failure Reason of each. answered: whether the report has come."""

    instances: frozenset[str]
    committed: set[str] = field(default_factory=set)
    failed: dict[str, int] = field(default_factory=dict)
    answered: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """committed, failed: SOP Instance UIDs; of failed ones with the Failure Reason (PS3.3 C.14)."""

    committed: frozenset[str]
    failed: dict[str, int]


class CommitmentsAsked:
    """Thread-safe."""

    def __init__(self) -> None:
        self._asked: OrderedDict[str, _Asked] = OrderedDict()
        self._changed = threading.Condition()

    def ask(self, transaction_uid: str, instances: Iterable[str]) -> None:
        """To be called before the request is sent: the answer may come before the request has returned."""
        with self._changed:
            self._asked[transaction_uid] = _Asked(frozenset(instances))
            while len(self._asked) > _MOST:
                self._asked.popitem(last=False)

    def forget(self, transaction_uid: str) -> None:
        """The request was not taken, or nobody waits any more."""
        with self._changed:
            self._asked.pop(transaction_uid, None)

    def answer(self, transaction_uid: str, within_s: float) -> Answer | None:
        """Wait for the answer; None where none has come in that time."""
        deadline = time.monotonic() + within_s
        with self._changed:
            while (asked := self._asked.get(transaction_uid)) is not None and not asked.answered:
                left_s = deadline - time.monotonic()
                if left_s <= 0.0 or not self._changed.wait(left_s):
                    return None
            return None if asked is None else Answer(frozenset(asked.committed), dict(asked.failed))

    def take(self, event: Any) -> tuple[int, None]:
        """Handler of an N-EVENT-REPORT: success for a report on what was asked, whoever brings it."""
        request = event.request
        if request.EventTypeID not in _EVENTS:
            return statuses.INVALID_ARGUMENT, None
        keywords = ("TransactionUID", "ReferencedSOPSequence", "FailedSOPSequence")
        try:
            with message_data_set(request.EventInformation, str(event.context.transfer_syntax), keywords) as sent:
                transaction_uid = usable_uid(sent.attributes, "TransactionUID")
                committed = {usable_uid(item, "ReferencedSOPInstanceUID") for item in sent.items(keywords[1])}
                failed = dict(map(_failed, sent.items(keywords[2])))
        except DataSetError:
            return statuses.PROCESSING_FAILURE, None
        return self._taken(transaction_uid, committed, failed), None

    def _taken(self, transaction_uid: str, committed: set[str], failed: dict[str, int]) -> int:
        with self._changed:
            asked = self._asked.get(transaction_uid)
            if asked is None:
                return statuses.INVALID_ARGUMENT  # of nobody here, or of a process before this one
            asked.committed |= committed & asked.instances
            asked.failed.update((uid, reason) for uid, reason in failed.items() if uid in asked.instances)
            asked.answered = True
            self._changed.notify_all()
        return statuses.SUCCESS


def _failed(item: Attributes) -> tuple[str, int]:
    reason = item.text("FailureReason")
    known = reason is not None and reason.isdecimal()
    return usable_uid(item, "ReferencedSOPInstanceUID"), int(reason or 0) if known else statuses.PROCESSING_FAILURE
