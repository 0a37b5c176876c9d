"""A socket that listens, uvicorn's server with the limits that it does not have of its own, and a thread that serves.

Not for: limits on one connection (connection.py), what is served (feed.py; the page).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import uvicorn

from cathrt.runtime.errors import CathrtError

_GOODBYE_S = 1.0  # for a peer to answer the end of TLS; many never do
_SEND_BUFFER_BYTES = 256 << 10  # of the system, for each connection: what a reader that stands still can hold


class Server(uvicorn.Server):
    """uvicorn's server, with limits on how long a peer may take to begin and end TLS: uvicorn leaves 60 and 30 s."""

    def __init__(self, config: uvicorn.Config, tls: ssl.SSLContext | None, handshake_s: float) -> None:
        super().__init__(config)
        self._tls, self._handshake_s = tls, handshake_s

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        made: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        connection = partial(made, config=self.config, server_state=self.server_state, app_state={})
        self.servers = [
            await asyncio.get_running_loop().create_server(
                connection,
                sock=listening,
                backlog=self.config.backlog,
                ssl=self._tls,
                ssl_handshake_timeout=self._handshake_s if self._tls else None,
                ssl_shutdown_timeout=_GOODBYE_S if self._tls else None,
            )
            for listening in sockets or ()
        ]
        self.started = True

    async def drain(self, serving: asyncio.Task[None], drain_s: float) -> None:
        """Take no more requests, let those in hand end within drain_s, and cut off the rest. Raises what ended it."""
        self.should_exit = True
        await asyncio.wait({serving}, timeout=drain_s)
        for connection in tuple(self.server_state.connections):
            connection.transport.abort()
        await serving


class ServingThread:
    """Runs a server in a thread and an event loop of its own. It has begun, or ended, when it is made.

    serve(stop, begun): serves until `stop` is set, and calls begun() once it does.
    """

    def __init__(
        self, name: str, serve: Callable[[asyncio.Event, Callable[[], None]], Coroutine[Any, Any, None]]
    ) -> None:
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        begun = threading.Event()

        async def served() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            await serve(self._stop, begun.set)

        self._thread = ThreadPoolExecutor(1, name)
        self._served: Future[None] = self._thread.submit(asyncio.run, served())
        self._served.add_done_callback(lambda _served: begun.set())
        begun.wait()

    @property
    def is_running(self) -> bool:
        """Whether it serves. If it ended by itself, close() raises the reason."""
        return not self._served.done()

    def close(self) -> None:
        """Ask it to stop, and wait until it has. Idempotent. Raises what ended it before."""
        if self._loop is not None and self._stop is not None and not self._served.done():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.shutdown()
        self._served.result()


def url_at(host: str, port: int, *, tls: bool) -> str:
    """The address of a server, for a browser."""
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{shown}:{port}/"


def listening_at(host: str, port: int, what: str) -> socket.socket:
    """A socket that accepts connections already; they wait until the server runs. what: feed or page.

    Raises CathrtError: the address is taken, or not this machine's.
    """
    version = ipaddress.ip_address(host).version
    listening = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        listening.bind((host, port))
        listening.listen(64)
    except OSError as exc:
        listening.close()
        raise CathrtError(
            f"{host}:{port}: the {what} cannot be there ({exc.strerror}): choose another {what}.port"
        ) from exc
    return listening
