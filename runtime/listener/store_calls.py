"""Calls to another storage service: C-STORE of objects, and Storage Commitment on the same association (PS3.4 B, J).

Not for: what an answer means to who sends (outlets/dicom.py, listener/send.py), being called (scp.py).
"""

from __future__ import annotations

import ssl
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context

from cathrt.runtime.errors import CathrtError
from cathrt.runtime.listener import statuses
from cathrt.runtime.listener.commitments_asked import Answer, CommitmentsAsked
from cathrt.runtime.listener.peer_address import PeerAddress, require_reachable
from cathrt.runtime.listener.sop_classes import LITTLE, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
from cathrt.runtime.sources.dicom.part10 import EXPLICIT_LITTLE

_REQUEST_COMMITMENT = 1  # Action Type ID
_ANSWER_S = 2.0  # for the answer to a report to be sent


class CallError(CathrtError):
    """A service was not reached, or broke off. heard: it was there."""

    def __init__(self, reason: str, *, heard: bool = False) -> None:
        super().__init__(reason)
        self.heard = heard


class NotOfferedError(CathrtError):
    """The service has no presentation context for it."""


@dataclass(frozen=True, slots=True)
class Called:
    """Who is called, and how. calling_ae: our own title. timeout_s: of each step. tls: None for a plain connection."""

    peer: PeerAddress
    calling_ae: str
    timeout_s: float
    tls: ssl.SSLContext | None = None


class StoreCall:
    """One association; all but abort() is for one thread."""

    def __init__(self, association: Any, commitments: CommitmentsAsked, reports: _Reports) -> None:
        self._association, self._commitments, self._reports = association, commitments, reports

    def store(self, data_set: Dataset) -> int:
        """C-STORE one object. Returns the status. Raises CallError, NotOfferedError."""
        try:
            answer = self._association.send_c_store(with_meta(data_set))
        except RuntimeError as exc:  # the association is over
            raise CallError(f"the association ended ({exc})", heard=True) from exc
        except ValueError as exc:
            raise NotOfferedError(f"takes no {data_set.SOPClassUID.name} in {_syntax_of(data_set)}") from exc
        return _status_of(answer)

    def ask_to_commit(self, data_sets: Sequence[Dataset], within_s: float) -> Answer | None:
        """Request Storage Commitment and wait for the report; None where it has not come yet.

        It may still come: on this association, on the next one, or on one that the service opens to our listener.
        Raises CallError, NotOfferedError.
        """
        transaction_uid = f"2.25.{uuid.uuid4().int}"
        self._commitments.ask(transaction_uid, [data_set.SOPInstanceUID for data_set in data_sets])
        try:
            status = self._request(transaction_uid, data_sets)
        except BaseException:
            self._commitments.forget(transaction_uid)
            raise
        if status != statuses.SUCCESS:
            self._commitments.forget(transaction_uid)
            raise CallError(f"answered 0x{status:04X} to the request for storage commitment", heard=True)
        answer = self._commitments.answer(transaction_uid, within_s)
        self._reports.wait()
        return answer

    def abort(self) -> None:
        """Break it off; from any thread."""
        if self._association.is_established:
            self._association.abort()

    def _request(self, transaction_uid: str, data_sets: Sequence[Dataset]) -> int:
        information = Dataset()
        information.TransactionUID = transaction_uid
        information.ReferencedSOPSequence = [_reference(data_set) for data_set in data_sets]
        try:
            answer, _ = self._association.send_n_action(
                information, _REQUEST_COMMITMENT, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
            )
        except RuntimeError as exc:
            raise CallError(f"the association ended ({exc})", heard=True) from exc
        except ValueError as exc:
            raise NotOfferedError("does not offer Storage Commitment") from exc
        return _status_of(answer)


