"""Who gets in at the gateway's HTTP: a token, TLS, and the names under which it may be asked for.

On a loopback address it needs neither token nor TLS; on any other it needs both. Not for: what is answered (app.py).
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from starlette.datastructures import Headers

from cathrt.runtime.config import FeedConfig
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.gateway.stream import RefusedError
from cathrt.runtime.outside.secret_file import secret_from

_BEARER = "bearer "


@dataclass(frozen=True, slots=True)
class Doors:
    """What a request must bring. token_sha256: of the token; None: none is asked for. tls: None: plain HTTP.

    names: host names and addresses under which other machines may ask, beside the loopback's.
    """

    token_sha256: bytes | None = None
    tls: ssl.SSLContext | None = None
    names: frozenset[str] = frozenset()

    def require_host(self, host: str) -> None:
        """Raises RefusedError: a browser sends a page's requests under the page's own host name, wherever it leads."""
        name = name_in(host).lower()
        if not is_loopback_host(host) and self.names.isdisjoint((name, f"*.{name.partition('.')[2]}")):
            or_named = ", or a name of the certificate (feed.tls_certificate)" if self.tls else ""
            raise RefusedError(
                421, f"found the host {host[:60]!r}, expected localhost or a loopback address{or_named}: ask by one"
            )

    def require_token(self, headers: Headers) -> None:
        """Raises RefusedError. How long it takes says nothing of the token."""
        if self.token_sha256 is None:
            return
        given = headers.get("authorization", "")
        shown = given[len(_BEARER) :].encode("utf-8", "surrogatepass") if given.lower().startswith(_BEARER) else b""
        if not hmac.compare_digest(hashlib.sha256(shown).digest(), self.token_sha256):
            raise RefusedError(
                401,
                "found no such token, expected `Authorization: Bearer TOKEN` with the token of feed.token_file",
            )


def doors_from(settings: FeedConfig) -> Doors:
    """The doors of an address. Raises ConfigError: the address asks for more than is configured, or it is unusable."""
    try:
        address = ipaddress.ip_address(settings.host)
    except ValueError as exc:
        raise ConfigError(f"feed.host: found {settings.host!r}, expected an address such as 127.0.0.1") from exc
    given = {name: getattr(settings, name) for name in ("token_file", "tls_certificate", "tls_key")}
    if not address.is_loopback and (missing := [name for name, value in given.items() if not value]):
        raise ConfigError(
            f"feed.host: found {settings.host}, which other machines reach, and no feed.{missing[0]}: expected all of "
            f"{', '.join(f'feed.{name}' for name in given)} beside it: name them, or choose 127.0.0.1"
        )
    tls, names = tls_from(settings.tls_certificate, settings.tls_key, "feed")
    token = secret_from(Path(settings.token_file), "feed.token_file") if settings.token_file else None
    return Doors(
        token_sha256=None if token is None else hashlib.sha256(token.encode()).digest(),
        tls=tls,
        names=names,
    )


def tls_from(certificate: str, key: str, section: str) -> tuple[ssl.SSLContext | None, frozenset[str]]:
    """TLS as the keys of a section of the configuration have it, and the names that the certificate is for.

    None and no names where neither file is named. Raises ConfigError.
    """
    if bool(certificate) != bool(key):
        alone = "tls_key" if certificate else "tls_certificate"
        raise ConfigError(f"{section}.{alone}: found nothing, expected a file, since TLS needs certificate and key")
    if not certificate:
        return None, frozenset()
    return _context(certificate, key, section), _names_of(Path(certificate), section)


def is_loopback_host(host: str) -> bool:
    """Whether a Host header names this machine, by a name that no other machine can have."""
    name = name_in(host)
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def name_in(host: str) -> str:
    """A Host header without its port."""
    name, colon, port = host.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit():
        name = host
    return name.removeprefix("[").removesuffix("]")


def _context(certificate: str, key: str, section: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
        raise ConfigError(
            f"{section}.tls_certificate, {section}.tls_key: cannot be used ({exc}): expected a PEM certificate and its "
            "key, which has no password"
        ) from exc
    return context


def _no_password() -> str:
    """Or OpenSSL would ask on the terminal for that of a key which has one."""
    return ""


def _names_of(certificate: Path, section: str) -> frozenset[str]:
    """The names and addresses that the first certificate of the file is for."""
    try:
        found = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound) as exc:
        raise ConfigError(
            f"{section}.tls_certificate: {certificate} has no subjectAltName ({exc}), expected the names and addresses "
            f"under which the {section} is asked for: make a certificate that has them"
        ) from exc
    hosts = names.get_values_for_type(x509.DNSName)
    return frozenset(name.lower() for name in (*hosts, *map(str, names.get_values_for_type(x509.IPAddress))))
