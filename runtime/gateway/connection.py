"""One HTTP connection, with the limits that uvicorn does not have: for slow requests and for readers that stand still.

Not for: what is answered (app.py).
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_BYTES = 16 << 10  # request line and headers
REQUEST_S = 5.0  # for all of them to arrive
TAKE_S = 10.0  # for a reader to take what was written to it


class LimitedConnection(H11Protocol):
    """Cuts off a peer that does not send its request, or does not read what it is sent, within the limits.

    Nothing is queued for such a peer beyond one write: ASGI's send waits until the reader has taken the one before.
    """

    def __init__(self, *args: Any, connections: int, request_s: float, take_s: float, **options: Any) -> None:
        """connections: at once; one more is cut off."""
        super().__init__(*args, **options)
        self._most, self._request_s, self._take_s = connections, request_s, take_s
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # Any byte that the system does not take pauses the writer. Over TLS it is one that does not fit into the 64 KiB
        # of asyncio's plain transport below, and `high` is the size at which, not above which, it pauses.
        transport.set_write_buffer_limits(high=1 if transport.get_extra_info("sslcontext") else 0)
        if len(self.connections) > self._most:
            transport.abort()
            return
        self._cut_off_after(self._request_s)

    def handle_events(self) -> None:
        super().handle_events()
        if self.cycle is not None and not self.flow.write_paused:
            self._let_go_on()  # the request is there

    def send_400_response(self, msg: str) -> None:
        """uvicorn answers what is no request with 400, also while it still answers the request before."""
        if self.cycle is None or self.cycle.response_complete:
            super().send_400_response(msg)
            return
        self.cycle.disconnected = True  # or it would go on writing, which h11 does not allow any more
        self.transport.abort()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._cut_off_after(self._take_s)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._let_go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        self._let_go_on()
        super().connection_lost(exc)

    def _cut_off_after(self, seconds: float) -> None:
        self._let_go_on()
        self._deadline = self.loop.call_later(seconds, self.transport.abort)

    def _let_go_on(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
