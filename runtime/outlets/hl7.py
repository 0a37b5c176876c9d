"""HL7 v2: the results of a study as one ORU^R01 over MLLP, acknowledged by the receiver's application.

A repeat has the same control id and the same bytes. Not for: when it is tried again (delivery.py), what is in it
(objects/hl7/).
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from cathrt.runtime.config import OutletConfig
from cathrt.runtime.objects.hl7.acknowledgement import NoAcknowledgementError, acknowledgement_from
from cathrt.runtime.objects.hl7.mllp import MllpConnection
from cathrt.runtime.objects.hl7.result_message import Correspondents, control_id, result_message
from cathrt.runtime.objects.hl7.text import CharsetError
from cathrt.runtime.objects.results import StudyResults
from cathrt.runtime.objects.said import PatientUnknownError, without_patient
from cathrt.runtime.outlets.address import address_of
from cathrt.runtime.outlets.encryption import calling_context
from cathrt.runtime.outlets.message import Message
from cathrt.runtime.outlets.peer import RefusedError, UnreachableError


class Hl7:
    """One receiver. studies: the results that are due for a message; None where there are none."""

    def __init__(self, outlet: OutletConfig, studies: Callable[[Message], StudyResults | None]) -> None:
        """Raises ConfigError: the address or a certificate cannot be used."""
        address, self._studies = address_of(outlet), studies
        self._between = Correspondents(
            sending_facility=outlet.sending_facility,
            receiving_application=outlet.receiving_application,
            receiving_facility=outlet.receiving_facility,
            authority=outlet.patient_system,
            names=outlet.names,
            processing=outlet.processing,
            charset=outlet.charset,
        )
        tls = calling_context(outlet) if address.is_encrypted else None
        self._connection = MllpConnection(address.host, address.port, outlet.timeout_s, tls)

    def send(self, message: Message) -> None:
        """Send the study's results. Raises RefusedError, UnreachableError."""
        results = self._studies(message)
        if results is None:
            return
        try:
            text = result_message(results, message.id, self._between)
        except (PatientUnknownError, CharsetError) as exc:
            raise RefusedError(str(exc)) from exc
        self._require_taken(self._exchanged(text), control_id(message.id), results)

    def idle(self) -> bool:
        """Notice that the receiver has closed the connection: many do where nothing was sent for a while."""
        try:
            self._connection.require_quiet()
        except OSError:
            return False
        return self._connection.is_open

    def abort(self) -> None:
        """Break the connection."""
        self._connection.abort()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _exchanged(self, text: bytes) -> bytes:
        self.idle()  # a connection that has ended is opened anew
        try:
            return self._connection.exchange(text)
        except OSError as exc:
            heard = not isinstance(exc, ConnectionRefusedError | socket.gaierror | TimeoutError)
            raise UnreachableError(f"{type(exc).__name__}: {exc}", heard=heard) from exc

    def _require_taken(self, answer: bytes, expected: str, results: StudyResults) -> None:
        try:
            found = acknowledgement_from(answer)
        except NoAcknowledgementError as exc:
            self._connection.close()
            raise UnreachableError(str(exc), heard=True) from exc
        if found.control_id != expected:
            self._connection.close()  # what comes next on it may be of another message too
            acknowledged = without_patient(results, found.control_id[:40])
            raise UnreachableError(
                f"acknowledged {acknowledged!r}, expected {expected}, the message that was sent", heard=True
            )
        if found.accepts:
            return
        reason = without_patient(results, f"answered {found.code} {found.error} {found.said}".rstrip())
        if found.is_of_the_message:
            raise RefusedError(reason)
        raise UnreachableError(reason, heard=not found.is_of_all)
