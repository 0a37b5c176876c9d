"""The receiver of the audit trail, as it is configured: `[audit]`.

It is no outlet: its messages come from no journal, and nothing waits for it. Not for: sending (audit/forwarding.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cathrt.runtime.audit.forwarding import Forwarding
from cathrt.runtime.config import AuditConfig
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.outlets.address import address_from
from cathrt.runtime.outlets.encryption import context_for
from cathrt.runtime.outlets.syslog_connection import SyslogConnection

_TIMEOUT_S = 10.0  # of one attempt
_TLS = ("tls_ca", "tls_certificate", "tls_key")


@contextmanager
def forwarding_to(settings: AuditConfig) -> Iterator[Forwarding | None]:
    """Sends until the end of the block, and some moments longer what is left; None where there is no receiver.

    Raises ConfigError as connection_to().
    """
    connection = connection_to(settings)
    if connection is None:
        yield None
        return
    forwarding = Forwarding(connection)
    try:
        yield forwarding
    finally:
        forwarding.close()


def connection_to(settings: AuditConfig) -> SyslogConnection | None:
    """Connects to nothing yet. Raises ConfigError: the address or a certificate cannot be used."""
    if not settings.address:
        if given := [name for name in _TLS if getattr(settings, name)]:
            raise ConfigError(f"audit.{given[0]}: expected only with audit.address: set that, or remove this")
        return None
    address = address_from(settings.address, "syslog", "audit.address")
    if not address.is_encrypted:
        if given := [name for name in _TLS if getattr(settings, name)]:
            raise ConfigError(f"audit.{given[0]}: expected only for an address with TLS: change audit.address")
        return SyslogConnection(address, None, _TIMEOUT_S)
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        missing = "tls_key" if settings.tls_certificate else "tls_certificate"
        raise ConfigError(f"audit.{missing}: found nothing, expected a file, since the other is given")
    tls = context_for(settings.tls_ca, settings.tls_certificate, settings.tls_key, "audit.tls_*")
    return SyslogConnection(address, tls, _TIMEOUT_S)
