"""A command that is stopped from outside: its exit code, a journal that is closed, and never a traceback."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil
import pytest

from cathrt.runtime.phantom.dicom import write_xa
from tests.e2e.commands import cathrt
from tests.lines import ArraySource, picture

CLI = [sys.executable, "-m", "cathrt.runtime.commands.cli"]
LIVE = [*CLI, "phantom", "--live", "--seed", "2", "--runs", "9", "--matrix", "64", "--rate-hz", "30", "--json"]


def started(*command: str | Path, before: Callable[[], None] | None = None) -> subprocess.Popen[bytes]:
    """Without a buffer on our side: what is not read here is still in the pipe."""
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, preexec_fn=before)


def live(journal: Path, before: Callable[[], None] | None = None) -> subprocess.Popen[bytes]:
    """A live study whose first record has been shown."""
    process = started(*LIVE, "--pause-s", "0", "--journal", journal, before=before)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["type"] == "pass"
    return process


def ignore_hangup() -> None:
    """What nohup does."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_closes_the_journal_and_is_the_exit_code_and_a_second_one_adds_nothing(
    tmp_path: Path, number: signal.Signals
) -> None:
    journal = tmp_path / "journal.db"
    process = live(journal)
    process.send_signal(number)
    time.sleep(0.02)
    process.send_signal(number)
    with process:
        shown, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert said.splitlines()[-1].decode() == f"cathrt: stopped by {number.name}"
    assert b"Traceback" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["journal.db", "journal.db-head"], "not closed"
    (report,) = cathrt("verify", "--json", journal).records
    assert report["anomalies"] == []
    assert report["rows"] == 1 + len(shown.splitlines()), "what is in the journal and what was shown must be the same"


def test_a_hangup_that_nohup_ignores_stays_ignored(tmp_path: Path) -> None:
    process = live(tmp_path / "journal.db", before=ignore_hangup)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    with process:
        process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM


def wait_until_full(pipe: IO[bytes], writer: int) -> None:
    """Until nothing more has been written into a pipe for half a second, because nobody reads it.

    writer: its process, which meanwhile waits, with all that it started: on a busy machine it may only be slow.
    """
    held, waited = -1, False
    while (now := int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)) != held or not (
        now and waited
    ):
        held, waited = now, True
        for _ in range(10):
            time.sleep(0.05)
            waited &= all_wait(writer)


def all_wait(pid: int) -> bool:
    """Whether every thread of a process and of those below it sleeps until something comes."""
    process = psutil.Process(pid)
    for one in (process, *process.children(recursive=True)):
        for task in Path(f"/proc/{one.pid}/task").glob("*/stat"):
            with suppress(OSError):  # it has just ended
                if task.read_text().rpartition(")")[2].split()[0] in "RD":
                    return False
    return True


def test_where_closing_hangs_a_later_signal_ends_the_command_at_once(tmp_path: Path) -> None:
    source = ArraySource([0.1] * 60)
    run = write_xa(source.run, lambda i: picture(0.1 + 0.005 * i, i), tmp_path / "run.dcm")
    with started(*CLI, "replay", "--json", "--journal", tmp_path / "journal.db", run) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
        wait_until_full(process.stdout, process.pid)
        process.send_signal(signal.SIGINT)
        time.sleep(1.2)
        assert process.poll() is None, "the reader that stands still did not hold the command up"
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 128 + signal.SIGINT
        assert b"Traceback" not in process.stderr.read()
    (report,) = cathrt("verify", "--json", tmp_path / "journal.db").records
    assert report["anomalies"] == []


def test_a_command_that_only_computes_is_stopped_too(tmp_path: Path) -> None:
    process = started(*CLI, "phantom", "--seed", "1", "--runs", "9", "--matrix", "256", "--out", tmp_path)
    while not any(name.endswith(".part") for name in os.listdir(tmp_path)):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    with process:
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, b"cathrt: stopped by SIGINT\n")
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".part")], "half a file was left behind"


ALONE = """
import sys
import termios
from pathlib import Path
from typing import IO
from cathrt.export.qualify.alone import measure_alone
from cathrt.runtime.bundle.shipped import demonstration_bundle, shipped_keys
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.models import open_bundle
from cathrt.runtime.commands.stop_signals import stop_on_signals

if __name__ == "__main__":
    stop_on_signals()
    print("ready", flush=True)
    bundle = open_bundle(demonstration_bundle(), shipped_keys())
    measure_alone(bundle, "classifier", "onnxruntime", EngineConfig(), calls=10**9)
"""


def test_ctrl_c_in_the_terminal_reaches_a_worker_too_and_no_traceback_comes_of_it(tmp_path: Path) -> None:
    script = tmp_path / "alone.py"
    script.write_text(ALONE)
    process = started(sys.executable, script, before=os.setsid)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    while not (worker := worker_of(process.pid)):
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.05)
    time.sleep(0.3)  # the worker is importing
    os.killpg(process.pid, signal.SIGINT)
    with process:
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, b"")
    assert not os.path.exists(f"/proc/{worker}/exe")


def worker_of(pid: int) -> str:
    """The child of a process that runs multiprocessing's spawn_main, or nothing."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
            return child
    return ""


def test_a_signal_while_the_script_still_imports_is_quiet_too(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("import time; print('importing', flush=True); time.sleep(60)")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from cathrt.export.commands import main; main()"
    process = started(sys.executable, "-c", code)
    assert process.stdout is not None
    assert process.stdout.readline() == b"importing\n"
    process.send_signal(signal.SIGINT)
    with process:
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, b"")
