"""A socket that listens, and uvicorn's server with the limits that it does not have of its own.

Not for: limits on one connection (connection.py), what is served (feed.py; the page).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable
from functools import partial

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
