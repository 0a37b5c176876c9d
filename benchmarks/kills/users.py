"""Those who use the box while it is killed: a sender of runs and a reader of each feed. Each notes what it was given.

Not for: receivers of outlets (receiver.py).
"""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.kills.box import KilledBox
from benchmarks.kills.evidence import noted
from tests.listener.listening import associated, dataset
from tests.sources.dicom_bytes import xa_file

_FRAMES = 6
_AGAIN_S = 0.1


class User(threading.Thread):
    """Does something with the box again and again until it is over, whatever breaks off."""

    def __init__(self, name: str, act: Callable[[], None], every_s: float) -> None:
        super().__init__(name=name, daemon=True)
        self._act, self._every_s = act, every_s
        self._over = threading.Event()
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            while not self._over.wait(self._every_s):
                with suppress(OSError, http.client.HTTPException):  # the other side was killed
                    self._act()
        except BaseException as exc:  # the main thread raises it
            self.failure = exc

    def finish(self, patience_s: float = 60.0) -> None:
        """Let it come to its end. Raises what ended it before."""
        self._over.set()
        self.join(patience_s)
        if self.failure is not None:
            raise self.failure
        if self.is_alive():
            raise SystemExit(f"kills: {self.name} has not come to its end within {patience_s:g} s")


class Notes:
    """A file of JSON lines, one written after the other; a last one that was cut is removed first."""

    def __init__(self, path: Path) -> None:
        whole = path.read_bytes() if path.is_file() else b""
        whole = whole[: whole.rfind(b"\n") + 1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(whole)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        self._lock = threading.Lock()

    def note(self, *values: object) -> None:
        """One line, whole before it returns."""
        with self._lock:
            os.write(self._descriptor, json.dumps(values).encode() + b"\n")


class Sender:
    """Sends one run after the other by C-STORE, each until it is told success."""

    def __init__(self, box: KilledBox) -> None:
        self._box = box
        self._file = box.folder / "run.dcm"
        self._file.write_bytes(xa_file(_FRAMES))
        self._number = sum(1 for _ in noted(box.stored_notes))
        self._notes = Notes(box.stored_notes)

    def send(self) -> None:
        """The next run, or the one before again. Raises OSError where the listener is not there."""
        uid = f"1.2.826.0.1.{self._number + 1}"
        try:
            with associated(self._box.listener_port) as association:
                study = f"1.2.826.0.2.{self._number // 4}"
                status = association.send_c_store(dataset(self._file, SOPInstanceUID=uid, StudyInstanceUID=study))
        except (AssertionError, RuntimeError, ValueError) as exc:  # as pynetdicom says that nobody is there
            raise OSError(f"no association: {exc}") from exc
        if "Status" in status and status.Status == 0:
            self._notes.note(uid)
            self._number += 1


class FeedReader:
    """Reads a feed, and goes on behind the last event that it has noted."""

    def __init__(self, box: KilledBox, name: str) -> None:
        self._box, self._name = box, name
        self._last = str(max((number for number, _ in noted(box.feed_notes(name))), default=0))
        self._notes = Notes(box.feed_notes(name))

    def read(self) -> None:
        """Until the stream breaks off. Raises OSError, HTTPException."""
        connection = http.client.HTTPConnection("127.0.0.1", self._box.feed_port, timeout=5.0)
        try:
            connection.request("GET", f"/feeds/{self._name}", headers={"Last-Event-ID": self._last})
            answer = connection.getresponse()
            if answer.status == 503:
                return
            if answer.status != 200:
                raise SystemExit(f"kills: feed {self._name}: found {answer.status}: {answer.read(500)!r}")
            fields: dict[bytes, bytes] = {}
            for line in answer:
                name, _, value = line.rstrip(b"\n").partition(b": ")
                if name:
                    fields[name] = value
                elif line == b"\n":  # an event is whole
                    self._take(fields)
                    fields = {}
        finally:
            connection.close()

    def _take(self, fields: dict[bytes, bytes]) -> None:
        if b"id" in fields:
            self._last = fields[b"id"].decode()
        if b"data" in fields:
            record: dict[str, Any] = json.loads(fields[b"data"])
            self._notes.note(int(self._last.partition("-")[0]), record["id"])


def users_of(box: KilledBox, store_every_s: float) -> list[User]:
    """A sender and a reader of each feed, not started yet."""
    return [
        User("sender", Sender(box).send, store_every_s),
        *(User(f"reader of {name}", FeedReader(box, name).read, _AGAIN_S) for name in ("live", "study")),
    ]


def wait_for(what: Callable[[], bool], within_s: float, every_s: float = 0.02) -> bool:
    """Whether it came about in time. every_s: how often it is looked at."""
    deadline = time.monotonic() + within_s
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_s)
    return True
