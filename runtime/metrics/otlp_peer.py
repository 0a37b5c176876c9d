"""The OTLP receivers of the configuration: where they are, and what an exporter of the SDK is made with to reach them.

Plain HTTP goes to this machine alone. Nothing is read from environment variables. Not for: what is sent (otlp.py,
otlp_spans.py).
"""

from __future__ import annotations

import ipaddress
import logging
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cathrt.runtime.config import MetricsConfig
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.outside.secret_file import secret_from

TIMEOUT_S = 5.0


def exporter_arguments(settings: MetricsConfig, key: str, path: str) -> dict[str, Any]:
    """What an exporter is made with for the address of that key. path: where the address names none.

    Raises ConfigError: the address asks for what is not configured, or the extra is not installed.
    """
    try:
        import requests
        from opentelemetry.exporter.otlp.proto.http import Compression
    except ImportError as exc:
        raise ConfigError(f"metrics.{key}: OpenTelemetry is not installed ({exc}): pip install '.[otel]'") from exc
    endpoint = _endpoint(getattr(settings, key), key, path)
    token = secret_from(Path(settings.otlp_token_file), "metrics.otlp_token_file") if settings.otlp_token_file else ""
    session = requests.Session()
    session.trust_env = False  # no proxies and no .netrc
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it logs each try; we say it once
    return {
        "endpoint": endpoint,
        "certificate_file": settings.otlp_ca or None,
        "headers": {"authorization": f"Bearer {token}"} if token else {},
        "timeout": TIMEOUT_S,
        "compression": Compression.Gzip,
        "session": session,
    }


class TakenOrNot:
    """Says when a receiver begins to take nothing, and when it takes again; that it works at once is no news."""

    def __init__(self, address: str, what: str, log: logging.Logger) -> None:
        self._address, self._what, self._log = address, what, log
        self._taken: bool | None = None

    def saw(self, *, taken: bool) -> None:
        """One more was sent."""
        if taken is not self._taken and not (taken and self._taken is None):
            self._log.warning("%s %s %s", self._address, "takes" if taken else "does not take", self._what)
        self._taken = taken


def _endpoint(address: str, key: str, path: str) -> str:
    found = urlsplit(address)
    if found.scheme not in ("http", "https") or not found.hostname or found.query or found.username:
        raise ConfigError(f"metrics.{key}: found {address!r}, expected an address such as http://127.0.0.1:4318")
    if found.scheme == "http" and not _is_this_machine(found.hostname):
        raise ConfigError(
            f"metrics.{key}: found {address}, expected https for another machine: all would go over the network in "
            "plain"
        )
    return address if found.path not in ("", "/") else address.rstrip("/") + path


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
