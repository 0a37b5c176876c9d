"""Configurations under which the page would be open to more than who should see it.

Not for: files and addresses that cannot be used (page.py).
"""

from __future__ import annotations

import ipaddress

from cathrt.runtime.config import Config
from cathrt.runtime.errors import ConfigError


def require_safe(config: Config) -> None:
    """Raises ConfigError: the page would be open to more than who should see it."""
    settings = config.page
    loopback = _is_loopback(settings.host, "page.host")
    if not loopback and not settings.tls_certificate:
        raise ConfigError(
            f"page.host: found {settings.host}, which other machines reach, and no page.tls_certificate: expected it "
            "and page.tls_key beside it: name them, or choose 127.0.0.1"
        )
    if not settings.demo:
        return
    if not loopback or not _is_loopback(config.listener.host, "listener.host"):
        raise ConfigError(
            f"page.demo: found true, with page.host {settings.host} and listener.host {config.listener.host}, expected "
            "127.0.0.1 for both: in a demonstration nobody logs in, so nobody else's pictures may get there"
        )
    if real := [source.name for source in config.sources if source.kind != "phantom"]:
        raise ConfigError(
            f"page.demo: found true, and the source {real[0]!r}, which is no phantom: expected phantoms alone: take "
            "page.demo out, and add users by `cathrt user add`"
        )
    if settings.proxy_addresses:
        raise ConfigError(
            "page.demo: found true, and page.proxy_addresses: in a demonstration nobody is let in by name"
        )


def _is_loopback(host: str, key: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError as exc:
        raise ConfigError(f"{key}: found {host!r}, expected an address such as 127.0.0.1") from exc
