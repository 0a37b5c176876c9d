"""The supervisor with small processes: all end well, crashes and hangs lead to restarts, nothing outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from cathrt.runtime.config import SupervisorConfig
from cathrt.runtime.processes.heartbeat import last_beat_ns
from cathrt.runtime.processes.restarts import ProcessEvent
from cathrt.runtime.processes.service_manager import ServiceManager
from cathrt.runtime.processes.state_folder import StateFolder
from cathrt.runtime.processes.stop_event import Stopped
from cathrt.runtime.processes.supervisor import SUPERVISOR, Supervisor
from tests.conftest import ROOT
from tests.processes.children import HANGS, HAS_A_CHILD, IGNORES_TERM, WORKS, child, ended, ends

CONFIG = SupervisorConfig(restarts=2, backoff_s=0.01, most_backoff_s=0.02, drain_s=60.0)


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    (tmp_path / "shm").mkdir()
    made = StateFolder(tmp_path / "state")
    made.make(tmp_path / "shm")
    return made


class Run:
    """One supervisor's life: what it said, and how it ended."""

    def __init__(
        self,
        state: StateFolder,
        commands: Mapping[str, Sequence[str]],
        stop_when: Callable[[list[ProcessEvent]], bool],
        config: SupervisorConfig = CONFIG,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """stop_when: asked after each event, with all so far."""
        self.stopped, self.events = Stopped(), list[ProcessEvent]()
        self._stop_when = stop_when
        self.code = Supervisor(commands, state, config, self._told, now_s).run(self.stopped)

    def _told(self, event: ProcessEvent) -> None:
        self.events.append(event)
        if self._stop_when(self.events):
            self.stopped.stop.set()

    def of(self, name: str) -> list[str]:
        return [event.what for event in self.events if event.process == name]

    def text(self, what: str) -> str:
        (text,) = [event.text for event in self.events if event.what == what]
        return text


def ready(*names: str) -> Callable[[list[ProcessEvent]], bool]:
    return lambda events: {event.process for event in events if event.what == "ready"} >= set(names)


def after(what: str, times: int = 1) -> Callable[[list[ProcessEvent]], bool]:
    return lambda events: sum(event.what == what for event in events) >= times


def test_all_end_well_and_the_gateway_last(state: StateFolder) -> None:
    names = ("gateway", "live", "study")
    run = Run(state, {name: child(WORKS, name, state) for name in names}, ready(*names))
    assert run.code == 0
    assert {name: run.of(name) for name in names} == {name: ["started", "ready", "stopped"] for name in names}
    assert set(ended(state)) == set(names)
    assert ended(state)[-1] == "gateway"


def test_a_process_that_crashes_at_once_is_given_up_and_the_others_go_on(state: StateFolder) -> None:
    commands = {"live": ends(1), "study": child(WORKS, "study", state)}
    run = Run(state, commands, lambda events: after("given up")(events) and ready("study")(events))
    assert run.code == 1
    assert run.of("live") == [*["started", "ended"] * 2, "started", "given up"]
    assert run.of("study") == ["started", "ready", "stopped"]
    assert run.text("given up") == (
        "live: ended with exit status 1: given up after 2 restarts within 300 s; the others go on"
    )


def test_a_good_end_that_nobody_asked_for_is_followed_by_a_restart(state: StateFolder) -> None:
    run = Run(state, {"live": ends(0)}, after("started", 2))
    assert run.of("live")[:3] == ["started", "ended", "started"]


def test_when_all_are_given_up_it_ends_with_the_code_of_what_was_wrong(state: StateFolder) -> None:
    commands = {"live": ends(1), "study": ends(3)}
    run = Run(state, commands, lambda events: False)
    assert run.code == 3
    assert run.of("study") == ["started", "given up"]


def test_a_process_that_is_killed_is_started_again(state: StateFolder) -> None:
    def kill_the_first(events: list[ProcessEvent]) -> bool:
        if len(events) == 2:
            report = state.read_report(SUPERVISOR)
            assert report is not None
            os.kill(report["processes"][0]["pid"], signal.SIGKILL)
        return after("ready", 2)(events)

    run = Run(state, {"live": child(WORKS, "live", state)}, kill_the_first)
    assert run.code == 0
    assert [event.text for event in run.events][2:4] == [
        "live: ended by SIGKILL: starts again in 0.01 s", "live: started (restart 1)",
    ]  # fmt: skip


def test_a_process_that_hangs_is_killed_and_started_again(state: StateFolder) -> None:
    def fast_s() -> float:
        return 5.0 * time.monotonic()  # a minute takes twelve seconds

    config = SupervisorConfig(restarts=1, backoff_s=0.01, drain_s=1e6)
    run = Run(state, {"live": child(HANGS, "live", state)}, after("ended"), config, fast_s)
    assert run.of("live")[:3] == ["started", "ready", "ended"]
    assert run.text("ended").startswith("live: killed, no heartbeat for 10 s: starts again")


def test_a_process_that_ignores_sigterm_is_killed_and_said_to_be(state: StateFolder) -> None:
    config = SupervisorConfig(drain_s=0.3)
    run = Run(state, {"live": child(IGNORES_TERM, "live", state)}, ready("live"), config)
    assert run.code == 1
    assert run.text("killed") == ("live: killed, not ended within 0.3 s of SIGTERM: what it had in hand is lost")


def test_in_a_hurry_it_waits_for_nobody(state: StateFolder) -> None:
    stopped, events = Stopped(), list[ProcessEvent]()

    def told(event: ProcessEvent) -> None:
        events.append(event)
        if event.what == "ready":
            stopped.stop.set()
            stopped.hurry.set()

    started_s = time.monotonic()
    commands = {"live": child(IGNORES_TERM, "live", state)}
    assert Supervisor(commands, state, CONFIG, told).run(stopped) == 1
    assert time.monotonic() - started_s < CONFIG.drain_s
    assert events[-1].text == "live: killed, asked to hurry: what it had in hand is lost"


def test_a_command_that_cannot_be_started_is_given_up_like_any_other(state: StateFolder) -> None:
    run = Run(state, {"live": ["/nonexistent/python"]}, lambda events: False)
    assert run.code == 1
    assert run.events[0].text == "live: cannot be started (No such file or directory): starts again in 0.01 s"


def test_what_a_process_started_ends_with_it(state: StateFolder) -> None:
    run = Run(state, {"live": child(HAS_A_CHILD, "live", state)}, ready("live"))
    assert run.code == 0
    assert has_gone(int((state.path / "grandchild").read_text()))


def has_gone(pid: int) -> bool:
    """Wait until nothing runs under that number; a zombie, which init has not reaped, does not."""
    until_s = time.monotonic() + 60.0
    while time.monotonic() < until_s:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False


def test_the_report_says_how_each_process_is(state: StateFolder) -> None:
    run = Run(state, {"live": child(WORKS, "live", state)}, ready("live"))
    report = state.read_report(SUPERVISOR)
    assert run.code == 0
    assert report == {
        "pid": os.getpid(),
        "processes": [{"name": "live", "state": "stopped", "pid": None, "restarts": 0, "why": "ended", "last_end": ""}],
    }


def test_a_report_that_cannot_be_written_stops_nothing(state: StateFolder) -> None:
    (state.report(SUPERVISOR)).mkdir()
    run = Run(state, {"live": child(WORKS, "live", state)}, ready("live"))
    assert run.code == 0
    assert "live: started [not in the report: " in run.events[0].text


def test_what_it_keeps_in_shared_memory_comes_again_where_that_was_cleared(state: StateFolder) -> None:
    given: dict[str, dict[str, Any]] = {"config": {"line": {"budget_ms": 50.0}}, "given": {"bundles": []}}
    for of, document in given.items():
        state.write_report(of, document)
    stopped, passes = Stopped(), list[int]()

    def clear(event: ProcessEvent) -> None:
        if event.what == "ready":
            for path in state.memory.iterdir():
                path.unlink()
            passes.append(0)

    class Passes(ServiceManager):
        def alive(self) -> None:  # at the end of each pass
            if passes:
                passes[0] += 1
                if passes[0] == 3:
                    stopped.stop.set()

    commands = {"live": child(WORKS, "live", state)}
    supervisor = Supervisor(commands, state, CONFIG, clear, manager=Passes("", None), given=given)
    assert supervisor.run(stopped) == 0
    assert {of: state.read_report(of) for of in given} == given
    assert (state.read_report(SUPERVISOR) or {})["pid"] == os.getpid()
    assert last_beat_ns(state.heartbeat(SUPERVISOR))


SUPERVISES = """
import sys
from pathlib import Path
from cathrt.runtime.processes.stop_event import stopped_by_signals
from cathrt.runtime.processes.supervisor import Supervisor
from tests.processes.children import HAS_A_CHILD, PRINTS, WORKS, child
from tests.processes.test_supervisor import CONFIG, StateFolder
state = StateFolder(Path(sys.argv[1]))
scripts = {"live": HAS_A_CHILD, "study": PRINTS, "gateway": WORKS}
commands = {name: child(script, name, state) for name, script in scripts.items()}
def told(event):
    print(event.what, event.process, file=sys.stderr, flush=True)
with stopped_by_signals() as stopped:
    sys.exit(Supervisor(commands, state, CONFIG, told).run(stopped))
"""


def supervising(state: StateFolder) -> subprocess.Popen[str]:
    """A supervisor in a process of its own, once all its processes are ready."""
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISES, str(state.path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert supervisor.stderr is not None
    for _, line in zip(range(3), (line for line in supervisor.stderr if line.startswith("ready")), strict=False):
        assert line
    return supervisor


def test_kill_9_of_the_supervisor_ends_its_processes(state: StateFolder) -> None:
    with supervising(state) as supervisor:
        report = state.read_report(SUPERVISOR)
        assert report is not None
        supervisor.kill()
        assert all(has_gone(process["pid"]) for process in report["processes"])
        os.kill(int((state.path / "grandchild").read_text()), signal.SIGKILL)  # its parent did not see to that
        supervisor.communicate()


def test_a_signal_drains_them_all_and_standard_output_stays_clean(state: StateFolder) -> None:
    with supervising(state) as supervisor:
        supervisor.terminate()
        out, err = supervisor.communicate(timeout=120)
    assert supervisor.returncode == 0
    assert set(ended(state)) == {"live", "study", "gateway"}
    assert out == ""
    assert [line.split()[1] for line in err.splitlines() if line.startswith("stopped")][-1] == "gateway"
