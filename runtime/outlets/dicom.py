"""Objects of confirmed studies by C-STORE, and Storage Commitment for them: a record counts as delivered once the
receiver has stored each of its objects and has committed to them.

A repeat has the same UIDs: receivers that have an object already say so, and that is taken as stored. Not for: when a
record is tried again (delivery.py), the network (listener/store_calls.py).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from cathrt.runtime.config import OutletConfig
from cathrt.runtime.listener import statuses
from cathrt.runtime.listener.peer_address import PeerAddress
from cathrt.runtime.listener.store_calls import Called, CallError, NotOfferedError, StoreCall, called
from cathrt.runtime.outlets.address import address_of
from cathrt.runtime.outlets.encryption import calling_context
from cathrt.runtime.outlets.message import Message
from cathrt.runtime.outlets.peer import RefusedError, UnreachableError
from cathrt.runtime.outlets.studies import Studies

_log = logging.getLogger(__name__)

_LATER = (statuses.RESOURCE_LIMITATION,)  # and 0xA7xx, 0xA9xx: it may be taken at another time


class Dicom:
    """One receiver by DICOM. An association for each record."""

    def __init__(self, outlet: OutletConfig, studies: Studies) -> None:
        """Raises ConfigError: the address or a certificate cannot be used."""
        address = address_of(outlet)
        tls = calling_context(outlet) if address.is_encrypted else None
        peer = PeerAddress(address.ae_title, address.host, address.port)
        self._how = Called(peer, outlet.ae_title, outlet.timeout_s, tls)
        self._outlet, self._studies = outlet, studies
        self._call: StoreCall | None = None
        self._aborted = False

    def send(self, message: Message) -> None:
        """Store the objects of the record's study and have them committed to. Raises RefusedError, UnreachableError."""
        objects = self._studies.objects(message, self._outlet.modalities)
        if not objects:
            return
        well = False
        try:
            self._send(objects)
            well = True
        except CallError as exc:
            raise UnreachableError(str(exc), heard=exc.heard and not self._aborted) from exc
        except NotOfferedError as exc:
            raise RefusedError(f"{exc}: leave such objects out with outlets.modalities") from exc
        finally:
            self._call = None
            self._studies.sent(objects, self._how.peer.ae_title, self._how.peer.host, well=well)

    def idle(self) -> bool:
        """Between records nothing is known of the receiver."""
        return False

    def abort(self) -> None:
        """Break the association off."""
        self._aborted = True
        if (call := self._call) is not None:
            with suppress(OSError):
                call.abort()

    def close(self) -> None:
        """Nothing is kept open."""

    def _send(self, objects: Sequence[Any]) -> None:
        """Raises RefusedError, UnreachableError, CallError, NotOfferedError."""
        commitments = self._studies.commitments if self._outlet.commitment else None
        with called(self._how, objects, commitments) as call:
            self._call = call
            for data_set in objects:
                require_stored(call.store(data_set), str(data_set.Modality))
            if commitments is not None:
                self._commit(call, objects)

    def _commit(self, call: StoreCall, objects: Sequence[Any]) -> None:
        try:
            answer = call.ask_to_commit(objects, self._outlet.timeout_s)
        except NotOfferedError as exc:
            raise UnreachableError(f"{exc}: set outlets.commitment = false if it has none") from exc
        if answer is None:
            raise UnreachableError("stored, and not committed to within outlets.timeout_s: asked again", heard=False)
        if answer.failed:
            reasons = ", ".join(sorted({f"0x{reason:04X}" for reason in answer.failed.values()}))
            raise UnreachableError(f"stored, and {len(answer.failed)} objects are not committed to ({reasons})")
        if missing := {str(one.SOPInstanceUID) for one in objects} - answer.committed:
            raise UnreachableError(f"stored, and its report leaves out {len(missing)} objects")


def require_stored(status: int, what: str) -> None:
    """Raises RefusedError, UnreachableError for a status that says that an object was not stored."""
    if statuses.is_stored(status):
        if statuses.is_warning(status):
            _log.warning("a %s object was stored with warning 0x%04X", what, status)
        return
    reason = f"answered 0x{status:04X} to a {what} object"
    if status in _LATER or status >> 8 in (0xA7, 0xA9):
        raise UnreachableError(reason, heard=status >> 8 == 0xA9)
    raise RefusedError(reason)
