"""The paths of the gateway's HTTP, and what a request must be like.

Not for: who gets in (doors.py), streams (stream.py), limits on connections (connection.py).
"""

from __future__ import annotations

import asyncio
import html
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from cathrt.runtime.gateway.doors import Doors
from cathrt.runtime.gateway.stream import RefusedError, Streams
from cathrt.runtime.metrics.family import Family
from cathrt.runtime.metrics.negotiation import page_for

_HEADERS = [
    (b"cache-control", b"no-store"),
    (b"connection", b"close"),  # one request a connection: its limits need to hold for one alone
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]


def feed_app(
    streams: Streams,
    names: Iterable[str],
    health: Callable[[], Mapping[str, Any]],
    metrics: Callable[[], Sequence[Family]],
    doors: Doors,
) -> Starlette:
    """The ASGI application.

    health: gives what /health shows, with status 503 where its `healthy` is false. metrics: what /metrics shows. Both
    are called in a thread, since they may read files.
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

    async def show_metrics(request: Request) -> Response:
        try:
            families = await asyncio.to_thread(metrics)
        except (CathrtError, OSError) as exc:
            return JSONResponse({"error": str(exc)}, 503)
        content, content_type = page_for(request.headers.get("accept", ""), families)
        return Response(content, headers={"content-type": content_type, "vary": "accept"})

    routes = [
        Route("/", show_page),
        Route("/health", show_health),
        Route("/metrics", show_metrics),
        Route("/feeds/{name}", streams),
    ]
    guard = Middleware(_Guard, doors=doors)
    app = Starlette(routes=routes, middleware=[guard], exception_handlers={HTTPException: _refused_by_starlette})
    app.router.redirect_slashes = False
    return app


class _Guard:
    """Refuses what no reader that may come in asks for, and puts the same headers on every answer."""

    def __init__(self, app: ASGIApp, doors: Doors) -> None:
        self._app, self._doors = app, doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *_HEADERS]}
            await send(message)

        try:
            _require_allowed(scope["method"], Headers(scope=scope), self._doors)
        except RefusedError as exc:
            more = {"www-authenticate": "Bearer"} if exc.status == 401 else None
            await JSONResponse({"error": str(exc)}, exc.status, more)(scope, receive, send_guarded)
        else:
            await self._app(scope, receive, send_guarded)


def _require_allowed(method: str, headers: Headers, doors: Doors) -> None:
    """Raises RefusedError."""
    size = sum(len(name) + len(value) for name, value in headers.raw)
    if size > REQUEST_BYTES:  # uvicorn holds to this limit only where they come in several pieces
        raise RefusedError(431, f"found {size} bytes of headers, expected at most {REQUEST_BYTES}: send fewer")
    doors.require_host(headers.get("host", ""))
    doors.require_token(headers)
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise RefusedError(403, "asked for by a page from elsewhere: the feed is for programs, and pages of its own")
    if method != "GET":
        raise RefusedError(405, f"found the method {method[:20]!r}, expected GET: the feed is only read")
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        raise RefusedError(400, "found a body, expected none: send the request alone")


async def _refused_by_starlette(_request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    message = "no such page: expected /, /health, /metrics or /feeds/NAME" if exc.status_code == 404 else exc.detail
    return JSONResponse({"error": message}, exc.status_code)


def _page(names: Iterable[str]) -> str:
    items = "".join(
        f'<li><a href="{path}">{path}</a></li>'
        for path in (*(f"/feeds/{html.escape(n)}" for n in names), "/health", "/metrics")
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>cathrt feed</title>'
        f"<h1>cathrt feed</h1><p>{html.escape(NOTICE)}</p><ul>{items}</ul></html>\n"
    )