class _Reports:
    """Reports that come on an association: each is answered before the association is released, or pynetdicom's thread
    would send the answer into an association that is ending, and die of it."""

    def __init__(self, commitments: CommitmentsAsked) -> None:
        self._commitments = commitments
        self._answering = False
        self._idle = threading.Event()
        self._idle.set()

    def handlers(self) -> list[Any]:
        """For the association."""
        return [
            (evt.EVT_N_EVENT_REPORT, self._take),
            (evt.EVT_DIMSE_SENT, self._answers),
            (evt.EVT_DATA_SENT, self._answered),
        ]

    def wait(self) -> None:
        """Until the last answer is on its way."""
        self._idle.wait(_ANSWER_S)

    def _take(self, event: Any) -> tuple[int, None]:
        self._idle.clear()
        return self._commitments.take(event)

    def _answers(self, event: Any) -> None:
        self._answering = type(event.message).__name__ == "N_EVENT_REPORT_RSP"

    def _answered(self, _event: Any) -> None:
        if self._answering:
            self._answering = False
            self._idle.set()


@contextmanager
def called(
    how: Called, data_sets: Sequence[Dataset], commitments: CommitmentsAsked | None = None
) -> Iterator[StoreCall]:
    """An association for these objects, until the end of the block.

    commitments: where reports on storage commitment go; None where none is asked for. Raises CallError.
    """
    peer, asked = how.peer, commitments or CommitmentsAsked()
    reports = _Reports(asked)
    try:
        require_reachable(peer.host, peer.port, how.timeout_s)
    except OSError as exc:
        raise CallError(f"{peer}: cannot be reached ({exc.strerror or exc})") from exc
    ae = AE(how.calling_ae)
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = how.timeout_s
    association: Any = ae.associate(
        peer.host,
        peer.port,
        contexts=_contexts(data_sets, with_commitment=commitments is not None),
        ae_title=peer.ae_title,
        tls_args=None if how.tls is None else (how.tls, peer.host),
        evt_handlers=reports.handlers(),
    )
    wrapper = association.dul.socket
    connection = None if wrapper is None else wrapper.socket
    try:
        if not association.is_established:
            raise CallError(f"{peer}: {_why_not(association, how)}", heard=association.is_rejected)
        yield StoreCall(association, asked, reports)
    finally:
        if association.is_established:
            association.release()
        association.kill()
        if connection is not None:
            connection.close()  # which pynetdicom forgets where the other side was first


def with_meta(data_set: Dataset) -> Dataset:
    """The data set with file meta information that says how it is encoded; explicit little endian where it has none."""
    meta = getattr(data_set, "file_meta", None)
    if meta is None or "TransferSyntaxUID" not in meta:
        data_set.file_meta = meta = meta or FileMetaDataset()
        meta.TransferSyntaxUID = EXPLICIT_LITTLE
    meta.MediaStorageSOPClassUID = data_set.SOPClassUID
    meta.MediaStorageSOPInstanceUID = data_set.SOPInstanceUID
    return data_set


def _contexts(data_sets: Sequence[Dataset], *, with_commitment: bool) -> list[Any]:
    """What is proposed: each class as its objects are encoded, and uncompressed ones in both plain forms."""
    wanted: dict[tuple[str, str], None] = {}
    for data_set in data_sets:
        syntax = str(with_meta(data_set).file_meta.TransferSyntaxUID)
        wanted[str(data_set.SOPClassUID), "" if syntax in LITTLE else syntax] = None
    contexts = [build_context(uid, [syntax] if syntax else list(LITTLE)) for uid, syntax in wanted]
    return contexts + ([build_context(STORAGE_COMMITMENT, list(LITTLE))] if with_commitment else [])


def _reference(data_set: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = data_set.SOPClassUID, data_set.SOPInstanceUID
    return item


def _status_of(answer: Dataset) -> int:
    """Raises CallError where there is none: the association was aborted, or the answer did not come in time."""
    found = answer.get("Status")
    if found is None:
        raise CallError("no answer, or none in time", heard=True)
    return int(found)


def _syntax_of(data_set: Dataset) -> str:
    return str(with_meta(data_set).file_meta.TransferSyntaxUID.name)


def _why_not(association: Any, how: Called) -> str:
    if association.is_rejected:
        return f"rejects the association: check the AE titles {how.peer.ae_title} and {how.calling_ae}"
    tls = "TLS, or " if how.tls is not None else ""
    return f"no association: {tls}it breaks off, or takes nothing of what is proposed"
