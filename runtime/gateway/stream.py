"""The streams: each is one reader's way through a journal, as server-sent events.

Not for: the other paths and who may ask (app.py), what an event looks like (events.py).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from cathrt.runtime.errors import JournalError
from cathrt.runtime.gateway.events import RECORD_TYPES, claimed_place, heartbeat, opening, pieces, wanted_types
from cathrt.runtime.gateway.journal_feed import JournalFeed
from cathrt.runtime.journal.errors import PrunedError
from cathrt.runtime.journal.head import Head
from cathrt.runtime.journal.reader import Followed

_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/event-stream; charset=utf-8")],
}


class RefusedError(Exception):
    """A request that is answered with a status other than 200, and one line that says why and what to do."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Streams:
    """The ASGI application of /feeds/{name}. For one event loop. now_ns: the clock by which alerts become late."""

    def __init__(
        self,
        feeds: Mapping[str, JournalFeed],
        max_readers: int,
        heartbeat_s: float,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._feeds = feeds
        self._max_readers = max_readers
        self._heartbeat_s = heartbeat_s
        self._now_ns = now_ns
        self._ending = False
        self.readers = 0

    def end(self) -> None:
        """Let each reader have what there is by now, then end its stream; no new one begins."""
        self._ending = True
        for feed in self._feeds.values():
            feed.tell()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            self._refuse_if_full()
            self.readers += 1
            try:
                asked = await self._asked(Request(scope))
                await self._stream(asked, receive, send)
            finally:
                self.readers -= 1
        except RefusedError as exc:
            await JSONResponse({"error": str(exc)}, exc.status)(scope, receive, send)

    def _refuse_if_full(self) -> None:
        if self._ending:
            raise RefusedError(503, "the gateway is stopping: come back when it runs again")
        if self.readers >= self._max_readers:
            raise RefusedError(
                503, f"{self.readers} streams are open, as many as feed.max_readers allows: close one, or raise it"
            )

    async def _asked(self, request: Request) -> _Asked:
        """What a request asks for. Raises RefusedError."""
        name = request.path_params["name"]
        feed = self._feeds.get(name)
        if feed is None:
            raise RefusedError(404, f"found the feed {name[:40]!r}, expected one of {', '.join(self._feeds)}")
        wanted = _wanted(request)
        try:
            place = await _place(request, feed)
            return _Asked(feed, wanted, place, await feed.rows_after(place))
        except PrunedError as exc:
            raise RefusedError(409, str(exc)) from exc
        except JournalError as exc:
            raise RefusedError(503, str(exc)) from exc

    async def _stream(self, asked: _Asked, receive: Receive, send: Send) -> None:
        """Hand on what was asked for, and all that follows, until the reader has gone or the feed ends."""
        news = asyncio.Event()
        gone = asyncio.create_task(_until_gone(receive, news))
        writer = _Writer(send, self._heartbeat_s)
        place, rows = asked.place, asked.rows
        last_look = False
        try:
            with asked.feed.told(news):
                await writer.begin(place)
                while not gone.done():
                    for piece in pieces(rows, asked.wanted, self._now_ns):
                        place = piece.place
                        await writer.write(piece.text)
                    await writer.beat(place)
                    if not rows:
                        if last_look:
                            break
                        with suppress(TimeoutError):
                            await asyncio.wait_for(news.wait(), writer.quiet_for_s)
                    news.clear()
                    last_look = self._ending  # before the look: what is durable when all ends is still sent
                    rows = await asked.feed.rows_after(place)
        except JournalError as exc:  # when the reader comes back it is told so, with a status
            await writer.write(b": %b\n\n" % _one_line(str(exc)))
        finally:
            gone.cancel()
        await writer.end()


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a reader wants: records of these types of this journal, the first of them `rows`, which are behind place."""

    feed: JournalFeed
    wanted: frozenset[str]
    place: Head
    rows: Sequence[Followed]


class _Writer:
    """Writes a stream. send() waits until the reader has taken what was written before; connection.py sees to that."""

    def __init__(self, send: Send, heartbeat_s: float) -> None:
        self._send = send
        self._heartbeat_s = heartbeat_s
        self._clock = asyncio.get_running_loop().time
        self._due = 0.0

    @property
    def quiet_for_s(self) -> float:
        """How long nothing has to be written."""
        return max(self._due - self._clock(), 0.0)

    async def begin(self, place: Head) -> None:
        await self._send(_START)
        await self.write(opening(place))

    async def write(self, text: bytes) -> None:
        if text:
            await self._send({"type": "http.response.body", "body": text, "more_body": True})
            self._due = self._clock() + self._heartbeat_s

    async def beat(self, place: Head) -> None:
        """A heartbeat, where one is due."""
        if not self.quiet_for_s:
            await self.write(heartbeat(place))

    async def end(self) -> None:
        await self._send({"type": "http.response.body"})


async def _until_gone(receive: Receive, news: asyncio.Event) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    news.set()


def _wanted(request: Request) -> frozenset[str]:
    if unknown := sorted(set(request.query_params).difference({"types", "after"})):
        raise RefusedError(400, f"found the parameter {unknown[0][:40]!r}, expected `types` or `after`")
    types = request.query_params.get("types")
    try:
        return frozenset(RECORD_TYPES) if types is None else wanted_types(types)
    except ValueError as exc:
        raise RefusedError(400, str(exc)) from exc


async def _place(request: Request, feed: JournalFeed) -> Head:
    """Where the reader wants to begin. Last-Event-ID is how one comes back, so it counts before `after`."""
    ids = request.headers.getlist("last-event-id")
    if len(ids) > 1:
        raise RefusedError(400, f"found {len(ids)} headers Last-Event-ID, expected one: send the last id alone")
    text = ids[0] if ids and ids[0] else request.query_params.get("after", "0")
    if text == "end":
        return await feed.end()
    try:
        claimed = claimed_place(text)
    except ValueError as exc:
        raise RefusedError(400, str(exc)) from exc
    place = await feed.place_of(claimed)
    if place is None:
        raise RefusedError(
            409,
            f"{feed.path.name} has no such place as {text}: another journal is there now, or none. Start again without "
            "a place for all its records, or with ?after=end for new ones; or put the old journal back",
        )
    return place


def _one_line(message: str) -> bytes:
    return " ".join(message.split()).encode(errors="replace")
