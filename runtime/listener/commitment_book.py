"""Requests for storage commitment and what became of them: a table of the store's index.

Not for: what a peer is answered (commitment_report.py), and how the answer reaches it (commitment_reporter.py).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from cathrt.runtime.listener.index import Index

COLUMNS = "seq, peer_ae, address, transaction_uid, count, state, attempts, failed, reason, requested_at"


class CommitmentState(StrEnum):
    """pending: the peer has no answer yet. answered: it has taken the answer. given_up: it did not, after all tries."""

    PENDING = "pending"
    ANSWERED = "answered"
    GIVEN_UP = "given_up"


class Instance(NamedTuple):
    """One object that a peer asks about."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Commitment:
    """One request. count: of instances. attempts: to answer, that failed. failed: instances that were not committed to.

    reason: why the last attempt failed, or "". requested_at: seconds since 1970.
    """

    seq: int
    peer_ae: str
    address: str
    transaction_uid: str
    count: int
    state: CommitmentState
    attempts: int
    failed: int
    reason: str
    requested_at: float


class TransactionInUseError(Exception):
    """The peer has used this Transaction UID for another request."""


class CommitmentBook:
    """Thread-safe. wall: seconds since 1970. Every method raises sqlite3.Error where the index cannot be used."""

    def __init__(self, index: Index, wall: Callable[[], float] = time.time) -> None:
        self._index = index
        self._wall = wall

    def ask(self, peer_ae: str, address: str, transaction_uid: str, instances: Sequence[Instance]) -> Commitment:
        """Keep a request; durable on return. The same request again is to be answered again.

        Raises TransactionInUseError.
        """
        lines = "\n".join(" ".join(instance) for instance in instances)
        digest = hashlib.sha256(lines.encode()).hexdigest()
        with self._index.transaction() as rows:
            known = rows.execute(
                "SELECT request_sha256 FROM commitments WHERE peer_ae = ? AND transaction_uid = ?",
                (peer_ae, transaction_uid),
            ).fetchone()
            if known is not None and known[0] != digest:
                raise TransactionInUseError
            rows.execute(
                "INSERT INTO commitments (peer_ae, address, transaction_uid, request_sha256, instances, count, state, "
                "attempts, failed, reason, requested_at) VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, '', ?) "
                "ON CONFLICT (peer_ae, transaction_uid) DO UPDATE SET address = excluded.address, "
                "instances = excluded.instances, state = excluded.state, attempts = 0",
                (
                    peer_ae,
                    address,
                    transaction_uid,
                    digest,
                    lines,
                    len(instances),
                    CommitmentState.PENDING,
                    self._wall(),
                ),
            )
            row = rows.execute(
                f"SELECT {COLUMNS} FROM commitments WHERE peer_ae = ? AND transaction_uid = ?",
                (peer_ae, transaction_uid),
            ).fetchone()
        return commitment_from_row(row)

    def pending(self) -> list[Commitment]:
        """Requests without an answer, the oldest first."""
        query = f"SELECT {COLUMNS} FROM commitments WHERE state = ? ORDER BY seq"
        return [commitment_from_row(row) for row in self._index.rows(query, (CommitmentState.PENDING,))]

    def instances(self, seq: int) -> list[Instance]:
        """What a pending request asks about."""
        ((lines,),) = self._index.rows("SELECT instances FROM commitments WHERE seq = ?", (seq,))
        return [Instance(*line.split(" ")) for line in lines.splitlines()]

    def answered(self, seq: int, failed: int) -> Commitment:
        """The peer has taken the answer. failed: instances that were not committed to."""
        return self._changed(
            "state = ?, failed = ?, instances = '', reason = ''", (CommitmentState.ANSWERED, failed), seq
        )

    def attempt_failed(self, seq: int, reason: str) -> Commitment:
        """The answer did not reach the peer this time."""
        return self._changed("attempts = attempts + 1, reason = ?", (reason,), seq)

    def given_up(self, seq: int) -> Commitment:
        """The answer is not tried again, unless the peer asks again."""
        return self._changed("state = ?, instances = ''", (CommitmentState.GIVEN_UP,), seq)

    def _changed(self, what: str, values: tuple[str | int, ...], seq: int) -> Commitment:
        with self._index.transaction() as rows:
            rows.execute(f"UPDATE commitments SET {what} WHERE seq = ?", (*values, seq))
            row = rows.execute(f"SELECT {COLUMNS} FROM commitments WHERE seq = ?", (seq,)).fetchone()
        return commitment_from_row(row)


def commitment_from_row(row: Sequence[object]) -> Commitment:
    """A row of COLUMNS."""
    values = dict(zip(COLUMNS.split(", "), row, strict=True))
    return Commitment(**{**values, "state": CommitmentState(values["state"])})  # type: ignore[arg-type]
