"""What every process of `cathrt run` does first: its command line, its end with the supervisor, signals, errors."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cathrt.runtime.errors import SinkError
from cathrt.runtime.processes.child import ProcessArguments, arguments_from, command_of
from cathrt.runtime.processes.heartbeat import Heartbeat, forget_beats, last_beat_ns
from cathrt.runtime.processes.state_folder import StateFolder
from tests.conftest import ROOT


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    (tmp_path / "shm").mkdir()
    made = StateFolder(tmp_path / "state")
    made.make(tmp_path / "shm")
    return made


def started(work: str, state: StateFolder, *words: str) -> subprocess.Popen[str]:
    """A process whose work is that piece of Python; `say()` writes a line."""
    code = (
        "import os, sys, threading\n"
        "from cathrt.runtime.errors import EngineError\n"
        "from cathrt.runtime.processes.child import process_main\n"
        "def say(text): print(text, flush=True)\n"
        f"def work(process, arguments):\n{work}\n"
        "process_main('study', 'normal', work)\n"
    )
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", code, str(state.path), *words]
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=ROOT)


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_what_a_process_is_started_with_is_what_it_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = ProcessArguments(StateFolder(Path("-state")), Path("a b.toml"), (Path("x"), Path("/y")), 12)
    command = command_of("live", given)
    assert command[:3] == [sys.executable, "-m", "cathrt.runtime.processes.live"]
    read = arguments_from(command[3:])
    assert read.state.path == tmp_path / "-state"
    assert (read.config, read.bundles, read.supervisor_pid) == (tmp_path / "a b.toml", (tmp_path / "x", Path("/y")), 12)


def test_by_hand_a_process_needs_a_state_folder_alone(tmp_path: Path) -> None:
    read = arguments_from(command_of("live", ProcessArguments(StateFolder(tmp_path)))[3:])
    assert (read.state.path, read.config, read.bundles, read.supervisor_pid) == (tmp_path, None, (), None)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_sets_stop_and_the_process_ends_well(state: StateFolder, number: int) -> None:
    with started("    say('ready'); process.stop.wait(); say('drained')", state) as process:
        assert line(process) == "ready"
        process.send_signal(number)
        assert line(process) == "drained"
    assert process.returncode == 0


def test_stop_is_set_while_the_main_thread_is_in_a_long_call(state: StateFolder) -> None:
    work = (
        "    import hashlib\n"
        "    def end():\n"
        "        process.stop.wait(); say('heard'); os._exit(7)\n"
        "    threading.Thread(target=end, daemon=True).start()\n"
        "    say('ready')\n"
        "    hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"  # some ten minutes in one call of C
    )
    with started(work, state) as process:
        assert line(process) == "ready"
        process.terminate()
        assert line(process) == "heard"
    assert process.returncode == 7


def test_a_second_signal_changes_nothing(state: StateFolder) -> None:
    work = "    say('ready'); process.stop.wait(); say('draining'); sys.stdin.readline()"
    with started(work, state) as process:
        assert line(process) == "ready"
        process.terminate()
        assert line(process) == "draining"
        process.terminate()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate("go on\n")
    assert (process.returncode, err) == (0, "")


def test_an_error_of_ours_is_one_line_and_its_exit_code(state: StateFolder) -> None:
    with started("    raise EngineError('the device is gone')", state) as process:
        _, err = process.communicate()
    assert (process.returncode, err) == (6, "cathrt study: error: the device is gone\n")


def test_a_bug_of_ours_has_its_traceback_and_exit_code_1(state: StateFolder) -> None:
    with started("    raise ZeroDivisionError", state) as process:
        _, err = process.communicate()
    assert process.returncode == 1
    assert err.endswith("ZeroDivisionError\n")


def test_wrong_usage_ends_with_2(state: StateFolder) -> None:
    with started("    pass", state, "--confg", "x") as process:
        assert process.wait() == 2


def test_a_process_whose_supervisor_has_gone_already_does_nothing(state: StateFolder) -> None:
    with started("    say('worked')", state, "--supervisor", "1") as process:
        out, _ = process.communicate()
    assert (process.returncode, out) == (1, "")


def test_it_tells_what_it_was_granted(state: StateFolder) -> None:
    with started("    process.real_time('the line')", state) as process:
        process.communicate()
    report = json.loads(state.report("study").read_text())
    assert report["pid"] == process.pid
    told = report["granted"] + report["refused"]
    assert [grant.partition(":")[0] for grant in told] == ["real time for the line"]


def test_without_shared_memory_it_goes_on_and_says_once_that_it_cannot_tell(state: StateFolder) -> None:
    work = (
        "    import shutil\n"
        "    shutil.rmtree(arguments.state.memory.resolve())\n"
        "    for thread in ('the line', 'the pictures'):\n"
        "        process.real_time(thread)\n"
        "    process.beat()\n"
        "    say('worked')"
    )
    with started(work, state) as process:
        out, err = process.communicate()
    assert (process.returncode, out) == (0, "worked\n")
    assert len(err.splitlines()) == 1
    assert err.startswith("cathrt study: ERROR: no report of study, the work goes on: ")


def test_a_beat_is_seen_from_outside(state: StateFolder) -> None:
    path, readings = state.heartbeat("live"), iter([5, 7])
    assert last_beat_ns(path) is None
    heartbeat = Heartbeat(path, lambda: next(readings))
    assert last_beat_ns(path) is None
    heartbeat.beat()
    assert last_beat_ns(path) == 5
    heartbeat.beat()
    assert last_beat_ns(path) == 7


def test_a_heartbeat_that_has_no_place_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="none/heartbeat: No such file or directory: check the shared memory"):
        Heartbeat(tmp_path / "none" / "heartbeat")


def test_the_beats_of_the_process_before_are_forgotten(state: StateFolder) -> None:
    before = Heartbeat(state.heartbeat("live"))
    before.beat()
    forget_beats(state.heartbeat("live"))
    before.beat()  # it does not know, and is not the next one
    assert last_beat_ns(state.heartbeat("live")) is None


def test_signals_that_are_ignored_stay_so(state: StateFolder) -> None:
    work = "    say('ready'); sys.stdin.readline(); say(str(process.stop.is_set()))"
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        process = started(work, state)
    finally:
        signal.signal(signal.SIGHUP, before)
    with process:
        assert line(process) == "ready"
        os.kill(process.pid, signal.SIGHUP)
        out, _ = process.communicate("go on\n")
    assert (process.returncode, out.strip()) == (0, "False")
