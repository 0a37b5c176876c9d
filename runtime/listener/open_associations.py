"""Associations that peers have opened with us: reports on storage commitment go out on them while nothing else does.

A report is sent from the association's own thread, between two messages of the peer, and its answer is taken out of
what the peer sends: so the peer may send requests of its own at any moment. Not for: associations that we open
(commitment_calls.py).
"""

from __future__ import annotations

import logging
import math
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.dsutils import encode

from cathrt.runtime.listener import statuses
from cathrt.runtime.listener.commitment_book import Commitment
from cathrt.runtime.listener.commitment_report import Report, event_information
from cathrt.runtime.listener.commitment_reporter import CommitmentReporter
from cathrt.runtime.listener.peers import address_of, title_of
from cathrt.runtime.listener.sop_classes import STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE

_log = logging.getLogger(__name__)

QUIET_S = 0.2  # without a message of the peer: it is waiting, or about to release
_LOOK_S = 0.05  # between two looks for something to say
Message = tuple[int | None, Any]


class OpenAssociations:
    """Thread-safe. answer_s: longest that a peer may take for its answer."""

    def __init__(self, reporter: CommitmentReporter, answer_s: float) -> None:
        self._reporter = reporter
        self._answer_s = answer_s
        self._lock = threading.Lock()
        self._talks: list[_Talk] = []

    def join(self, association: Any) -> None:
        """A peer has connected: from now on its association is spoken on too."""
        talk = _Talk(association, self._reporter, self._answer_s)
        association.dimse.get_msg = talk.next_message
        with self._lock:
            self._talks.append(talk)

    def sweep(self) -> None:
        """Give back what associations took up that have ended. Raises sqlite3.Error."""
        with self._lock:
            ended = [talk for talk in self._talks if talk.has_ended()]
            self._talks = [talk for talk in self._talks if talk not in ended]
            late = [talk for talk in self._talks if talk.is_late()]
        for talk in (*ended, *late):
            talk.abandon()


@dataclass(frozen=True, slots=True)
class _Asked:
    """A report that has no answer yet. late_at: when that is too late."""

    commitment: Commitment
    report: Report
    late_at: float


class _Talk:
    """One association. All but has_ended(), is_late() and abandon() is called by the association's own thread."""

    def __init__(self, association: Any, reporter: CommitmentReporter, answer_s: float) -> None:
        self._association = association
        self._reporter = reporter
        self._answer_s = answer_s
        self._get_message: Callable[..., Message] = association.dimse.get_msg
        self._quiet_since = time.monotonic()
        self._next_look = 0.0
        self._is_serving = False
        self._message_id = 0
        self._tried: set[int] = set()  # each is sent once on one association
        self._lock = threading.Lock()
        self._asked: _Asked | None = None

    def next_message(self, block: bool = False) -> Message:
        """The peer's next request, if any; in the place of the library's own method, which it calls all the time."""
        now = time.monotonic()
        if self._is_serving:
            self._quiet_since = now
        context_id, message = self._get_message(block)
        self._is_serving = message is not None
        try:
            if isinstance(message, N_EVENT_REPORT) and message.MessageIDBeingRespondedTo is not None:
                self._take_answer(message)
                return None, None
            if message is None and now >= self._next_look:
                self._next_look = now + _LOOK_S
                self._speak(now)
        except sqlite3.Error as exc:
            _log.error("reports on storage commitment cannot be sent (%s): tried again", exc)
            self._next_look = now + 1.0
        return context_id, message

    def has_ended(self) -> bool:
        """Whether nothing more is to come of it."""
        return self._association.ident is not None and not self._association.is_alive()

    def is_late(self) -> bool:
        """Whether the peer has not answered in time."""
        asked = self._asked
        return asked is not None and time.monotonic() > asked.late_at

    def abandon(self) -> None:
        """What was taken up goes back. Raises sqlite3.Error."""
        asked = self._take_back()
        if asked is not None:
            self._reporter.not_taken(asked.commitment, "no answer on its own association", ours=False)

    def _take_back(self) -> _Asked | None:
        """What the peer was told and has not answered; for one caller alone."""
        with self._lock:
            asked, self._asked = self._asked, None
        return asked

    def _speak(self, now: float) -> None:
        association = self._association
        if not association.is_established or self._asked is not None:
            return
        context = next((each for each in association.accepted_contexts if _is_for_reports(each)), None)
        if context is None:
            self._next_look = math.inf
            return
        if now - self._quiet_since < QUIET_S or association.dimse.message is not None:
            return
        peer = association.requestor
        commitment = self._reporter.claim_for(title_of(peer), address_of(peer), self._tried)
        if commitment is None:
            return
        self._tried.add(commitment.seq)
        try:
            report = self._reporter.report(commitment)
        except sqlite3.Error:
            self._reporter.release(commitment)
            raise
        self._asked = _Asked(commitment, report, now + self._answer_s)
        association.dimse.send_msg(self._request(commitment, report, context), context.context_id)

    def _request(self, commitment: Commitment, report: Report, context: Any) -> N_EVENT_REPORT:
        self._message_id = self._message_id % 0xFFFF + 1
        syntax = context.transfer_syntax[0]
        information = encode(
            event_information(commitment.transaction_uid, report), syntax.is_implicit_VR, syntax.is_little_endian
        )
        assert information is not None, "a report that cannot be encoded"
        request = N_EVENT_REPORT()
        request.MessageID = self._message_id
        request.AffectedSOPClassUID = STORAGE_COMMITMENT
        request.AffectedSOPInstanceUID = STORAGE_COMMITMENT_INSTANCE
        request.EventTypeID = report.event_type_id
        request.EventInformation = BytesIO(information)
        return request

    def _take_answer(self, message: N_EVENT_REPORT) -> None:
        if message.MessageIDBeingRespondedTo != self._message_id or (asked := self._take_back()) is None:
            return  # an answer to nothing, or too late
        if message.Status == statuses.SUCCESS:
            self._reporter.taken(asked.commitment, asked.report)
        else:
            self._reporter.not_taken(asked.commitment, f"its status is {_shown(message.Status)}", ours=False)


def _is_for_reports(context: Any) -> bool:
    return bool(context.abstract_syntax == STORAGE_COMMITMENT and context.as_scp)


def _shown(status: int | None) -> str:
    return "none" if status is None else f"0x{status:04X}"
