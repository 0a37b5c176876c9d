"""FHIR: the results of a study as one transaction, read back from the server.

What the server has is asked for first, so that an attempt whose answer was lost, or one that comes late, changes
nothing. No redirect is followed, no proxy is used. Not for: when it is tried again (delivery.py), what is in it
(objects/fhir/).
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

from cathrt.runtime.config import OutletConfig
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.objects.fhir.answer import (
    AmbiguousError,
    AnswerError,
    EntryError,
    is_kept,
    outcome_in,
    report_place,
    stored_report,
)
from cathrt.runtime.objects.fhir.elements import Element
from cathrt.runtime.objects.fhir.transaction import Prepared, Stored, prepared, transaction
from cathrt.runtime.objects.results import StudyResults
from cathrt.runtime.objects.said import PatientUnknownError, without_patient
from cathrt.runtime.outlets.address import address_of
from cathrt.runtime.outlets.encryption import calling_context
from cathrt.runtime.outlets.message import Message
from cathrt.runtime.outlets.peer import RefusedError, UnreachableError
from cathrt.runtime.outside.secret_file import secret_from

MOST_BYTES = 4 << 20  # of one answer; one of ours has some hundred short entries
_VERSIONS = {"R4": "4.0", "R5": "5.0"}
# Answers that say something of the address, of the sender or of the moment. Other 4xx are about what was sent.
_NOT_THE_STUDY = (401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 412, 415, 421, 423, 425, 426, 429)
# A report that has changed since it was asked for (409, 412), and faults that this study may bring out.
_MAY_BE_THE_STUDY = (409, 412, 500, 501, 505, 506, 507, 508, 510)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    reason: str
    wait_s: float | None
    body: bytes


class Fhir:
    """One server; the connection is kept. studies: the results that are due for a message; None where there are none.

    The address is the server's base: https://ehr.example/fhir.
    """

    def __init__(self, outlet: OutletConfig, studies: Callable[[Message], StudyResults | None]) -> None:
        """Raises ConfigError: the address, the token or a certificate cannot be used."""
        address = address_of(outlet)
        self._outlet, self._studies, self._base = outlet, studies, address.path.rstrip("/")
        self._aborted = False
        self._quoting: StudyResults | None = None  # whom the server may quote in what it says
        content = f"application/fhir+json; fhirVersion={_VERSIONS[outlet.fhir_version]}"
        self._headers = {"Accept": content, "User-Agent": f"cathrt/{version('cathrt')}"}
        self._posting = {"Content-Type": content, "Prefer": "return=minimal"}
        if outlet.secret_file:
            key = f"outlets.{outlet.name}"
            if not (address.is_encrypted or address.is_local):
                raise ConfigError(f"{key}.address: found http:// to another machine, expected https:// for a token")
            self._headers["Authorization"] = f"Bearer {secret_from(Path(outlet.secret_file), f'{key}.secret_file')}"
        self._connection = (
            HTTPSConnection(address.host, address.port, timeout=outlet.timeout_s, context=calling_context(outlet))
            if address.is_encrypted
            else HTTPConnection(address.host, address.port, timeout=outlet.timeout_s)
        )

    def send(self, message: Message) -> None:
        """Bring the server to the state that is due. Raises RefusedError, UnreachableError."""
        results = self._studies(message)
        if results is None:
            return
        try:
            what = prepared(results, self._outlet.patient_system, self._outlet.fhir_version)
        except PatientUnknownError as exc:
            raise RefusedError(str(exc)) from exc
        self._quoting = results
        try:
            stored = self._stored(what)
            if stored is None or _is_to_replace(stored, what):
                self._store(what, stored, message.id)
        except AmbiguousError as exc:
            raise RefusedError(str(exc)) from exc
        except AnswerError as exc:
            raise UnreachableError(str(exc), heard=True) from exc

    def idle(self) -> bool:
        """Between messages nothing is known of the server."""
        return False

    def abort(self) -> None:
        """Break the connection."""
        self._aborted = True
        if (connected := self._connection.sock) is not None:
            with suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _stored(self, what: Prepared) -> Stored | None:
        """The report of the study that the server has. Raises AnswerError, AmbiguousError."""
        query = quote(what.report_query, safe="=")
        answer = self._asked("GET", f"/DiagnosticReport?{query}", None)
        self._require_done(answer, "the search for the study's report")
        return stored_report(answer.body, what.order)

    def _store(self, what: Prepared, stored: Stored | None, record: str) -> None:
        """Raises AnswerError."""
        sent = transaction(what, stored, record)
        answer = self._asked("POST", "" if self._base else "/", sent)
        self._require_done(answer, "the transaction")
        try:
            place = report_place(answer.body, sent)
        except EntryError as exc:
            raise _not_done(exc.status, self._shown(f"answered {answer.status}, and in it {exc}"), None) from exc
        kept = self._asked("GET", f"/{place}", None)
        self._require_done(kept, f"reading {place.split('/')[0]} back")
        if not is_kept(kept.body, what.order, what.version):
            raise AnswerError("the server said that it stored the report, and does not have it")

    def _asked(self, method: str, path: str, document: Element | None) -> _Answer:
        """One request; a connection that was kept may have ended meanwhile, then it is opened anew."""
        kept = self._connection.sock is not None
        try:
            return self._answered(method, path, document)
        except (OSError, HTTPException) as exc:
            self._connection.close()
            if not kept or isinstance(exc, TimeoutError) or self._aborted:
                raise self._failed(exc) from exc
        try:
            return self._answered(method, path, document)
        except (OSError, HTTPException) as exc:
            self._connection.close()
            raise self._failed(exc) from exc

    def _answered(self, method: str, path: str, document: Element | None) -> _Answer:
        body = None if document is None else json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
        headers = self._headers if body is None else {**self._headers, **self._posting}
        self._connection.request(method, f"{self._base}{path}", body, headers)
        response = self._connection.getresponse()
        answer = response.read(MOST_BYTES)
        if not response.isclosed():  # there is more of it
            self._connection.close()
            raise HTTPException(f"an answer of more than {MOST_BYTES} bytes")
        return _Answer(response.status, response.reason, _asked_to_wait(response), answer)

    def _require_done(self, answer: _Answer, what: str) -> None:
        if not 200 <= answer.status < 300:
            said = f"{what} was answered with {answer.status} {answer.reason}: {outcome_in(answer.body)}"
            raise _not_done(answer.status, self._shown(said), answer.wait_s)

    def _failed(self, exc: OSError | HTTPException) -> UnreachableError:
        heard = not isinstance(exc, ConnectionRefusedError | socket.gaierror | TimeoutError)
        return UnreachableError(self._shown(f"{type(exc).__name__}: {exc}"), heard=heard)

    def _shown(self, said: str) -> str:
        return said if self._quoting is None else without_patient(self._quoting, said)


def _is_to_replace(stored: Stored, what: Prepared) -> bool:
    """Whether ours is another version than the server's, and not an older one."""
    return stored.version is None or (stored.version != what.version and not stored.version.is_later_than(what.version))


def _not_done(status: int, said: str, wait_s: float | None) -> RefusedError | UnreachableError:
    if 300 <= status < 400:
        return UnreachableError(f"{said}: redirects are not followed: give the address that it leads to")
    if 400 <= status < 500 and status not in _NOT_THE_STUDY:
        return RefusedError(said)
    return UnreachableError(said, wait_s=wait_s, heard=status in _MAY_BE_THE_STUDY)


def _asked_to_wait(response: HTTPResponse) -> float | None:
    """Retry-After in seconds; its other form, a date, is not read."""
    asked = response.getheader("retry-after", "").strip()
    return float(asked) if asked.isascii() and asked.isdigit() and len(asked) < 9 else None
