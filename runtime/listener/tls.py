"""TLS of the listener: 1.2 or later, both sides with a certificate (PS3.15 B.12). Not for: plain ports."""

from __future__ import annotations

import ssl
from pathlib import Path

from cathrt.runtime.config import ListenerConfig
from cathrt.runtime.errors import ConfigError


def accepting(settings: ListenerConfig) -> ssl.SSLContext | None:
    """For connections that peers open; None where nothing is configured. Raises ConfigError."""
    return _context(settings, ssl.PROTOCOL_TLS_SERVER)


def calling(settings: ListenerConfig) -> ssl.SSLContext | None:
    """For connections that we open; None where nothing is configured. Raises ConfigError.

    A peer shows who it is by a certificate of the configured authorities; names in it are not compared, since the
    certificates of modalities rarely have any.
    """
    return _context(settings, ssl.PROTOCOL_TLS_CLIENT)


def _context(settings: ListenerConfig, protocol: int) -> ssl.SSLContext | None:
    given = {name: getattr(settings, name) for name in ("tls_certificate", "tls_key", "tls_ca")}
    if not any(given.values()):
        return None
    if missing := [name for name, value in given.items() if not value]:
        raise ConfigError(
            f"listener.{missing[0]}: found nothing, expected a file, since TLS needs all of {list(given)}"
        )
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_cert_chain(Path(settings.tls_certificate), Path(settings.tls_key))
        context.load_verify_locations(Path(settings.tls_ca))
    except OSError as exc:  # ssl.SSLError is one
        raise ConfigError(f"listener.tls_*: the certificates cannot be used ({exc}): check the three files") from exc
    return context
