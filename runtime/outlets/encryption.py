"""TLS of outlets: 1.2 or later; the receiver shows who it is, by name. Not for: the listener's TLS, which has rules of
its own (listener/tls.py)."""

from __future__ import annotations

import ssl
from pathlib import Path

from cathrt.runtime.config import OutletConfig
from cathrt.runtime.errors import ConfigError


def calling_context(outlet: OutletConfig) -> ssl.SSLContext:
    """For connections that the outlet opens. Raises ConfigError where a file cannot be used.

    Without tls_ca the authorities of the system count.
    """
    if bool(outlet.tls_certificate) != bool(outlet.tls_key):
        missing = "tls_key" if outlet.tls_certificate else "tls_certificate"
        raise ConfigError(f"outlets.{outlet.name}.{missing}: found nothing, expected a file, since the other is given")
    return context_for(outlet.tls_ca, outlet.tls_certificate, outlet.tls_key, f"outlets.{outlet.name}.tls_*")


def context_for(ca: str, certificate: str, key: str, where: str) -> ssl.SSLContext:
    """From PEM files; "" for none. where: what names them, for the ConfigError that is raised."""
    try:
        context = ssl.create_default_context(cafile=Path(ca)) if ca else ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if certificate:
            context.load_cert_chain(Path(certificate), Path(key))
    except OSError as exc:  # ssl.SSLError is one
        raise ConfigError(f"{where}: the certificates cannot be used ({exc}): check the files") from exc
    return context
