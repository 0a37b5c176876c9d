"""`cathrt run` as a child process with a small phantom as its live source, its feed read meanwhile, and kills.

Not for: what must hold afterwards (test_run.py).
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cathrt.runtime.processes.counts_file import CountsRead, read_counts
from cathrt.runtime.processes.state_folder import StateFolder

PATIENCE_S = 120.0
PROCESSES = ("live", "study", "gateway")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Box:
    """One `cathrt run`. lines: what it printed with --json, parsed. sources: names of live phantoms."""

    folder: Path
    sources: tuple[str, ...] = ("A",)
    feed_port: int = field(default_factory=free_port)
    listener_port: int = field(default_factory=free_port)
    child: subprocess.Popen[bytes] | None = None

    @property
    def state(self) -> StateFolder:
        return StateFolder(self.folder / "state")

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "box.toml"
        config.write_text(self._config(), encoding="utf-8")
        command = [sys.executable, "-m", "cathrt.runtime.commands.cli", "run", str(self.state.path), "--json"]
        with (self.folder / "out").open("ab") as out, (self.folder / "err").open("ab") as err:
            self.child = subprocess.Popen([*command, "--config", str(config)], stdout=out, stderr=err)

    def _config(self) -> str:
        sources = [
            f'[[sources]]\nname = "{name}"\nkind = "phantom"\nrate_hz = 15.0\nbudget_ms = 5000.0\n'
            f'address = "seed={number} matrix=64 pause_s=1 rate_hz=15 frames=30"\n'
            for number, name in enumerate(self.sources, 3)
        ]
        return "\n".join([
            *sources,
            f"[feed]\nport = {self.feed_port}\n[page]\nport = 0\n",
            f"[listener]\nport = {self.listener_port}\nreserve_mib = 16\ndrain_s = 1.0\n",
            "[supervisor]\nreserve_mib = 16\nrestarts = 1000\nbackoff_s = 0.05\nmost_backoff_s = 0.2\ndrain_s = 60.0\n",
        ])  # fmt: skip

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "out").read_text(encoding="utf-8").splitlines()]

    @property
    def said(self) -> str:
        return (self.folder / "err").read_text(encoding="utf-8")

    def counts(self, source: str = "A") -> CountsRead | None:
        return read_counts(self.state.counts(source))

    def met(self, source: str = "A") -> int:
        """Verdicts of judged frames so far."""
        counts = self.counts(source)
        return 0 if counts is None else counts.values["met"] + counts.values["late"]

    def pid(self, name: str) -> int | None:
        with suppress(ValueError):
            report = self.state.read_report("supervisor") or {}
            for process in report.get("processes", ()):
                if process["name"] == name and process["state"] == "running":
                    return int(process["pid"])
        return None

    def wait_for(self, what: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not what():
            assert self.child is not None
            assert self.child.poll() is None, self.said
            assert time.monotonic() < deadline, f"it did not come: {self.said}"
            time.sleep(0.02)

    def kill(self, name: str) -> None:
        """kill -9 of one process, once it runs."""
        self.wait_for(lambda: self.pid(name))
        pid = self.pid(name)
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            self.wait_for(lambda: self.pid(name) not in (None, pid))

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.child is not None
        self.child.terminate()
        return self.child.wait(PATIENCE_S)

    def end(self) -> None:
        """Whatever happened, nothing goes on."""
        if self.child is not None and self.child.poll() is None:
            self.child.kill()
            self.child.wait()


class FeedReader(threading.Thread):
    """Reads the live feed from its first event on, and resumes behind the last one wherever it breaks off."""

    def __init__(self, box: Box) -> None:
        super().__init__(daemon=True)
        self.events: list[tuple[int, dict[str, Any]]] = []
        self.over = threading.Event()
        self._box = box
        self._last = "0"

    def run(self) -> None:
        while not self.over.is_set():
            with suppress(OSError, http.client.HTTPException):
                self._read()
            self.over.wait(0.05)

    def _read(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._box.feed_port, timeout=5.0)
        try:
            connection.request("GET", "/feeds/live", headers={"Last-Event-ID": self._last})
            answer = connection.getresponse()
            assert answer.status in (200, 503), answer.read(500)
            fields: dict[bytes, bytes] = {}
            for line in answer:
                name, _, value = line.rstrip(b"\n").partition(b": ")
                if name:
                    fields[name] = value
                elif line == b"\n":  # an event is whole
                    if b"data" in fields:
                        self._last = fields[b"id"].decode()
                        self.events.append((int(self._last.partition("-")[0]), json.loads(fields[b"data"])))
                    fields = {}
        finally:
            connection.close()


def kill_at_random(box: Box, kills: int, seed: int) -> None:
    """kill -9 of one process after the other, at moments that the seed says."""
    random_ = random.Random(seed)
    for _ in range(kills):
        time.sleep(random_.uniform(0.0, 1.0))
        box.kill(random_.choice(PROCESSES))
