"""The live part of `cathrt demo`: a phantom streamed through `cathrt run`, its feed read meanwhile, and a run stored.

Not for: the page with plots and pictures (demo.py).
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cathrt.runtime.commands.doctor import effective_config
from cathrt.runtime.config import Config, SourceConfig
from cathrt.runtime.errors import CathrtError, SinkError
from cathrt.runtime.listener.peer_address import PeerAddress
from cathrt.runtime.listener.send import send_file

_HOST = "127.0.0.1"
_RESERVE_MIB = 256  # a demonstration leaves a few MiB
_START_S = 30.0
_RUNS = "pause_s=3 hold=yes rate_hz=15"


def live_demo(run: Path, state: Path, config: Config, *, seed: int, seconds: float, json_: bool) -> dict[str, int]:
    """Run `cathrt run` on `state`; send `run` to its listener; read its feeds. Its output is ours.

    It ends after `seconds`, and not before the stored run is confirmed. Returns how many events the live feed had, by
    type of record. Raises CathrtError where it does not end well.
    """
    settings = demo_settings(config, seed)
    state.mkdir(parents=True, exist_ok=True)
    file = state / "demo.toml"
    file.write_text(effective_config(settings), encoding="utf-8")
    listener = settings.listener
    with _running(state, file, json_=json_) as child:
        for port in (settings.feed.port, listener.port):
            _connect(port, child)
        ends_s = time.monotonic() + seconds
        live, study = (_FeedReader(name, settings.feed.port) for name in ("live", "study"))
        send_file(run, PeerAddress(listener.ae_title, _HOST, listener.port))
        if not study.judged.wait(seconds + _START_S):
            raise CathrtError(f"{run.name}: not confirmed within {seconds + _START_S:g} s of being stored")
        while child.poll() is None and time.monotonic() < ends_s:
            time.sleep(0.1)
        child.terminate()
        code = child.wait()
        for reader in (live, study):
            reader.join()
    if code != 0:
        raise CathrtError(f"`cathrt run` ended with {code}, expected 0: what it printed says why")
    if (failure := live.failure or study.failure) is not None:
        raise failure
    return live.events


def demo_settings(config: Config, seed: int) -> Config:
    """One phantom as a live source, on ports that are free now."""
    source = SourceConfig(name="phantom", kind="phantom", address=f"seed={seed} {_RUNS}", rate_hz=15.0)
    return replace(
        config,
        sources=(source,),
        feed=replace(config.feed, host=_HOST, port=_free_port()),
        page=replace(config.page, host=_HOST, port=_free_port(), demo=True),
        listener=replace(config.listener, host=_HOST, port=_free_port(), reserve_mib=_RESERVE_MIB),
        supervisor=replace(config.supervisor, reserve_mib=_RESERVE_MIB),
    )


@contextmanager
def _running(state: Path, config: Path, *, json_: bool) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "cathrt.runtime.commands.cli", "run", str(state), "--config", str(config)]
    command += ["--json"] if json_ else []
    child = subprocess.Popen(command)
    try:
        yield child
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def _connect(port: int, child: subprocess.Popen[bytes]) -> None:
    """Wait until something listens there. Raises SinkError."""
    deadline_s = time.monotonic() + _START_S
    while time.monotonic() < deadline_s and child.poll() is None:
        try:
            socket.create_connection((_HOST, port), timeout=1.0).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SinkError(f"{_HOST}:{port}: nothing listens there after {_START_S:g} s: what `cathrt run` printed says why")


class _FeedReader(threading.Thread):
    """Counts the events of one feed until it ends. judged: it had the summary of a run. failure: why it broke off."""

    def __init__(self, feed: str, port: int) -> None:
        super().__init__(name=f"cathrt-demo-{feed}", daemon=True)
        self.events: dict[str, int] = {}
        self.judged = threading.Event()
        self.failure: CathrtError | None = None
        self._feed, self._port = feed, port
        self.start()

    def run(self) -> None:
        try:
            connection = http.client.HTTPConnection(_HOST, self._port, timeout=_START_S)
            try:
                self._read(connection)
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, ValueError) as exc:
            self.failure = SinkError(f"the feed {self._feed} on port {self._port} broke off: {exc}")

    def _read(self, connection: http.client.HTTPConnection) -> None:
        connection.request("GET", f"/feeds/{self._feed}?after=0")
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            raise ValueError(f"it answered {answer.status}: {answer.read(300)!r}")
        for line in answer:
            if line.startswith(b"data:"):
                kind = json.loads(line[5:])["type"]
                self.events[kind] = self.events.get(kind, 0) + 1
                if kind == "run":
                    self.judged.set()
