"""A feed on a loopback port, and readers of it over HTTP: what the tests of the gateway share."""

from __future__ import annotations

import http.client
import json
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Self

from cathrt.runtime.alert import Record
from cathrt.runtime.config import FeedConfig
from cathrt.runtime.gateway.feed import Feed, FeedLimits, Health, opened_feed
from cathrt.runtime.journal.records import body_from_record
from tests.passes import whole_pass

NAMES = ("live", "study", "gateway")
RECORDS = whole_pass(20)
QUICK = FeedLimits(poll_ms=2.0, heartbeat_s=0.1)
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Event:
    """One event as a reader gets it."""

    id: str
    type: str
    data: bytes

    @property
    def seq(self) -> int:
        """The number of its row."""
        return int(self.id.partition("-")[0])

    @property
    def record_id(self) -> str:
        """The id of the record in it."""
        return str(json.loads(self.data)["id"])


class Reader:
    """One connection to a stream. last_id: to come back with; it counts once the block that holds it has ended."""

    def __init__(self, port: int, path: str, last_id: str | None = None, receive_bytes: int = 0) -> None:
        """receive_bytes: room for what is not read yet; 0: as the system has it."""
        self.last_id = last_id
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        self._connection.sock = _connected(port, receive_bytes)
        self._connection.request("GET", path, headers={} if last_id is None else {"Last-Event-ID": last_id})
        self._response = self._connection.getresponse()
        self.comments: list[str] = []
        self._ended = False

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def content_type(self) -> str | None:
        return self._response.getheader("content-type")

    def error(self) -> str:
        """What a refusal says."""
        return str(json.loads(self._response.read())["error"])

    def events(self) -> Iterator[Event]:
        """Events until the stream ends, however it ends; half an event is none."""
        block: list[str] = []
        while line := self._line():
            if line != "\n":
                block.append(line.removesuffix("\n"))
                continue
            event = self._event(block)
            block = []
            if event is not None:
                yield event

    def take(self, count: int) -> list[Event]:
        """So many events; fewer where the stream ends before."""
        return list(islice(self.events(), count))

    def lose_half_an_event(self, chance: random.Random) -> None:
        """Take some more lines as they come, without the end of their block: what a broken connection leaves."""
        for _ in range(chance.randrange(3)):
            self._line()

    def wait_for_heartbeat(self) -> None:
        """Read until the stream says that there is nothing new; what comes before is not returned."""
        before = len(self.comments)
        block: list[str] = []
        while len(self.comments) == before:
            line = self._line()
            assert line, "the stream has ended"
            if line != "\n":
                block.append(line.removesuffix("\n"))
            else:
                self._event(block)
                block = []

    def close(self) -> None:
        self._response.close()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _line(self) -> str:
        try:
            line = self._response.readline().decode()
        except (http.client.HTTPException, ConnectionError, ValueError):  # ValueError: half a chunk
            return ""
        return line if line.endswith("\n") else ""

    def _event(self, block: list[str]) -> Event | None:
        said = {}
        for line in block:
            name, _, value = line.partition(": ")
            if not name:
                self.comments.append(value)
                continue
            assert name not in said, "one field twice"
            said[name] = value
        self.last_id = said.get("id", self.last_id)
        if "data" not in said:
            return None
        assert self.last_id is not None
        return Event(self.last_id, said["event"], said["data"].encode())


def _connected(port: int, receive_bytes: int) -> socket.socket:
    connection = socket.socket()
    if receive_bytes:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.settimeout(PATIENCE_S)
    connection.connect(("127.0.0.1", port))
    return connection


@dataclass(frozen=True)
class Serving:
    """A running feed and the folder of its journals."""

    feed: Feed
    folder: Path

    def journal(self, name: str = "live") -> Path:
        return self.folder / f"{name}.journal"

    def reader(self, path: str = "/feeds/live", last_id: str | None = None, receive_bytes: int = 0) -> Reader:
        return Reader(self.feed.port, path, last_id, receive_bytes)

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of one request."""
        return self.ask("GET", path, **headers)

    def ask(self, method: str, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.feed.port, timeout=PATIENCE_S)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, headers=named)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()


@contextmanager
def serving(
    folder: Path, limits: FeedLimits = QUICK, max_readers: int = 8, health: Health = lambda _status: {}
) -> Iterator[Serving]:
    """A feed of three journals in `folder` on a free port, until the end of the block."""
    journals = {name: folder / f"{name}.journal" for name in NAMES}
    settings = FeedConfig(port=0, max_readers=max_readers)
    with opened_feed(settings, journals, health, limits) as feed:
        yield Serving(feed, folder)


def bodies(records: list[Record]) -> list[bytes]:
    """The records as a journal stores them."""
    return [body_from_record(record) for record in records]
