"""The page's one stream of events: new records of all journals, and health, as server-sent events.

Every block has an id that says where the reader is in each journal, so that it goes on from there after any
interruption. What was missed is said, never skipped in silence. Not for: programs, which have a feed for each journal
(gateway/).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from cathrt.runtime.gateway.events import PIECE_BYTES, ClaimedPlace
from cathrt.runtime.gateway.journal_feed import JournalFeed
from cathrt.runtime.journal.lateness import as_shown
from cathrt.runtime.journal.reader import Followed
from cathrt.runtime.outside.plain_text import json_line
from cathrt.runtime.web.live.health_watch import HealthWatch
from cathrt.runtime.web.live.journal_place import JournalPlace
from cathrt.runtime.web.live.places import id_of
from cathrt.runtime.web.part.context import PageContext

HEALTH = "health"
_HEALTH_S = 5.0  # longest between two events: what is silent for longer is broken
_MISSED_JA = "の記録の一部を受信できませんでした。画面を読み込み直してください"
_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")],
}


@dataclass(frozen=True, slots=True)
class EventSources:
    """What all streams share."""

    context: PageContext
    feeds: Mapping[str, JournalFeed]
    health: HealthWatch


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader asks for. types: of records, and "health". claimed: where it is; no place: at the end."""

    types: frozenset[str]
    claimed: Mapping[str, ClaimedPlace]


class EventStream(Response):
    """One reader's stream. ended: set when it must end. on_end: called once, however it ends."""

    media_type = "text/event-stream"

    def __init__(self, sources: EventSources, wanted: Wanted, ended: asyncio.Event, on_end: Any) -> None:
        super().__init__()
        self._sources, self._wanted, self._ended, self._on_end = sources, wanted, ended, on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write until the reader has gone. send() waits until the reader has taken what was written before."""
        news = asyncio.Event()
        watching = [
            asyncio.create_task(_until_gone(receive, news)),
            asyncio.create_task(_until_set(self._ended, news)),
        ]
        try:
            await send(_START)
            if scope["method"] == "HEAD":
                await send({"type": "http.response.body"})
                return
            with ExitStack() as told:
                for feed in self._sources.feeds.values():
                    told.enter_context(feed.told(news))
                told.enter_context(self._sources.health.told(news))
                async for text in self._written(news, watching):
                    await send({"type": "http.response.body", "body": text, "more_body": True})
            await send({"type": "http.response.body"})
        finally:
            for task in watching:
                task.cancel()
            self._on_end()

    async def _written(self, news: asyncio.Event, over: Sequence[asyncio.Task[None]]) -> AsyncIterator[bytes]:
        reader = _Reader(self._sources, self._wanted)
        yield b"retry: 1000\n"
        async for text in reader.begin():
            yield text
        while not any(task.done() for task in over):
            news.clear()
            async for text in reader.news():
                yield text
            if not reader.has_more and not any(task.done() for task in over):
                with suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), reader.quiet_for_s)


class _Reader:
    """What one reader has, and what is new for it."""

    def __init__(self, sources: EventSources, wanted: Wanted) -> None:
        self.has_more = False
        self._context, self._health, self._wanted = sources.context, sources.health, wanted
        self._places = {name: JournalPlace(feed) for name, feed in sources.feeds.items()}
        self._seen_version = -1
        self._clock = asyncio.get_running_loop().time
        self._told_s = 0.0

    @property
    def quiet_for_s(self) -> float:
        """How long nothing needs to be written."""
        return max(0.0, self._told_s + _HEALTH_S - self._clock())

    async def begin(self) -> AsyncIterator[bytes]:
        claimed = self._wanted.claimed
        for name, place in self._places.items():
            missed = await place.begin(claimed.get(name))
            if claimed and name not in claimed:
                missed = missed or "the place that you gave does not name it"
            if claimed and missed is not None:
                yield self._reset(name, missed)
        yield self._event(None, b"")

    async def news(self) -> AsyncIterator[bytes]:
        """One batch of each journal, and health where it has changed or is due."""
        self.has_more = False
        for name, place in self._places.items():
            rows, missed = await place.rows()
            if missed is not None:
                yield self._reset(name, missed)
            for text in self._records(name, place, rows):
                yield text
            self.has_more = self.has_more or bool(rows)
        if HEALTH not in self._wanted.types:
            if not self.quiet_for_s:
                yield self._event(None, b"")
        elif self._health.version != self._seen_version or not self.quiet_for_s:
            document = await self._health.document()
            self._seen_version = self._health.version
            yield self._event(HEALTH, json_line(dict(document)).encode())

    def _records(self, name: str, place: JournalPlace, rows: Sequence[Followed]) -> list[bytes]:
        """The rows as text in pieces of some PIECE_BYTES."""
        texts, text = [], bytearray()
        for row in rows:
            place.place = row.place
            if row.stored.type in self._wanted.types:
                shown = as_shown(row.stored, self._context.now_ns())
                data = b'{"journal":"%b","seq":%d,"record":%b}' % (name.encode(), shown.seq, shown.body)
                text += self._event("record", data)
            if len(text) >= PIECE_BYTES:
                texts.append(bytes(text))
                text.clear()
        return [*texts, bytes(text)] if text else texts

    def _reset(self, name: str, why: str) -> bytes:
        told = {
            "journal": name,
            "text": f"Records of the {name} journal may have been missed ({why}): load the page's data again",
            "text_ja": f"{name} {_MISSED_JA}",
        }
        return self._event("reset", json.dumps(told, ensure_ascii=False).encode())

    def _event(self, kind: str | None, data: bytes) -> bytes:
        """One block. Without a kind: a comment, and where the reader is."""
        if kind in (None, HEALTH):
            self._told_s = self._clock()
        places = {name: place.place for name, place in self._places.items() if place.place is not None}
        block = b"id: %b\n" % id_of(places).encode() if places else b""
        if kind is None:
            return b": here\n" + block + b"\n"
        return b"%bevent: %b\ndata: %b\n\n" % (block, kind.encode(), data)


async def _until_gone(receive: Receive, news: asyncio.Event) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    news.set()


async def _until_set(ended: asyncio.Event, news: asyncio.Event) -> None:
    await ended.wait()
    news.set()
