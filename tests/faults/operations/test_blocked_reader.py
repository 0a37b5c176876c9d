"""A reader of `cathrt run` that takes nothing: its processes are watched as ever, and it ends when it is told to."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from cathrt.runtime.errors import SinkError
from cathrt.runtime.listener.statuses import SUCCESS
from cathrt.runtime.processes.heartbeat import last_beat_ns
from cathrt.runtime.processes.state_folder import StateFolder
from cathrt.runtime.processes.supervisor import SUPERVISOR
from tests.conftest import ROOT
from tests.listener.listening import associated, dataset
from tests.processes.test_run_command import started
from tests.sources.dicom_bytes import xa_file

Recorded = Callable[[str, object], None]
PATIENCE_S = 60.0


@contextmanager
def full_pipe() -> Iterator[tuple[int, int]]:
    """A pipe that holds all that it can: its two ends."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"\n" * 4096)
    os.set_blocking(writing, True)
    try:
        yield reading, writing
    finally:
        os.close(reading)
        os.close(writing)


def pid_of(state: StateFolder, name: str) -> int | None:
    report = state.read_report(SUPERVISOR) or {} if state.memory.exists() else {}
    running = [each for each in report.get("processes", ()) if each["name"] == name and each["state"] == "running"]
    return int(running[0]["pid"]) if running else None


def wait_for(what: Callable[[], object]) -> float:
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < PATIENCE_S, "it did not come"
        time.sleep(0.02)
    return time.monotonic() - began


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateFolder]:
    folder = StateFolder(tmp_path / "state")
    yield folder
    if os.path.lexists(folder.memory):
        folder.dismiss_memory()


def test_a_reader_of_the_listener_that_takes_nothing_keeps_no_sender_waiting(
    tmp_path: Path, record_property: Recorded
) -> None:
    config = tmp_path / "lab.toml"
    config.write_text("[listener]\nport = 0\nreserve_mib = 1\ndrain_s = 1.0\n")
    file = tmp_path / "run.dcm"
    file.write_bytes(xa_file())
    command = [sys.executable, "-m", "cathrt.runtime.commands.cli", "listen", str(tmp_path / "store")]
    with full_pipe() as (_, writing), subprocess.Popen(
        [*command, "--config", str(config)], stdout=writing, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as listener:  # fmt: skip
        try:
            assert listener.stderr is not None
            port = int(listener.stderr.readline().rpartition(":")[2])
            began = time.monotonic()
            for number in range(3):
                with associated(port) as association:
                    status = association.send_c_store(dataset(file, SOPInstanceUID=f"1.2.3.{number}")).Status
                assert status == SUCCESS
            record_property("recovery_s", round(time.monotonic() - began, 3))
            listener.send_signal(signal.SIGTERM)
            _, said = listener.communicate(timeout=PATIENCE_S)
        finally:
            listener.kill()
    assert listener.returncode == SinkError.exit_code, said
    assert "the listener goes on" in said
    assert len(list((tmp_path / "store" / "objects").rglob("*.dcm"))) == 3


@pytest.mark.parametrize(
    "words", [pytest.param(["--json"], id="json"), pytest.param([], id="text", marks=pytest.mark.slow)]
)
def test_a_reader_that_takes_nothing_holds_up_neither_restarts_nor_the_end(
    words: list[str], state: StateFolder, tmp_path: Path, record_property: Recorded
) -> None:
    config = tmp_path / "lab.toml"
    config.write_text("[supervisor]\nreserve_mib = 1\ndrain_s = 60.0\nbackoff_s = 0.05\n")
    with full_pipe() as (_, writing):
        command = started("run", state.path, *words, "--config", config, stdout=writing)
        try:
            wait_for(lambda: pid_of(state, "live"))
            before = pid_of(state, "live")
            assert before is not None
            os.kill(before, signal.SIGKILL)
            record_property("recovery_s", round(wait_for(lambda: pid_of(state, "live") not in (None, before)), 3))
            beat_ns = last_beat_ns(state.heartbeat(SUPERVISOR))
            assert beat_ns is not None
            assert time.monotonic_ns() - beat_ns < 5e9
            command.send_signal(signal.SIGTERM)
            _, said = command.communicate(timeout=PATIENCE_S)
        finally:
            command.kill()
            command.wait()
    assert command.returncode == SinkError.exit_code, said
    assert "its reader has taken nothing for 5 s" in said
    assert "live: ended by SIGKILL" in said
    assert "Traceback" not in said
