"""Sends files and data sets to a DICOM storage service: the phantom as a modality, and whatever a person sends by hand.

Not for: receiving (scp.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cathrt.runtime.errors import ConfigError, SinkError
from cathrt.runtime.listener import statuses
from cathrt.runtime.listener.peer_address import PeerAddress, peer_address, require_reachable

if TYPE_CHECKING:
    from cathrt.runtime.listener.store_calls import Called

CALLING_AE = "CATHRT-PHANTOM"
_WAIT_S = 30.0


def service_from(text: str) -> PeerAddress:
    """Of "AE@HOST:PORT". Raises ConfigError."""
    try:
        return peer_address(text)
    except ValueError as exc:
        raise ConfigError(f"{text!r}: expected AE@HOST:PORT, such as CATHRT@127.0.0.1:11112") from exc


def send_file(path: Path, service: PeerAddress) -> None:
    """Store one DICOM file (C-STORE). Returns once the service has confirmed it. Raises SinkError."""
    from pydicom import dcmread
    from pynetdicom import AE

    data_set = dcmread(path)
    ae = AE(CALLING_AE)
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = _WAIT_S
    ae.add_requested_context(data_set.SOPClassUID, data_set.file_meta.TransferSyntaxUID)
    try:
        require_reachable(service.host, service.port, _WAIT_S)
    except OSError as exc:
        raise SinkError(f"{service}: cannot be reached ({exc.strerror or exc}): check that it listens there") from exc
    association = ae.associate(service.host, service.port, ae_title=service.ae_title)
    if not association.is_established:
        raise SinkError(f"{service}: no association: check its AE title, and that it lets {CALLING_AE} in")
    try:
        if not association.accepted_contexts:
            raise SinkError(f"{service}: does not take {path.name} ({data_set.file_meta.TransferSyntaxUID.name})")
        status = association.send_c_store(data_set)
    finally:
        association.release()
    found = status.get("Status")
    if found != statuses.SUCCESS:
        answer = "no answer" if found is None else f"0x{found:04X}"
        raise SinkError(f"{service}: answered {answer} to {path.name}, expected 0x0000: see what it logs")


@dataclass(frozen=True, slots=True)
class Sent:
    """One object. status: of the answer; None where there was none. committed: the service answers for it from now on;
    None where it was not asked. error: why it was not taken, or not committed to."""

    name: str
    sop_instance_uid: str
    taken: bool
    status: int | None
    committed: bool | None = None
    error: str = ""


def send_all(objects: Sequence[tuple[str, Any]], how: Called, *, commit: bool) -> Iterator[Sent]:
    """Store each (C-STORE) on one association; objects: names and data sets. What is refused does not stop the others.

    commit: ask for storage commitment at the end. Raises SinkError where the service is not reached or breaks off.
    """
    from cathrt.runtime.listener.commitments_asked import CommitmentsAsked
    from cathrt.runtime.listener.store_calls import CallError, NotOfferedError, called

    data_sets = [data_set for _, data_set in objects]
    try:
        with called(how, data_sets, CommitmentsAsked() if commit else None) as call:
            sent = []
            for name, data_set in objects:
                uid = str(data_set.SOPInstanceUID)
                try:
                    status = call.store(data_set)
                except NotOfferedError as exc:
                    sent.append(Sent(name, uid, False, None, error=str(exc)))
                    continue
                taken = statuses.is_stored(status)
                sent.append(Sent(name, uid, taken, status, error="" if taken else f"answered 0x{status:04X}"))
            if not commit:
                yield from sent
                return
            stored = [
                one
                for one in data_sets
                if any(each.taken and each.sop_instance_uid == one.SOPInstanceUID for each in sent)
            ]
            answer = call.ask_to_commit(stored, how.timeout_s)
    except (CallError, NotOfferedError) as exc:
        raise SinkError(f"{how.peer}: {exc}") from exc
    for one in sent:
        committed = answer is not None and one.sop_instance_uid in answer.committed
        why = one.error or ("" if committed else "stored, and not committed to")
        yield Sent(one.name, one.sop_instance_uid, one.taken and committed, one.status, committed, why)
