"""The gateway's HTTP: the journals as a feed, health and metrics. Builds it from settings and runs it in a thread.

Not for: what is answered (app.py, stream.py), who gets in (doors.py).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from cathrt.runtime.config import FeedConfig
from cathrt.runtime.gateway.app import feed_app
from cathrt.runtime.gateway.connection import REQUEST_BYTES, REQUEST_S, TAKE_S, LimitedConnection
from cathrt.runtime.gateway.doors import doors_from
from cathrt.runtime.gateway.journal_feed import JournalFeed
from cathrt.runtime.gateway.server import Server, ServingThread, listening_at, url_at
from cathrt.runtime.gateway.stream import Streams
from cathrt.runtime.journal.reader import POLL_MS
from cathrt.runtime.metrics.family import Family

_SPARE_CONNECTIONS = 16  # beside the readers: for the page, health, and readers that are refused


@dataclass(frozen=True, slots=True)
class FeedLimits:
    """Times of the feed. drain_s: how long readers may take for the last events when it is closed."""

    poll_ms: float = POLL_MS
    heartbeat_s: float = 5.0
    request_s: float = REQUEST_S
    take_s: float = TAKE_S
    drain_s: float = 3.0


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """readers: streams that are open. rows: of each journal, as far as it was followed. faults: why one cannot be."""

    readers: int
    rows: dict[str, int]
    faults: dict[str, str]


Health = Callable[[FeedStatus], Mapping[str, Any]]
Metrics = Callable[[FeedStatus], Sequence[Family]]


@dataclass(frozen=True, slots=True)
class Pages:
    """What is shown beside the journals, made of the feed's own status. metrics: families of /metrics."""

    health: Health
    metrics: Metrics = lambda _status: ()


class Feed:
    """A running feed. close() gives the readers the last events first."""

    def __init__(self, settings: FeedConfig, journals: Mapping[str, Path], pages: Pages, limits: FeedLimits) -> None:
        """Raises as opened_feed() does."""
        self._settings, self._journals, self._pages, self._limits = settings, journals, pages, limits
        self._doors = doors_from(settings)
        listening = listening_at(settings.host, settings.port, "feed")
        self.port = int(listening.getsockname()[1])
        self._feeds: dict[str, JournalFeed] = {}
        self._streams: Streams | None = None
        self._serving = ServingThread("feed", partial(self._serve, listening))

    @property
    def url(self) -> str:
        """Where the feed is."""
        return url_at(self._settings.host, self.port, tls=self._doors.tls is not None)

    @property
    def is_running(self) -> bool:
        """Whether it serves. If it ended by itself, close() raises the reason."""
        return self._serving.is_running

    def status(self) -> FeedStatus:
        """How it is. From any thread."""
        return FeedStatus(
            readers=0 if self._streams is None else self._streams.readers,
            rows={name: feed.tail.seq for name, feed in self._feeds.items()},
            faults={name: feed.tail.fault for name, feed in self._feeds.items() if feed.tail.fault},
        )

    def close(self) -> None:
        """Give the readers what is durable by now, within drain_s, and end. Idempotent. Raises what ended it before."""
        self._serving.close()

    async def _serve(self, listening: socket.socket, stop: asyncio.Event, begun: Callable[[], None]) -> None:
        with closing(listening), ThreadPoolExecutor(1, "feed-files") as one_thread:
            self._feeds = {
                name: JournalFeed(path, one_thread, self._limits.poll_ms) for name, path in self._journals.items()
            }
            streams = self._streams = Streams(self._feeds, self._settings.max_readers, self._limits.heartbeat_s)
            server = Server(self._uvicorn(streams), self._doors.tls, self._limits.request_s)
            for feed in self._feeds.values():
                feed.tail.start()
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            stopping = asyncio.create_task(stop.wait())
            begun()
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            for feed in self._feeds.values():
                await asyncio.to_thread(feed.tail.finish)
            streams.end()
            await server.drain(serving, self._limits.drain_s)
        for feed in self._feeds.values():
            feed.close()

    def _uvicorn(self, streams: Streams) -> uvicorn.Config:
        connection = partial(
            LimitedConnection,
            connections=self._settings.max_readers + _SPARE_CONNECTIONS,
            request_s=self._limits.request_s,
            take_s=self._limits.take_s,
        )
        return uvicorn.Config(
            feed_app(
                streams,
                self._journals,
                lambda: self._pages.health(self.status()),
                lambda: self._pages.metrics(self.status()),
                self._doors,
            ),
            http=connection,  # type: ignore[arg-type]  # any callable that makes a protocol will do
            ws="none",
            lifespan="off",
            h11_max_incomplete_event_size=REQUEST_BYTES,
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
        )


@contextmanager
def opened_feed(
    settings: FeedConfig, journals: Mapping[str, Path], pages: Pages | Health, limits: FeedLimits | None = None
) -> Iterator[Feed]:
    """Serve the journals, each under its name, until the end of the block. None of them need exist yet.

    pages: or /health alone. Raises ConfigError for an address of other machines without token and TLS, and for token or
    TLS files that cannot be used; CathrtError for an address that is taken.
    """
    feed = Feed(settings, journals, pages if isinstance(pages, Pages) else Pages(pages), limits or FeedLimits())
    try:
        yield feed
    finally:
        feed.close()
