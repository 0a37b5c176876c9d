"""The supervisor and its service manager: ready when what is needed works, fed only by whole passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from cathrt.runtime.config import SupervisorConfig
from cathrt.runtime.processes.restarts import ProcessEvent
from cathrt.runtime.processes.service_manager import ServiceManager
from cathrt.runtime.processes.state_folder import StateFolder
from cathrt.runtime.processes.stop_event import Stopped
from cathrt.runtime.processes.supervisor import Supervisor
from tests.processes.children import WORKS, child, ends

CONFIG = SupervisorConfig(restarts=1, backoff_s=0.01, most_backoff_s=0.02, drain_s=60.0)
NEVER_READY = "import time; time.sleep(600)\n"


class Heard(ServiceManager):
    """A manager that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__("", None)
        self.lines: list[str] = []

    def ready(self) -> None:
        if "ready" not in self.lines:
            self.lines.append("ready")

    def alive(self) -> None:
        self.lines.append("alive")

    def status(self, line: str) -> None:
        self.lines.append(line)

    def stopping(self) -> None:
        self.lines.append("stopping")


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    (tmp_path / "shm").mkdir()
    made = StateFolder(tmp_path / "state")
    made.make(tmp_path / "shm")
    return made


def test_ready_comes_after_every_process_and_stopping_before_the_drain(state: StateFolder) -> None:
    stopped, manager = Stopped(), Heard()
    commands = {name: child(WORKS, name, state) for name in ("live", "gateway")}
    seen: list[str] = []

    def told(event: ProcessEvent) -> None:
        seen.append(f"{event.process} {event.what}")
        if seen.count("live ready") and seen.count("gateway ready"):
            stopped.stop.set()

    assert Supervisor(commands, state, CONFIG, told, manager=manager).run(stopped) == 0
    lines = [line for line in manager.lines if line != "alive"]
    assert "live running, gateway running" in lines[: lines.index("ready")]
    assert lines[lines.index("stopping") + 1 :] == [
        "live stopped, gateway running", "live stopped, gateway stopped",
    ]  # fmt: skip


def test_an_idle_process_that_takes_long_does_not_delay_ready(state: StateFolder) -> None:
    stopped, manager = Stopped(), Heard()
    commands = {"live": child(WORKS, "live", state), "study": child(NEVER_READY, "study", state)}

    def told(event: ProcessEvent) -> None:
        if (event.process, event.what) == ("live", "ready"):
            stopped.stop.set()

    Supervisor(commands, state, CONFIG, told, manager=manager).run(stopped)
    assert "ready" in manager.lines
    assert "live running, study starting" in manager.lines


def test_a_process_that_was_given_up_keeps_the_others_from_nothing(state: StateFolder) -> None:
    stopped, manager = Stopped(), Heard()
    commands = {"live": child(WORKS, "live", state), "gateway": ends(5)}
    seen: set[str] = set()

    def told(event: ProcessEvent) -> None:
        seen.add(f"{event.process} {event.what}")
        if {"live ready", "gateway given up"} <= seen:
            stopped.stop.set()

    assert Supervisor(commands, state, CONFIG, told, manager=manager).run(stopped) == 5
    assert manager.lines.index("ready") < manager.lines.index("stopping")


def test_a_supervisor_that_is_held_up_within_a_pass_feeds_nobody(state: StateFolder) -> None:
    stopped, manager = Stopped(), Heard()
    fed: list[int] = []

    def told(event: ProcessEvent) -> None:
        if event.what == "started":
            fed.append(manager.lines.count("alive"))
            stopped.stop.wait(0.3)  # six passes long
            fed.append(manager.lines.count("alive"))
        elif event.what == "ready":
            stopped.stop.set()

    assert Supervisor({"live": child(WORKS, "live", state)}, state, CONFIG, told, manager=manager).run(stopped) == 0
    assert fed == [0, 0]
    assert manager.lines.count("alive") >= 1
