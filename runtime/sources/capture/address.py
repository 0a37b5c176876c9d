"""Addresses of live sources: what the text in the configuration stands for.

Not for: opening anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from cathrt.runtime.errors import ConfigError


def settings_of(text: str, separator: str, known: Mapping[str, str], where: str) -> dict[str, str]:
    """NAME=VALUE settings. known: each name that may be set, with its default. Raises ConfigError."""
    found = dict(known)
    for setting in text.split(separator):
        name, equals, value = setting.strip().partition("=")
        if not setting.strip():
            continue
        if name not in known or not equals:
            raise ConfigError(f"{where}: found {setting.strip()!r}, expected NAME=VALUE with one of {', '.join(known)}")
        found[name] = value
    return found


def host_and_port(address: str, where: str) -> tuple[str, int]:
    """HOST:PORT, with brackets around a host of IPv6. Raises ConfigError."""
    try:
        parts = urlsplit(f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or "@" in address or parts.netloc != address:
        raise ConfigError(f"{where}: found address {address!r}, expected HOST:PORT, as 192.168.1.20:18944")
    return host, port


def without_password(url: str) -> str:
    """The URL as it may be shown and logged."""
    head, at, tail = url.partition("://")
    user, password, rest = tail.rpartition("@")
    return f"{head}{at}{rest}" if password and "/" not in user else url
