"""The feed's paths, and who may ask: programs and pages of this machine that name it as this machine.

Not for: streams (stream.py), limits on connections (connection.py).
"""

from __future__ import annotations

import asyncio
import html
import ipaddress
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.errors import CathrtError
from cathrt.runtime.gateway.connection import REQUEST_BYTES
from cathrt.runtime.gateway.stream import RefusedError, Streams

_HEADERS = [
    (b"cache-control", b"no-store"),
    (b"connection", b"close"),  # one request a connection: its limits need to hold for one alone
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]


def feed_app(streams: Streams, names: Iterable[str], health: Callable[[], Mapping[str, Any]]) -> Starlette:
    """The ASGI application.

    health: gives what /health shows, with status 503 where its `healthy` is false; called in a thread, since it may
    read files.
    """
    page = _page(names)

    async def show_page(_request: Request) -> Response:
        return HTMLResponse(page)

    async def show_health(_request: Request) -> Response:
        try:
            document = await asyncio.to_thread(health)
        except (CathrtError, OSError) as exc:
            return JSONResponse({"error": str(exc)}, 503)
        return JSONResponse(document, 200 if document.get("healthy", True) else 503)

    routes = [Route("/", show_page), Route("/health", show_health), Route("/feeds/{name}", streams)]
    app = Starlette(
        routes=routes, middleware=[Middleware(_Guard)], exception_handlers={HTTPException: _refused_by_starlette}
    )
    app.router.redirect_slashes = False
    return app


class _Guard:
    """Refuses what no reader on this machine asks for, and puts the same headers on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *_HEADERS]}
            await send(message)

        try:
            _require_allowed(scope["method"], Headers(scope=scope))
        except RefusedError as exc:
            await JSONResponse({"error": str(exc)}, exc.status)(scope, receive, send_guarded)
        else:
            await self._app(scope, receive, send_guarded)


def _require_allowed(method: str, headers: Headers) -> None:
    """Raises RefusedError. A browser sends a page's requests under the page's own host name, wherever that leads."""
    size = sum(len(name) + len(value) for name, value in headers.raw)
    if size > REQUEST_BYTES:  # uvicorn holds to this limit only where they come in several pieces
        raise RefusedError(431, f"found {size} bytes of headers, expected at most {REQUEST_BYTES}: send fewer")
    host = headers.get("host", "")
    if not is_loopback_host(host):
        raise RefusedError(
            421, f"found the host {host[:60]!r}, expected localhost or a loopback address: ask for the feed by one"
        )
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise RefusedError(
            403, "asked for by a page from elsewhere: the feed is for pages and programs of this machine"
        )
    if method != "GET":
        raise RefusedError(405, f"found the method {method[:20]!r}, expected GET: the feed is only read")
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        raise RefusedError(400, "found a body, expected none: send the request alone")


def is_loopback_host(host: str) -> bool:
    """Whether a Host header names this machine, by a name that no other machine can have."""
    name, colon, port = host.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit():
        name = host
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


async def _refused_by_starlette(_request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    message = "no such page: expected /, /health or /feeds/NAME" if exc.status_code == 404 else exc.detail
    return JSONResponse({"error": message}, exc.status_code)


def _page(names: Iterable[str]) -> str:
    items = "".join(
        f'<li><a href="{path}">{path}</a></li>' for path in (*(f"/feeds/{html.escape(n)}" for n in names), "/health")
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>cathrt feed</title>'
        f"<h1>cathrt feed</h1><p>{html.escape(NOTICE)}</p><ul>{items}</ul></html>\n"
    )
