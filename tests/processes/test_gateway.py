"""The gateway as a process: it receives and serves, ends well, and may be killed at any moment."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from cathrt.runtime.config import Config, OutletConfig
from cathrt.runtime.errors import CathrtError, ConfigError
from cathrt.runtime.gateway.feed import FeedStatus
from cathrt.runtime.journal.report import verify_journal
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.listener.scp import Listener
from cathrt.runtime.listener.statuses import SUCCESS
from cathrt.runtime.models import record_parts
from cathrt.runtime.outlets.delivered import delivered_through
from cathrt.runtime.outlets.state import OUTLETS
from cathrt.runtime.processes.child import ProcessArguments, process
from cathrt.runtime.processes.gateway import gateway, health_with, require_well
from cathrt.runtime.processes.state_folder import StateFolder
from tests.conftest import ROOT
from tests.gateway.reading import PATIENCE_S, RECORDS, Reader, bodies, serving
from tests.listener.listening import associated, dataset
from tests.outlets.receivers import receiving
from tests.passes import AT_ONCE, refusal, rows, write
from tests.sources.dicom_bytes import text, xa_file

READY = re.compile(r"listening as CATHRT on 127\.0\.0\.1:(\d+), feed at http://127\.0\.0\.1:(\d+)/")


@dataclass(frozen=True)
class Running:
    """A gateway that has begun."""

    process: subprocess.Popen[str]
    dicom_port: int
    feed_port: int

    def end(self) -> str:
        """Ask it to end; what it said until then. It has to end well."""
        self.process.send_signal(signal.SIGTERM)
        _, said = self.process.communicate(timeout=PATIENCE_S)
        assert (self.process.returncode, "Traceback" in said) == (0, False), said
        return said


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateFolder]:
    """A state folder; what is left in shared memory is cleared."""
    folder = StateFolder(tmp_path / "state")
    yield folder
    if os.path.lexists(folder.memory):
        folder.dismiss_memory()


@contextmanager
def started(state: StateFolder, drain_s: float = 20.0, outlets: str = "") -> Iterator[Running]:
    """The process, once it says where it is. outlets: TOML."""
    config = state.path.with_name("lab.toml")
    ports = "[feed]\nport = 0\n[page]\nport = 0\n"
    config.write_text(f"[listener]\nport = 0\nreserve_mib = 1\ndrain_s = {drain_s}\n{ports}{outlets}")
    words = [sys.executable, "-m", "cathrt.runtime.processes.gateway", str(state.path), "--config", str(config)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=ROOT) as begun:
        try:
            assert begun.stderr is not None
            line = begun.stderr.readline()
            ports = READY.search(line)
            assert ports, line + begun.stderr.read()
            yield Running(begun, int(ports[1]), int(ports[2]))
        finally:
            begun.kill()


def test_it_receives_and_serves_and_ends_when_all_have_what_they_came_for(state: StateFolder, tmp_path: Path) -> None:
    xa = tmp_path / "run.dcm"
    xa.write_bytes(xa_file(_00080018=text("UI", "1.2.3.4")))
    with started(state) as running, Reader(running.feed_port, "/feeds/live") as reader:
        write(state.live_journal, RECORDS[:10])
        assert [event.data for event in reader.take(10)] == bodies(RECORDS)[:10]
        with associated(running.dicom_port) as association:
            running.process.send_signal(signal.SIGTERM)
            _until_nobody_listens(running.dicom_port)
            assert association.send_c_store(dataset(xa)).Status == SUCCESS  # a modality that is in the middle of it
            write(state.live_journal, RECORDS)
        assert [event.data for event in reader.events()] == bodies(RECORDS)[10:]
        assert running.end() == ""
    assert len(list((state.store / "objects").rglob("*.dcm"))) == 1
    report = verify_journal(state.gateway_journal, record_parts())
    assert (report.rows, report.starts, report.sound) == (1, 1, True)


def _until_nobody_listens(port: int) -> None:
    """Without connecting: a connection that is given up at once counts as one for as long as listener.idle_s."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                trial.bind(("127.0.0.1", port))
                return
        time.sleep(0.01)
    raise AssertionError("it still takes associations")


@pytest.mark.slow
def test_an_association_that_does_not_end_is_aborted_when_its_time_is_up(state: StateFolder) -> None:
    with started(state, drain_s=0.2) as running, associated(running.dicom_port):
        assert running.end() == ""


