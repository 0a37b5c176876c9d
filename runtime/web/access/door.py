"""Who asks: a browser with a session's cookie, somebody whom a reverse proxy names, or anybody in a demonstration.

Not for: beginning a session (login.py), what a request must be like whoever asks (guard.py).
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

from cathrt.runtime.config import PageConfig
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.web.access.sessions import Held, Sessions
from cathrt.runtime.web.access.users_file import User
from cathrt.runtime.web.part.errors import RefusedError
from cathrt.runtime.web.part.session import Role, Session

CSRF_HEADER = "x-csrf"
_COOKIE = "cathrt_session"
_NETWORKS = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Entered:
    """Who asks. held: the session, where there is one. csrf: what a change has to show; "" for nobody."""

    session: Session
    csrf: str = ""
    held: Held | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def require_csrf(self, connection: HTTPConnection) -> None:
        """Raises RefusedError: what would change something does not come from the page itself."""
        if not hmac.compare_digest(connection.headers.get(CSRF_HEADER, "").encode(), self.csrf.encode()):
            raise RefusedError(
                403, "found no right X-CSRF header, expected the `csrf` of GET /api/session: load the page again"
            )


class Door:
    """For one event loop. tls: whether the cookie is for TLS alone. users: by name; renewed as the file changes."""

    def __init__(self, settings: PageConfig, sessions: Sessions, *, tls: bool) -> None:
        """Raises ConfigError."""
        self._demo, self._header = settings.demo, settings.proxy_user_header.lower()
        self._proxies = _networks(settings)
        self._sessions, self.is_tls = sessions, tls
        self._nobodys_end = asyncio.Event()
        self.users: Mapping[str, User] = {}

    @property
    def cookie(self) -> str:
        """Its name. With the prefix, a browser takes it from this host over TLS alone."""
        return f"__Host-{_COOKIE}" if self.is_tls else _COOKIE

    def who(self, connection: HTTPConnection) -> Entered:
        """Who asks; somebody of Role.ANYBODY where that is not known. Raises RefusedError: it claims too much."""
        address = address_of(connection)
        if self._demo:
            session = Session("demo", "demo", "Demo", Role.OPERATOR, address, demo=True)
            return Entered(session, self._sessions.csrf_of_nobody(), ended=self._nobodys_end)
        if self.is_proxy(address):
            return entered_by(self._of_proxy(connection, address), address)
        token = self.token_of(connection)
        return entered_by(None if token is None else self._sessions.of_token(token), address)

    def is_proxy(self, address: str) -> bool:
        """Whether what comes from there is for others, whom it names."""
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._proxies)

    def token_of(self, connection: HTTPConnection) -> str | None:
        """What the browser shows; None where it shows nothing."""
        return connection.cookies.get(self.cookie)

    def end_all(self) -> None:
        """Let all streams end."""
        self._nobodys_end.set()
        self._sessions.end_all()

    def _of_proxy(self, connection: HTTPConnection, address: str) -> Held | None:
        named = connection.headers.getlist(self._header)
        if not named:
            return None
        user = self.users.get(named[0]) if len(named) == 1 else None
        if user is None:
            raise RefusedError(
                403, "found a user of the proxy who is not in page.users_file, expected a line there: add `NAME:ROLE:-`"
            )
        return self._sessions.of_proxy(user, address)


def entered_by(held: Held | None, address: str) -> Entered:
    """Who has the session; somebody of Role.ANYBODY where there is none."""
    if held is None:
        return Entered(Session("", "", "", Role.ANYBODY, address))
    return Entered(held.session, held.csrf, held, held.ended)


def address_of(connection: HTTPConnection) -> str:
    """Where a request comes from; "" where the system does not say."""
    return connection.client.host if connection.client is not None else ""


def _networks(settings: PageConfig) -> list[_NETWORKS]:
    if bool(settings.proxy_addresses) != bool(settings.proxy_user_header):
        alone = "proxy_user_header" if settings.proxy_addresses else "proxy_addresses"
        raise ConfigError(
            f"page.{alone}: found nothing, expected proxy_addresses and proxy_user_header together: a header alone "
            "would let in whoever sends it"
        )
    try:
        return [ipaddress.ip_network(address) for address in settings.proxy_addresses]
    except ValueError as exc:
        raise ConfigError(f"page.proxy_addresses: {exc}, expected addresses or networks such as 10.0.0.5/32") from exc
