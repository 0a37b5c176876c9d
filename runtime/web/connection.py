"""One connection to the page, HTTP or WebSocket, with the limits that uvicorn does not have.

For slow requests, for readers that stand still, and for how many connections there may be, in all and of one address.
Not for: what is answered (app.py).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from cathrt.runtime.web.access.login_limit import network_of


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """connections: at once, in all and of one address. request_s: for a request to arrive with its body.

    take_s: for a reader to take what was written to it. idle_s: between two requests.
    """

    connections: int = 512
    of_address: int = 256
    request_s: float = 5.0
    take_s: float = 10.0
    idle_s: float = 8.0


class _CutOff:
    """Ends one connection after a time, unless told to let it go on."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport) -> None:
        self._loop, self._transport = loop, transport
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_set(self) -> bool:
        return self._timer is not None

    def after(self, seconds: float) -> None:
        self.cancel()
        self._timer = self._loop.call_later(seconds, self._transport.abort)

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class PageConnection(H11Protocol):
    """HTTP. Nothing is queued for a reader beyond one write: ASGI's send waits until the one before was taken."""

    def __init__(self, *args: Any, limits: ConnectionLimits, **options: Any) -> None:
        super().__init__(*args, **options)
        self._limits = limits

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        _pause_at_any_byte(transport)
        self._request, self._take = _CutOff(self.loop, transport), _CutOff(self.loop, transport)
        of_address = sum(_place_of(other) == _place_of(self) for other in self.connections)
        if len(self.connections) > self._limits.connections or of_address > self._limits.of_address:
            transport.abort()
            return
        self._request.after(self._limits.request_s)

    def data_received(self, data: bytes) -> None:
        if not self._request.is_set and (self.cycle is None or self.cycle.response_complete):
            self._request.after(self._limits.request_s)  # the first byte of another request
        super().data_received(data)

    def handle_events(self) -> None:
        super().handle_events()
        if self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete:
            self._request.cancel()  # all of it is there; an answered one is the request before

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._request.cancel()
        self._take.cancel()
        super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:
        """uvicorn answers what is no request with 400, also where an answer is on its way, or was the last one."""
        is_answering = self.cycle is not None and not self.cycle.response_complete
        if not is_answering and self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
            return
        if is_answering:
            self.cycle.disconnected = True  # or it would go on writing, which h11 does not allow any more
        self.transport.abort()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._take.after(self._limits.take_s)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._take.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        self._request.cancel()
        super().connection_lost(exc)
        self._take.cancel()


class PageSocketConnection(WebSocketsSansIOProtocol):
    """A WebSocket. While its peer takes nothing, nothing of it is read either, or each ping would queue an answer."""

    def __init__(self, *args: Any, limits: ConnectionLimits, **options: Any) -> None:
        super().__init__(*args, **options)
        self._limits = limits

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        _pause_at_any_byte(transport)
        self._take = _CutOff(self.loop, transport)

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True  # refused: uvicorn would log that as an error of ours

    def pause_writing(self) -> None:
        super().pause_writing()
        self.transport.pause_reading()
        self._take.after(self._limits.take_s)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._take.cancel()
        if not self.read_paused:
            self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._take.cancel()


def _pause_at_any_byte(transport: asyncio.Transport) -> None:
    # Any byte that the system does not take pauses the writer. Over TLS it is one that does not fit into the 64 KiB
    # of asyncio's plain transport below, and `high` is the size at which, not above which, it pauses.
    transport.set_write_buffer_limits(high=1 if transport.get_extra_info("sslcontext") else 0)


def _place_of(connection: Any) -> str:
    client = connection.client
    return "" if client is None else network_of(client[0])
