"""Which requests for storage commitment await an answer, who is at it, and when it is tried again.

The answer goes out on the association of the request, on the next one of that peer (open_associations.py), or on one
that we open (commitment_calls.py): whichever is first. Not for: the answer's content (commitment_report.py).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass

from cathrt.runtime.errors import CathrtError
from cathrt.runtime.listener.commitment_book import Commitment, CommitmentBook, Instance
from cathrt.runtime.listener.commitment_report import Report, report_of
from cathrt.runtime.listener.object_store import ObjectStore

_log = logging.getLogger(__name__)

GRACE_S = 2.0  # so long the peer's own association comes first
_LONGEST_WAIT_S = 3600.0  # between two attempts


@dataclass(frozen=True, slots=True)
class Retries:
    """attempts: failed ones, after which a report is given up. first_wait_s: after the first; doubled each time."""

    attempts: int
    first_wait_s: float


@dataclass(slots=True)
class _Pending:
    """due_at: when we may open an association for it. claimed: somebody is sending it."""

    commitment: Commitment
    due_at: float
    claimed: bool = False


class CommitmentReporter:
    """Thread-safe. told: called once a request has been answered or given up. clock: seconds, never going back.

    What is pending outlives the process; what was waited for begins anew with it.
    """

    def __init__(
        self,
        store: ObjectStore,
        retries: Retries,
        told: Callable[[Commitment], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises sqlite3.Error."""
        self._book = CommitmentBook(store.index)
        self._store = store
        self._retries = retries
        self._told = told
        self._clock = clock
        self._lock = threading.Lock()
        self._pending = {commitment.seq: _Pending(commitment, clock() + GRACE_S) for commitment in self._book.pending()}

    def ask(self, peer_ae: str, address: str, transaction_uid: str, instances: Sequence[Instance]) -> None:
        """Take a request; durable on return. Raises TransactionInUseError, sqlite3.Error."""
        with self._lock:
            commitment = self._book.ask(peer_ae, address, transaction_uid, instances)
            known = self._pending.get(commitment.seq)
            if known is None:
                self._pending[commitment.seq] = _Pending(commitment, self._clock() + GRACE_S)
            else:
                known.commitment = commitment

    def pending_of(self, peer_ae: str) -> int:
        """How many requests of a peer have no answer yet."""
        with self._lock:
            return sum(pending.commitment.peer_ae == peer_ae for pending in self._pending.values())

    def claim_for(self, peer_ae: str, address: str, tried: Set[int]) -> Commitment | None:
        """The oldest request of a peer that nobody is at, to be answered on an association that it has opened.

        tried: requests whose answers it did not take there.
        """
        with self._lock:
            for pending in self._pending.values():
                asked = pending.commitment
                if (
                    not pending.claimed
                    and asked.seq not in tried
                    and (asked.peer_ae, asked.address) == (peer_ae, address)
                ):
                    pending.claimed = True
                    return asked
        return None

    def claim_due(self) -> list[Commitment]:
        """The requests of one peer for whose answers it is time to open an association; [] if there are none."""
        found: list[Commitment] = []
        with self._lock:
            for pending in self._pending.values():
                asked = pending.commitment
                of_peer = not found or asked.peer_ae == found[0].peer_ae
                if of_peer and not pending.claimed and pending.due_at <= self._clock():
                    pending.claimed = True
                    found.append(asked)
        return found

    def report(self, commitment: Commitment) -> Report:
        """The answer, as things are now. Raises sqlite3.Error."""
        return report_of(self._book.instances(commitment.seq), self._store)

    def taken(self, commitment: Commitment, report: Report) -> None:
        """The peer has taken the answer. Raises sqlite3.Error."""
        with self._lock:
            self._pending[commitment.seq].claimed = False
            done = self._book.answered(commitment.seq, len(report.failed))
            del self._pending[commitment.seq]
        if report.failed:
            _log.warning(
                "commitment %s of %s: %d of %d objects are not committed to",
                done.transaction_uid, done.peer_ae, done.failed, done.count,
            )  # fmt: skip
        self._tell(done)

    def not_taken(self, commitment: Commitment, reason: str, *, ours: bool) -> None:
        """The answer did not reach the peer. ours: on an association that we opened: the next one waits.

        Raises sqlite3.Error.
        """
        with self._lock:
            pending = self._pending[commitment.seq]
            pending.claimed = False
            pending.commitment = tried = self._book.attempt_failed(commitment.seq, reason)
            if ours:
                wait = self._retries.first_wait_s * 2.0 ** (tried.attempts - 1)
                pending.due_at = self._clock() + min(wait, _LONGEST_WAIT_S)
            gone = tried.attempts >= self._retries.attempts
            if gone:
                tried = self._book.given_up(commitment.seq)
                del self._pending[commitment.seq]
        if not gone:
            _log.warning("commitment %s of %s: not answered yet (%s)", tried.transaction_uid, tried.peer_ae, reason)
            return
        _log.error(
            "commitment %s of %s: given up after %d attempts (%s): ask %s to request it again",
            tried.transaction_uid, tried.peer_ae, tried.attempts, reason, tried.peer_ae,
        )  # fmt: skip
        self._tell(tried)

    def release(self, commitment: Commitment) -> None:
        """Nobody is at it any more, and nothing was tried."""
        with self._lock:
            if (pending := self._pending.get(commitment.seq)) is not None:
                pending.claimed = False

    def _tell(self, commitment: Commitment) -> None:
        """Whoever wants to know. What cannot be shown is in the book all the same."""
        try:
            self._told(commitment)
        except (OSError, CathrtError) as exc:
            _log.error("commitment %s cannot be shown (%s)", commitment.transaction_uid, exc)
