"""Where an outlet delivers to: its address, taken apart and checked. It comes from the configuration and nowhere else.

Not for: connecting.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from cathrt.runtime.config import OutletConfig
from cathrt.runtime.errors import ConfigError

_SCHEMES = {
    "webhook": {"https": 443, "http": 80},
    "mqtt": {"mqtts": 8883, "mqtt": 1883},
    "dicom": {"dicoms": 2762, "dicom": 104},
    "stow": {"https": 443, "http": 80},
    "fhir": {"https": 443, "http": 80},
    "hl7": {"mllps": 2575, "mllp": 2575},
    "syslog": {"syslog+tls": 6514, "syslog+tcp": 514, "syslog+udp": 514},
}
_ENCRYPTED = ("https", "mqtts", "syslog+tls", "dicoms", "mllps")
_WITH_PATH = ("webhook", "stow", "fhir")


@dataclass(frozen=True, slots=True)
class Address:
    """path: with its query, of HTTP; "" else. ae_title: of DICOM; "" else."""

    scheme: str
    host: str
    port: int
    path: str
    ae_title: str = ""

    @property
    def is_encrypted(self) -> bool:
        """Whether the connection has TLS."""
        return self.scheme in _ENCRYPTED

    @property
    def is_local(self) -> bool:
        """Whether what is sent there stays on this machine, by an address that no other machine can have."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def address_of(outlet: OutletConfig) -> Address:
    """The address of an outlet. Raises ConfigError naming its key."""
    return address_from(outlet.address, outlet.kind, f"outlets.{outlet.name}.address")


def address_from(text: str, kind: str, key: str) -> Address:
    """kind: of outlet. key: of the configuration, for the ConfigError that is raised."""
    schemes = _SCHEMES[kind]
    expected = f"expected {' or '.join(f'{scheme}://HOST:PORT' for scheme in schemes)} for a {kind}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as exc:
        raise ConfigError(f"{key}: {exc}, {expected}") from exc
    if parts.password is not None or (parts.username is not None and kind != "dicom"):
        raise ConfigError(f"{key}: found a user or a password in it: give `user`, and the password in `secret_file`")
    if parts.scheme not in schemes or not parts.hostname or parts.fragment:
        raise ConfigError(f"{key}: found {text!r}, {expected}")
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    ae_title = unquote(parts.username or "").strip()
    if kind == "dicom" and not (0 < len(ae_title) <= 16 and ae_title.isascii()):
        raise ConfigError(f"{key}: found {text!r}, expected dicoms://AE_TITLE@HOST:PORT")
    if kind in _WITH_PATH:
        path = path if path.startswith("/") else f"/{path}"
        if not path.isascii() or " " in path:
            raise ConfigError(f"{key}: found the path {path!r}, expected it percent-encoded")
    elif path.strip("/"):
        raise ConfigError(f"{key}: found the path {path!r}, {expected}")
    else:
        path = ""
    return Address(parts.scheme, parts.hostname, port or schemes[parts.scheme], path, ae_title)
