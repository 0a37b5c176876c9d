"""Addresses of peers as DICOM tools write them, AE@HOST:PORT. Not for: associations."""

from __future__ import annotations

import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """An application entity: AE title, host and TCP port."""

    ae_title: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.ae_title}@{self.host}:{self.port}"


def peer_address(text: str) -> PeerAddress:
    """Read one address; an IPv6 host may stand in brackets. Raises ValueError with the text that is none."""
    title, _, place = text.rpartition("@")
    host, _, port = place.rpartition(":")
    if not (title.strip() and len(title) <= 16 and host and port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError(text)
    return PeerAddress(title.strip(), host.removeprefix("[").removesuffix("]"), int(port))


def require_reachable(host: str, port: int, within_s: float) -> None:
    """Raises OSError where nothing takes connections there.

    To be asked before pynetdicom connects: it does not say why it cannot, and then forgets to close the socket.
    """
    socket.create_connection((host, port), within_s).close()
