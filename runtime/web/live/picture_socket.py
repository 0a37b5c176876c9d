"""One browser's pictures of one live source over a WebSocket: newest wins, and never more than one on the way.

The browser says `next` when it has drawn a picture, so a slow one skips pictures and queues none. One that says nothing
is closed. Not for: where pictures come from (picture_pump.py).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from cathrt.runtime.web.live.picture_message import GreyPicture, message
from cathrt.runtime.web.live.picture_pump import PicturePump
from cathrt.runtime.web.part.context import PageContext

TAKE_S = 10.0  # for a browser to draw a picture and say so
_CLOSE_S = 1.0
_NEXT = "next"
_MOST_EARLY = 16  # times that `next` is said while no picture is on the way
_AGAIN_LATER, _NOT_OURS, _GOING_AWAY = 1013, 1008, 1001


class _OverError(Exception):
    """Nothing more is to be sent. code: to close with; None: the browser has gone."""

    def __init__(self, code: int | None, reason: str = "") -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class PictureSocket:
    """For one event loop. ended: set when the session is over or the page stops."""

    def __init__(self, socket: WebSocket, pump: PicturePump, context: PageContext, ended: asyncio.Event) -> None:
        """socket: accepted."""
        self._socket, self._pump, self._context, self._take_s = socket, pump, context, TAKE_S
        self._came = asyncio.Event()
        self._sent = self._early = 0  # number of the newest picture that it has
        self._over = asyncio.create_task(ended.wait())
        self._said = asyncio.create_task(self._word())

    async def serve(self) -> None:
        """Send until the browser has gone, stands still, or says something else than `next`."""
        try:
            with self._pump.watched(self._came):
                while True:
                    await self._send(await self._newer())
                    await self._drawn()
        except _OverError as exc:
            if exc.code is not None and self._socket.application_state is not WebSocketState.DISCONNECTED:
                with suppress(RuntimeError, TimeoutError):
                    await asyncio.wait_for(self._socket.close(exc.code, exc.reason), _CLOSE_S)
        finally:
            self._over.cancel()
            self._said.cancel()

    async def _newer(self) -> GreyPicture:
        """A picture that this browser does not have."""
        while True:
            self._came.clear()
            if self._said.done():
                self._heard()
                self._early += 1
                if self._early > _MOST_EARLY:
                    raise _OverError(_NOT_OURS, "`next` was said again and again before there was a picture")
            newest = self._pump.newest
            if newest is not None and newest.about.number != self._sent:
                return newest
            came = asyncio.create_task(self._came.wait())
            try:
                await self._first_of(came)
            finally:
                came.cancel()

    async def _send(self, picture: GreyPicture) -> None:
        number = picture.about.number
        skipped = number - self._sent - 1 if 0 < self._sent < number else 0
        self._sent = number
        try:
            data = message(picture, self._context.now_ns(), skipped)
            await asyncio.wait_for(self._socket.send_bytes(data), self._take_s)
        except (WebSocketDisconnect, RuntimeError):
            raise _OverError(None) from None
        except TimeoutError:
            raise _OverError(_AGAIN_LATER, "a picture was not taken in time: come back") from None

    async def _drawn(self) -> None:
        """Wait until the browser says that it has drawn what it was sent."""
        if not await self._first_of(timeout_s=self._take_s):
            raise _OverError(_AGAIN_LATER, "`next` was not said in time: come back")
        self._heard()
        self._early = 0

    async def _first_of(self, *more: asyncio.Task[bool], timeout_s: float | None = None) -> bool:
        """Wait for the browser, the end, or these. False where nothing came in time."""
        done, _ = await asyncio.wait(
            (self._said, self._over, *more), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
        if self._over in done:
            raise _OverError(_GOING_AWAY, "the session is over, or the page stops")
        return bool(done)

    def _heard(self) -> None:
        """Take the browser's word; raises where it is not `next`."""
        word = self._said.result()
        if word is None:
            raise _OverError(None)
        if word != _NEXT:
            raise _OverError(_NOT_OURS, "found something else, expected the text `next`: ask when a picture is drawn")
        self._said = asyncio.create_task(self._word())

    async def _word(self) -> str | None:
        """What the browser says next; None where it has gone."""
        try:
            return await self._socket.receive_text()
        except (WebSocketDisconnect, RuntimeError):
            return None
        except KeyError:
            return ""  # a binary message
