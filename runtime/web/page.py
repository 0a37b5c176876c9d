"""The page as a server: its own thread, event loop and limits, so that nothing else of the gateway ever waits for it.

Not for: what is answered (app.py), journals for programs (gateway/feed.py).
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from cathrt.runtime.config import Config, PageConfig
from cathrt.runtime.gateway.doors import tls_from
from cathrt.runtime.gateway.server import Server, ServingThread, listening_at, url_at
from cathrt.runtime.web.access.door import Door
from cathrt.runtime.web.access.endpoint import Entrance
from cathrt.runtime.web.access.guard import REQUEST_BYTES
from cathrt.runtime.web.access.login import LoginDesk
from cathrt.runtime.web.access.login_limit import LoginLimit, LoginLimits
from cathrt.runtime.web.access.rate import Rate
from cathrt.runtime.web.access.safety import require_safe
from cathrt.runtime.web.access.sessions import Clocks, Sessions
from cathrt.runtime.web.access.views import Views
from cathrt.runtime.web.app import PARTS, Part, page_app
from cathrt.runtime.web.connection import ConnectionLimits, PageConnection, PageSocketConnection
from cathrt.runtime.web.part.context import Box, PageContext
from cathrt.runtime.web.static_files import FOLDER, StaticFiles, read_static

USERS_FILE = "page-users"  # in the state folder, where page.users_file names none
_FILE_THREADS = 4
_SOCKET_BYTES = 4096  # longest message of a browser over a WebSocket
_PING_S = 5.0  # between two, and for the answer to one
_MINUTE_S, _HOUR_S = 60.0, 3600.0


@dataclass(frozen=True, slots=True)
class PageLimits:
    """Times of the page. renew_s: between two looks at the users file. drain_s: for streams to end when it stops."""

    connection: ConnectionLimits = field(default_factory=ConnectionLimits)
    login: LoginLimits = field(default_factory=LoginLimits)
    renew_s: float = 2.0
    drain_s: float = 3.0
    static: Path = FOLDER


class Page:
    """A running page. close() ends its streams first."""

    def __init__(self, config: Config, box: Box, parts: tuple[Part, ...], limits: PageLimits) -> None:
        """Raises as opened_page() does."""
        settings = config.page
        self._config, self._box, self._parts, self._limits = config, box, parts, limits
        require_safe(config)
        self._tls, certified = tls_from(settings.tls_certificate, settings.tls_key, "page")
        self._names = certified | frozenset(settings.names)
        self._files = StaticFiles(read_static(limits.static))
        clocks = Clocks(time.monotonic, time.time)
        self._sessions = Sessions(clocks, settings.idle_minutes * _MINUTE_S, settings.session_hours * _HOUR_S)
        self._door = Door(settings, self._sessions, tls=self._tls is not None)
        listening = listening_at(settings.host, settings.port, "page")
        self.port = int(listening.getsockname()[1])
        self._serving = ServingThread("page", partial(self._serve, listening))
        if not self.is_running:
            self.close()  # which raises what ended it

    @property
    def url(self) -> str:
        """Where the page is."""
        return url_at(self._config.page.host, self.port, tls=self._tls is not None)

    @property
    def is_running(self) -> bool:
        """Whether it serves. If it ended by itself, close() raises the reason."""
        return self._serving.is_running

    def close(self) -> None:
        """End the streams, within drain_s, and the server. Idempotent. Raises what ended it before."""
        self._serving.close()

    async def _serve(self, listening: socket.socket, stop: asyncio.Event, begun: Callable[[], None]) -> None:
        with (
            closing(listening),
            ThreadPoolExecutor(_FILE_THREADS, "page-files") as files,
            ThreadPoolExecutor(1, "page-one-file") as one_thread,
        ):
            context = PageContext(self._box, self._config, files, one_thread)
            async with context.closing:
                desk = self._desk(context)
                await desk.begin()
                server = Server(self._uvicorn(self._app(context, desk)), self._tls, self._limits.connection.request_s)
                serving = asyncio.create_task(server.serve(sockets=[listening]))
                renewing = asyncio.create_task(self._renew(desk))
                stopping = asyncio.create_task(stop.wait())
                begun()
                await asyncio.wait({serving, renewing, stopping}, return_when=asyncio.FIRST_COMPLETED)
                context.ending.set()
                self._door.end_all()
                for task in (stopping, renewing):
                    task.cancel()
                await server.drain(serving, self._limits.drain_s)
                if renewing.done() and not renewing.cancelled():
                    renewing.result()

    def _desk(self, context: PageContext) -> LoginDesk:
        named = self._config.page.users_file
        path = Path(named) if named else self._box.state / USERS_FILE
        return LoginDesk(context, self._door, self._sessions, LoginLimit(time.monotonic, self._limits.login), path)

    def _app(self, context: PageContext, desk: LoginDesk) -> ASGIApp:
        routes = [*desk.routes(), *(route for part in self._parts for route in part(context))]
        entrance = Entrance(self._door, Rate(time.monotonic), Views(context).note)
        return page_app(routes, entrance, self._door, self._names, self._files)

    async def _renew(self, desk: LoginDesk) -> None:
        while True:
            await asyncio.sleep(self._limits.renew_s)
            await desk.renew()

    def _uvicorn(self, app: ASGIApp) -> uvicorn.Config:
        limits = self._limits.connection
        return uvicorn.Config(
            app,
            http=partial(PageConnection, limits=limits),  # type: ignore[arg-type]  # any callable that makes a protocol
            ws=partial(PageSocketConnection, limits=limits),  # type: ignore[arg-type]
            ws_max_size=_SOCKET_BYTES,
            ws_ping_interval=_PING_S,
            ws_ping_timeout=limits.take_s,
            ws_per_message_deflate=False,
            lifespan="off",
            timeout_keep_alive=int(limits.idle_s),
            h11_max_incomplete_event_size=REQUEST_BYTES,
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
        )


@contextmanager
def opened_page(
    config: Config, box: Box, parts: tuple[Part, ...] = PARTS, limits: PageLimits | None = None
) -> Iterator[Page]:
    """Serve the page until the end of the block.

    Raises ConfigError for an address of other machines without TLS, a demonstration that others reach, and files that
    cannot be used; CathrtError for an address that is taken.
    """
    page = Page(config, box, parts, limits or limits_of(config.page))
    try:
        yield page
    finally:
        page.close()


def limits_of(settings: PageConfig) -> PageLimits:
    """The limits as configured."""
    return PageLimits(ConnectionLimits(settings.max_connections, settings.max_connections_of_address))
