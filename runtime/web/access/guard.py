"""What a request must be like, whoever asks: its host, where it was made, its size. And the headers of every answer.

Not for: who asks (door.py), limits on connections (connection.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cathrt.runtime.gateway.doors import is_loopback_host, name_in
from cathrt.runtime.web.part.answers import json_answer
from cathrt.runtime.web.part.errors import RefusedError

REQUEST_BYTES = 16 << 10  # request line and headers
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; font-src 'self'; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_HEADERS = {
    b"cache-control": b"no-store",
    b"content-security-policy": _POLICY.encode(),
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=()",
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
}
_SECURE = (b"strict-transport-security", b"max-age=31536000")


class Guard:
    """An ASGI application in front of another. names: under which the page may be asked for, beside the loopback's."""

    def __init__(self, app: ASGIApp, names: Iterable[str], *, tls: bool) -> None:
        self._app, self._names = app, frozenset(name.lower() for name in names)
        self._headers = {**_HEADERS, **dict([_SECURE] if tls else [])}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                given = message["headers"]
                named = {name for name, _ in given}
                more = [header for header in self._headers.items() if header[0] not in named]
                message = {**message, "headers": [*given, *more]}
            await send(message)

        try:
            self._require_allowed(scope, Headers(scope=scope))
        except RefusedError as exc:
            await Refusal(exc)(scope, receive, send_guarded)
        else:
            await self._app(scope, receive, send_guarded)

    def _require_allowed(self, scope: Scope, headers: Headers) -> None:
        size = len(scope["raw_path"]) + len(scope["query_string"])
        size += sum(len(name) + len(value) for name, value in headers.raw)
        if size > REQUEST_BYTES:  # uvicorn holds to this limit only where they come in several pieces
            raise RefusedError(431, f"found {size} bytes of path and headers, expected at most {REQUEST_BYTES}")
        self._require_host(headers.getlist("host"))
        changes = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
        site = headers.get("sec-fetch-site", "none")
        if site not in ("none", "same-origin") and (changes or scope["path"] != "/"):
            raise RefusedError(403, "asked for by a page from elsewhere, expected the page itself: open its address")
        origin = headers.get("origin")
        if changes and origin is not None and not _is_origin(origin, headers["host"]):
            raise RefusedError(403, f"found the origin {origin[:60]!r}, expected the page itself: open its address")

    def _require_host(self, hosts: list[str]) -> None:
        """A browser sends a page's requests under the page's own host name, wherever that name leads."""
        name = name_in(hosts[0]).lower() if len(hosts) == 1 else ""
        if name and (is_loopback_host(hosts[0]) or not self._names.isdisjoint((name, f"*.{name.partition('.')[2]}"))):
            return
        raise RefusedError(
            421,
            f"found the host {name[:60]!r}, expected localhost, a loopback address, a name of the certificate "
            "(page.tls_certificate) or of page.names: ask by one, or add it",
        )


class Refusal:
    """The answer to what is refused, also to a WebSocket that is not accepted yet."""

    def __init__(self, exc: RefusedError) -> None:
        # What is left of the request is not read, so nothing else may follow on this connection.
        self._answer = json_answer({"error": str(exc)}, exc.status, {"connection": "close", **exc.headers})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            headers = self._answer.raw_headers
            await send(
                {"type": "websocket.http.response.start", "status": self._answer.status_code, "headers": headers}
            )
            await send({"type": "websocket.http.response.body", "body": self._answer.body})
        else:
            await self._answer(scope, receive, send)


def _is_origin(origin: str, host: str) -> bool:
    """Whether a page of this origin was loaded from this host. A proxy may have ended TLS, so the scheme may differ."""
    try:
        found = urlsplit(origin)
    except ValueError:
        return False
    return found.scheme in ("http", "https") and found.netloc.lower() == host.lower()