def test_health_is_that_of_the_whole_and_names_a_journal_that_cannot_be_followed(state: StateFolder) -> None:
    state.make()
    feed = FeedStatus(readers=2, rows={"live": 7, "study": 0}, faults={"study": "study.journal: the head is missing"})
    document = health_with(feed, state, Config())
    assert document["healthy"] is False
    assert "feed study: study.journal: the head is missing" in document["reasons"]
    assert any(reason.startswith("not running: no `cathrt run`") for reason in document["reasons"])


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ('[page]\nport = 0\n[feed]\nhost = "0.0.0.0"\n', ConfigError, r"feed\.host: found 0\.0\.0\.0"),
        ("[feed]\nport = {port}\n[listener]\nport = 0\n", CathrtError, r"choose another feed\.port"),
        ("[feed]\nport = 0\n[listener]\nport = {port}\n", CathrtError, r"choose another listener\.host or listener\.p"),
    ],
    ids=["other machines", "feed", "listener"],
)
def test_a_place_that_cannot_be_had_is_an_error_that_says_so(
    state: StateFolder, settings: str, error: type[CathrtError], says: str
) -> None:
    config = state.path.with_name("lab.toml")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config.write_text(settings.format(port=taken.getsockname()[1]))
        with process("gateway", state, "normal") as running, pytest.raises(error, match=says):
            gateway(running, ProcessArguments(state, config))


def test_where_the_feed_or_a_thread_of_the_listener_has_ended_the_process_ends_too(tmp_path: Path) -> None:
    well, not_well = (cast(Listener, SimpleNamespace(is_well=is_well)) for is_well in (True, False))
    with serving(tmp_path) as served:
        require_well(well, served.feed)
        with pytest.raises(CathrtError, match="a thread of the DICOM listener has ended"):
            require_well(not_well, served.feed)
        served.feed.close()
        with pytest.raises(CathrtError, match="the feed has ended"):
            require_well(well, served.feed)


@pytest.mark.parametrize("kills", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_a_reader_has_every_record_once_however_often_the_gateway_is_killed(state: StateFolder, kills: int) -> None:
    chance = random.Random(kills)
    state.path.mkdir()
    got: list[str] = []
    last_id: str | None = None
    done = threading.Event()
    with Journal(state.live_journal, AT_ONCE) as journal:
        writing = threading.Thread(target=_write_until, args=(journal, done))
        writing.start()
        try:
            for _ in range(kills):
                with started(state) as running, Reader(running.feed_port, "/feeds/live", last_id) as reader:
                    until = len(got) + chance.randrange(1, 100)
                    for event in reader.events():  # ends where the gateway does
                        got.append(event.record_id)
                        if len(got) == until:
                            running.process.kill()
                    last_id = reader.last_id
        finally:
            done.set()
            writing.join()
    stored = [id_ for _, id_ in rows(state.live_journal)]
    with started(state) as running, Reader(running.feed_port, "/feeds/live", last_id) as reader:
        got += [event.record_id for event in reader.take(len(stored) - len(got))]
    assert len(stored) > kills
    assert got == stored


def _write_until(journal: Journal, done: threading.Event) -> None:
    number = 0
    while not done.wait(0.01):
        journal.append(refusal(f"input {number}"))
        number += 1


@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_an_outlet_has_every_record_in_order_however_often_the_gateway_is_killed(
    state: StateFolder, kills: int
) -> None:
    chance = random.Random(kills)
    state.path.mkdir()
    done = threading.Event()
    with receiving("webhook") as receiver, Journal(state.live_journal, AT_ONCE) as journal:
        outlets = f'[[outlets]]\nname = "ward"\nkind = "webhook"\naddress = "{receiver.address}"\nfirst_wait_s = 0.1\n'
        writing = threading.Thread(target=_write_until, args=(journal, done))
        writing.start()
        try:
            for _ in range(kills):
                with started(state, outlets=outlets) as running:
                    until = len(receiver.told.taken) + chance.randrange(5, 60)
                    receiver.told.wait_for(lambda until=until: len(receiver.told.taken) >= until)  # type: ignore[misc]
                    running.process.kill()
        finally:
            done.set()
            writing.join()
        journal.sync()
        stored = [id_ for _, id_ in rows(state.live_journal)]
        with started(state, outlets=outlets) as running:
            receiver.told.wait_for(lambda: receiver.told.ids[-1] == stored[-1])
            assert running.end() == ""  # a goodbye notes the place
        assert list(dict.fromkeys(receiver.told.ids)) == stored
        assert delivered_through(state.outbox, [MANDATORY], "live", len(stored)) == len(stored)
        repeats = len(receiver.told.ids) - len(stored)
        assert repeats <= 17 * kills


MANDATORY = OutletConfig("ward", "webhook", "http://127.0.0.1", mandatory=True)


def test_an_outlet_that_cannot_work_is_in_health_and_ends_nothing(state: StateFolder) -> None:
    outlets = '[[outlets]]\nname = "ward"\nkind = "webhook"\naddress = "http://127.0.0.1:1"\nsecret_file = "none"\n'
    with started(state, outlets=outlets) as running:
        write(state.live_journal, RECORDS)
        for _ in range(600):
            report = state.read_report(OUTLETS)
            if report is not None and report["outlets"][0]["error"]:
                break
            time.sleep(0.05)
        assert report is not None
        assert "outlets.ward.secret_file: none cannot be read" in report["outlets"][0]["error"]
        assert "Traceback" not in running.end()
