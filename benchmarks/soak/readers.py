"""Readers of the feed: one that takes every record and keeps the books, one that comes and goes, one that freezes."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from array import array
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

from benchmarks.soak.lab import Lab

_PATIENCE_S = 15.0  # a comment comes every 5 s
_AGAIN_S = 0.2
_FROZEN_BYTES = 4096
_JUDGED = ("MET", "LATE")


class Follower:
    """Every record of one journal, as the feed gives it, from the first one on; it resumes wherever it breaks off.

    rows: number of the last row. odd: rows that were left out, came twice or out of order. outcomes: of each source.
    latencies: of judged frames, ms, with the second at which they came. summaries: frames of each run by its source.
    ids: of the records of each type but verdicts.
    """

    def __init__(self, lab: Lab, journal: str, over: threading.Event) -> None:
        self.rows = 0
        self.odd: list[str] = []
        self.outcomes: dict[str, Counter[str]] = {}
        self.came_s, self.latencies_ms = array("d"), array("d")
        self.summaries: dict[str, int] = {}
        self.ids: dict[str, set[str]] = {}
        self.connections = 0
        self.refusals: Counter[int] = Counter()
        self._sources: dict[str, str] = {}  # of passes that are not over
        self._lab, self._journal, self._over = lab, journal, over
        self._last = "0"

    def run(self) -> None:
        while not self._over.is_set():
            with suppress(OSError, http.client.HTTPException):
                self._read()
            self._over.wait(_AGAIN_S)

    def finish(self, rows: int) -> None:
        """What it did not get before the box ended is odd."""
        if self.rows != rows:
            self.odd.append(f"{self._journal}: {self.rows} rows delivered, {rows} in the journal")

    def _read(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._lab.feed_port, timeout=_PATIENCE_S)
        with closing(connection):
            connection.request("GET", f"/feeds/{self._journal}", headers={"Last-Event-ID": self._last})
            answer = connection.getresponse()
            if answer.status != 200:
                self.refusals[answer.status] += 1
                return
            self.connections += 1
            for identity, data in events(answer):
                self._last = identity
                if data is not None:
                    self._take(int(identity.partition("-")[0]), json.loads(data))

    def _take(self, row: int, record: dict[str, Any]) -> None:
        if row != self.rows + 1:
            self.odd.append(f"{self._journal}: row {row} after row {self.rows}")
        self.rows = row
        if record["type"] == "verdict":
            self._count(record)
            return
        self.ids.setdefault(record["type"], set()).add(record["id"])
        if record["type"] == "pass":
            self._sources[record["pass_id"]] = record["source"]
        elif record["type"] == "run":
            self._sources.pop(record["pass_id"], None)
            self.summaries[record["source"]] = record["frames"]

    def _count(self, verdict: dict[str, Any]) -> None:
        source = self._sources.get(verdict["pass_id"], "unknown")
        self.outcomes.setdefault(source.partition(" ")[0], Counter())[verdict["outcome"]] += 1
        if verdict["outcome"] in _JUDGED:
            self.came_s.append(self._lab.now_s)
            self.latencies_ms.append(verdict["latency_ms"]["end_to_end"])


def events(answer: http.client.HTTPResponse) -> Iterator[tuple[str, bytes | None]]:
    """Id and data of each whole event; no data where it only says where the reader is."""
    said: dict[bytes, bytes] = {}
    for line in answer:
        name, separator, value = line.rstrip(b"\n").partition(b": ")
        if separator:
            said[name] = value
        elif line == b"\n":
            if b"id" in said:
                yield said[b"id"].decode(), said.get(b"data")
            said = {}


def visit(lab: Lab, records: int) -> None:
    """Take the newest records from now on, so many, and leave in the middle of the stream."""
    connection = http.client.HTTPConnection("127.0.0.1", lab.feed_port, timeout=_PATIENCE_S)
    with closing(connection):
        connection.request("GET", "/feeds/live?types=verdict&after=end")
        for number, _event in enumerate(events(connection.getresponse())):
            if number == records:
                return


def freeze(lab: Lab, over: threading.Event, seconds: float) -> None:
    """Ask for everything and take nothing for so long."""
    with socket.socket() as frozen:
        frozen.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _FROZEN_BYTES)
        frozen.settimeout(_PATIENCE_S)
        frozen.connect(("127.0.0.1", lab.feed_port))
        frozen.sendall(b"GET /feeds/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        over.wait(seconds)


def scrape(lab: Lab, path: str) -> bytes:
    """One page of the gateway. Raises OSError, http.client.HTTPException."""
    connection = http.client.HTTPConnection("127.0.0.1", lab.feed_port, timeout=_PATIENCE_S)
    with closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status not in (200, 503):
            raise http.client.HTTPException(f"{path} answers {answer.status}")
        return body
