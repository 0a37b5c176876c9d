"""A page with live sources, a reader of its events and a browser of its pictures: what the live tests share."""

from __future__ import annotations

import http.client
import json
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from websockets.sync.client import ClientConnection, connect

from cathrt.runtime.config import Config, SourceConfig
from cathrt.runtime.frame import Grayscale
from cathrt.runtime.pictures.writer import PictureRing
from cathrt.runtime.ports import Picture
from cathrt.runtime.web.live.routes import routes
from tests.web.serving import HOST, Client, Served, served

SOURCES = (SourceConfig(name="A", kind="phantom", rate_hz=15.0), SourceConfig(name="B", kind="phantom"))
PATIENCE_S = 60.0
SLOT = 1 << 20
_HEADER = struct.Struct("<4sHHIIIIQqdIIff")


@dataclass(frozen=True)
class Event:
    """One event as a browser gets it."""

    id: str
    type: str
    data: Any

    def seq(self, journal: str) -> int:
        """Up to which row of that journal it goes."""
        return int(dict(part.split(":") for part in self.id.split(","))[journal].partition("-")[0])


class EventReader:
    """One stream of events. last_id: to come back with."""

    def __init__(self, client: Client, query: str = "", last_id: str | None = None) -> None:
        self._connection = http.client.HTTPConnection(HOST, client.port, timeout=PATIENCE_S)
        sent = client.sent("GET", False, {} if last_id is None else {"Last-Event-ID": last_id})
        self._connection.request("GET", f"/api/events{query}", headers=sent)
        self._response = self._connection.getresponse()
        self.status, self.last_id = self._response.status, last_id

    def events(self) -> Iterator[Event]:
        """Until the stream ends."""
        said: dict[str, str] = {}
        while line := self._response.readline().decode():
            if line != "\n":
                name, _, value = line.rstrip("\n").partition(": ")
                said[name] = value
                continue
            self.last_id = said.get("id", self.last_id)
            if "data" in said:
                yield Event(self.last_id or "", said["event"], json.loads(said["data"]))
            said = {}

    def wait_until_begun(self) -> None:
        """Until the stream has said where it begins."""
        while not self._response.readline().startswith(b"id: "):
            pass
        assert self._response.readline() == b"\n"

    def take(self, count: int, type_: str = "record") -> list[Event]:
        """So many events of a type."""
        found: list[Event] = []
        for event in self.events():
            if event.type == type_:
                found.append(event)
            if len(found) == count:
                break
        return found

    def error(self) -> str:
        """What a refusal says."""
        return str(json.loads(self._response.read())["error"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()
        self._connection.close()


@dataclass(frozen=True)
class Shown:
    """A picture as a browser gets it."""

    pixels: NDArray[np.uint8]
    step: int
    flags: int
    number: int
    captured_ns: int
    age_ms: float
    skipped: int
    bits_stored: int
    low: float
    high: float


def shown(message: str | bytes) -> Shown:
    """Read a message of the pictures' WebSocket."""
    assert isinstance(message, bytes)
    magic, version, size, rows, columns, step, flags, number, captured_ns, age_ms, skipped, bits, low, high = (
        _HEADER.unpack_from(message)
    )
    assert (magic, version, size, len(message)) == (b"CRTP", 1, 64, 64 + rows * columns)
    pixels = np.frombuffer(message, np.uint8, offset=size).reshape(rows, columns)
    return Shown(pixels, step, flags, number, captured_ns, age_ms, skipped, bits, low, high)


@contextmanager
def pictures_of(page: Served, client: Client, source: str = "A") -> Iterator[ClientConnection]:
    """A browser that watches a source."""
    address = f"ws://{HOST}:{page.page.port}/api/pictures/{source}"
    origin: Any = page.url.rstrip("/")
    with connect(address, origin=origin, additional_headers={"Cookie": client.cookie}, compression=None) as socket:
        yield socket


def ring_path(state: Path, source: str) -> Path:
    """Where the ring of a source is in these tests."""
    return state / "memory" / f"pictures-{source}"


def ring_of(state: Path, source: str = "A", clock: Any = None) -> PictureRing:
    """The writing side, as the live process has it."""
    ring_path(state, source).parent.mkdir(parents=True, exist_ok=True)
    return PictureRing(ring_path(state, source), source, SLOT, clock or time.monotonic_ns)


def grey(value: int, captured_ns: int, shape: tuple[int, int] = (64, 48)) -> Picture:
    """A picture of one grey."""
    return Picture(np.full(shape, value, np.uint8), Grayscale(8), captured_ns)


@contextmanager
def live_page(state: Path, **more: Any) -> Iterator[Served]:
    """A page over `state` with the live part alone."""
    config = more.pop("config", Config(sources=SOURCES))
    with served(state, parts=(routes,), config=config, ring_of=lambda name: ring_path(state, name), **more) as page:
        yield page
