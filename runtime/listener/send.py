"""Sends a file to a DICOM storage service, as an angiography system would: the phantom as a modality.

Not for: receiving (scp.py).
"""

from __future__ import annotations

from pathlib import Path

from cathrt.runtime.errors import ConfigError, SinkError
from cathrt.runtime.listener import statuses
from cathrt.runtime.listener.peer_address import PeerAddress, peer_address, require_reachable

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
