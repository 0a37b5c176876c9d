"""The live part of the page's API: overview, health, events, pictures, latency.

Not for: runs (runs/), and who gets in (access/).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from annotated_types import Ge, Le, MaxLen
from starlette.responses import Response
from starlette.websockets import WebSocket

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.config import SourceConfig
from cathrt.runtime.errors import CathrtError, JournalError
from cathrt.runtime.gateway.events import RECORD_TYPES
from cathrt.runtime.gateway.journal_feed import JournalFeed
from cathrt.runtime.journal.head import Head
from cathrt.runtime.web.journals.dates import iso
from cathrt.runtime.web.live.absent import Absent, absent_parts, kinds_of
from cathrt.runtime.web.live.event_stream import HEALTH, EventSources, EventStream, Wanted
from cathrt.runtime.web.live.health_watch import HealthWatch
from cathrt.runtime.web.live.latency import latency_of
from cathrt.runtime.web.live.overview import Told, source_document, told_of
from cathrt.runtime.web.live.picture_pump import PicturePump
from cathrt.runtime.web.live.picture_socket import PictureSocket
from cathrt.runtime.web.live.places import claimed_places, id_of
from cathrt.runtime.web.part.answers import json_answer
from cathrt.runtime.web.part.context import PageContext
from cathrt.runtime.web.part.errors import RefusedError
from cathrt.runtime.web.part.route import STRICT, Asked, PageRoute, PageSocket
from cathrt.runtime.web.part.session import Role

MOST_STREAMS = 64
MOST_PICTURE_SOCKETS = 64
_EVENT_TYPES = frozenset((*RECORD_TYPES, HEALTH))


@dataclass(frozen=True, slots=True)
class EventInputs:
    """types: of records, and health, with commas. after: an id of an event, or "end"."""

    __pydantic_config__ = STRICT
    types: Annotated[str, MaxLen(200)] = ""
    after: Annotated[str, MaxLen(300)] = "end"


@dataclass(frozen=True, slots=True)
class SourceInputs:
    """source: the name of a live source."""

    __pydantic_config__ = STRICT
    source: Annotated[str, MaxLen(64)]


@dataclass(frozen=True, slots=True)
class LatencyInputs:
    """seconds: how far back."""

    __pydantic_config__ = STRICT
    source: Annotated[str, MaxLen(64)]
    seconds: Annotated[float, Ge(1.0), Le(600.0)] = 60.0


@dataclass(slots=True)
class _Live:
    """What the handlers share."""

    context: PageContext
    feeds: dict[str, JournalFeed]
    health: HealthWatch
    pumps: dict[str, PicturePump]
    absent: Sequence[Absent] | None = field(default=None)
    streams: int = 0
    sockets: int = 0

    def source(self, name: str) -> SourceConfig:
        """Raises RefusedError."""
        for source in self.context.config.sources:
            if source.name == name:
                return source
        raise RefusedError(404, "found no live source of that name, expected one of /api/live: load it again")

    async def show(self, asked: Asked[None, None]) -> Response:
        """GET /api/live."""
        context = self.context
        await asked.viewed(what="live sources")
        health = dict(await self.health.document())
        place = await self._ends()
        engines, told = await self._told(health)
        if self.absent is None:
            self.absent = absent_parts(context.config, await context.in_files(kinds_of, context.box.bundles))
        now_ns = context.now_ns()
        sources = [
            source_document(
                source,
                health,
                engines.get(source.name, {}),
                await self.pumps[source.name].about(),
                told.get(source.name, Told()),
                now_ns,
            )
            for source in context.config.sources
        ]
        return json_answer(
            {
                "now_ns": now_ns,
                "now": iso(context.wall_s()),
                "events_after": id_of(place),
                "sources": sources,
                "health": health,
                "absent": [asdict(absent) for absent in self.absent],
                "notice": NOTICE,
            }
        )

    async def _ends(self) -> dict[str, Head]:
        """Where each journal ends, as far as it can be read."""
        found = {}
        for name, feed in self.feeds.items():
            with suppress(JournalError):  # its fault is said by health
                found[name] = await feed.end()
        return found

    async def _told(self, health: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Told]]:
        """What the reports and the journal say; what cannot be read is said as a reason of health."""
        context, engines, told = self.context, dict[str, Any](), dict[str, Told]()
        try:
            engines = dict(await context.in_files(context.box.engines))
            told = await context.in_files(told_of, context, context.box.journals["live"])
        except (CathrtError, OSError) as exc:
            health["healthy"], health["reasons"] = False, [*health["reasons"], f"page: {exc}"]
        return engines, told

    async def show_health(self, _asked: Asked[None, None]) -> Response:
        """GET /api/health."""
        return json_answer(dict(await self.health.document()))

    async def show_latency(self, asked: Asked[LatencyInputs, None]) -> Response:
        """GET /api/live/{source}/latency."""
        source, context = self.source(asked.inputs.source), self.context
        await asked.viewed(what="live sources")
        found = await context.in_files(latency_of, context, context.box.journals["live"], source, asked.inputs.seconds)
        return json_answer(found)

    async def stream(self, asked: Asked[EventInputs, None]) -> Response:
        """GET /api/events."""
        if self.context.ending.is_set():
            raise RefusedError(503, "the page is stopping: come back when it runs again")
        if self.streams >= MOST_STREAMS:
            raise RefusedError(503, f"{self.streams} streams are open, as many as there may be: close one", _SOON)
        wanted = Wanted(_types(asked.inputs.types), self._claimed(asked))
        await asked.viewed(what="live events")
        self.streams += 1
        return EventStream(EventSources(self.context, self.feeds, self.health), wanted, asked.ended, self._streamed)

    def _streamed(self) -> None:
        self.streams -= 1

    def _claimed(self, asked: Asked[EventInputs, None]) -> Any:
        """Last-Event-ID is how a reader comes back, so it counts before `after`."""
        ids = asked.request.headers.getlist("last-event-id")
        if len(ids) > 1:
            raise RefusedError(400, f"found {len(ids)} headers Last-Event-ID, expected one: send the last id alone")
        try:
            return claimed_places(ids[0] if ids and ids[0] else asked.inputs.after, tuple(self.feeds))
        except ValueError as exc:
            raise RefusedError(400, str(exc)) from exc

    async def pictures(self, asked: Asked[SourceInputs, None], socket: WebSocket) -> None:
        """WS /api/pictures/{source}."""
        pump = self.pumps[self.source(asked.inputs.source).name]
        if self.sockets >= MOST_PICTURE_SOCKETS:
            raise RefusedError(503, f"{self.sockets} browsers see pictures, as many as there may be: close one")
        await asked.viewed(what="live pictures")
        self.sockets += 1
        try:
            await socket.accept()
            await PictureSocket(socket, pump, self.context, asked.ended).serve()
        finally:
            self.sockets -= 1


_SOON = {"retry-after": "5"}


def routes(context: PageContext) -> Sequence[PageRoute | PageSocket]:
    """To be called once, in the page's event loop."""
    feeds = {name: JournalFeed(path, context.one_thread) for name, path in context.box.journals.items()}
    thread = ThreadPoolExecutor(1, "page-pictures")
    pumps = {source.name: PicturePump(source.name, context, thread) for source in context.config.sources}
    live = _Live(context, feeds, HealthWatch(context), pumps)
    for feed in feeds.values():
        feed.tail.start()
        context.closing.callback(feed.close)
        context.closing.push_async_callback(context.in_files, feed.tail.finish)
    context.closing.callback(thread.shutdown)
    for pump in pumps.values():
        context.closing.callback(pump.close)
    viewer = Role.VIEWER
    return [
        PageRoute("GET", "/api/live", viewer, live.show, "Live sources, what judges them, and health.", patients=True),
        PageRoute("GET", "/api/health", viewer, live.show_health, "Whether all is well, and why not."),
        PageRoute(
            "GET",
            "/api/events",
            viewer,
            live.stream,
            "New records of all journals and health, as server-sent events.",
            inputs=EventInputs,
            media="text/event-stream",
            patients=True,
        ),
        PageRoute(
            "GET",
            "/api/live/{source}/latency",
            viewer,
            live.show_latency,
            "How long each of the newest frames took.",
            inputs=LatencyInputs,
            errors=(404,),
            patients=True,
        ),
        PageSocket(
            "/api/pictures/{source}",
            viewer,
            live.pictures,
            "The newest pictures of a live source.",
            inputs=SourceInputs,
            patients=True,
        ),
    ]


def _types(text: str) -> frozenset[str]:
    """Raises RefusedError."""
    if not text:
        return _EVENT_TYPES
    wanted = frozenset(text.split(","))
    if unknown := sorted(wanted.difference(_EVENT_TYPES)):
        raise RefusedError(
            400, f"found the type {unknown[0][:40]!r}, expected some of {','.join(sorted(_EVENT_TYPES))} with commas"
        )
    return wanted
