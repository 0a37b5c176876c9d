"""The ASGI application of the page: the parts' routes, each behind the entrance, and the files.

Not for: the server around it (page.py), who gets in (access/).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from cathrt.runtime.web.access.door import Door
from cathrt.runtime.web.access.endpoint import Endpoint, Entrance, SocketEndpoint
from cathrt.runtime.web.access.guard import Guard, Refusal
from cathrt.runtime.web.live.routes import routes as live_routes
from cathrt.runtime.web.openapi import openapi_document
from cathrt.runtime.web.part.answers import json_answer
from cathrt.runtime.web.part.context import PageContext
from cathrt.runtime.web.part.errors import RefusedError
from cathrt.runtime.web.part.route import Asked, PageRoute, PageSocket
from cathrt.runtime.web.part.session import Role
from cathrt.runtime.web.runs.routes import routes as runs_routes
from cathrt.runtime.web.static_files import StaticFiles
from cathrt.runtime.web.study.routes import routes as study_routes

PageRoutes = Sequence[PageRoute | PageSocket]
Part = Callable[[PageContext], PageRoutes]

# What the page consists of, beside logging in.
PARTS: tuple[Part, ...] = (live_routes, runs_routes, study_routes)

_DESCRIPTION = "/api/openapi.json"


def page_app(routes: PageRoutes, entrance: Entrance, door: Door, names: Iterable[str], files: StaticFiles) -> ASGIApp:
    """The application. names: under which other machines may ask for it. Raises ValueError: a path is there twice."""
    described = with_description(routes, door.cookie)
    paths: dict[str, list[PageRoute]] = {}
    found: list[BaseRoute] = [Route("/", files), Route("/static/{path:path}", files)]
    for route in described:
        if isinstance(route, PageSocket):
            found.append(WebSocketRoute(route.path, SocketEndpoint(route, entrance)))
            continue
        if any(other.method == route.method for other in paths.setdefault(route.path, [])):
            raise ValueError(f"{route.method} {route.path} is there twice")
        paths[route.path].append(route)
    found += [Route(path, Endpoint(methods, entrance)) for path, methods in paths.items()]
    router = Router(found, redirect_slashes=False, default=_not_found)
    return Guard(router, names, tls=door.is_tls)


def with_description(routes: PageRoutes, cookie: str) -> PageRoutes:
    """The routes, and one more that describes them all."""

    async def describe(_asked: Asked[None, None]) -> Response:
        return json_answer(document)

    described = [*routes, PageRoute("GET", _DESCRIPTION, Role.ANYBODY, describe, "This description.")]
    document: Any = openapi_document(described, cookie)
    return described


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    await Refusal(RefusedError(404, "found no such path: /api/openapi.json describes those there are"))(
        scope, receive, send
    )
