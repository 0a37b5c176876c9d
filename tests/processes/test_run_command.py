"""`cathrt run` and `cathrt health` as a user has them, with small processes in the place of the real ones."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.commands.run import run_command
from cathrt.runtime.errors import CathrtError, ManifestError, SinkError
from cathrt.runtime.processes import child as processes
from cathrt.runtime.processes.state_folder import StateFolder
from tests.conftest import ROOT
from tests.docs.records_page import unlike_page
from tests.processes.children import WORKS, child

# Appends a pass to its journal at each start, counts it, and works until it is stopped.
JUDGES = """
import time
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.processes.child import process_main
from cathrt.runtime.processes.counts_file import CountsFile
from tests.passes import AT_ONCE, alert, start, summary, verdict
def work(process, arguments):
    state = arguments.state
    if NAME == "gateway":
        while not process.stop.wait(0.05):
            process.beat()
        return
    path = state.live_journal if NAME == "live" else state.study_journal
    run = f"{NAME} run {path.stat().st_size if path.exists() else 0}"
    with Journal(path, AT_ONCE) as journal:
        verdicts = [verdict(index, run) for index in range(3)]
        for record in (start(run), *verdicts, alert(0, run), summary(verdicts, run)):
            journal.append(record)
        journal.sync()
        if NAME == "live":
            counts = CountsFile(state.counts("A"), "A")
            counts.settle({})
            for count in ("received", "frames", "met"):
                counts.add(count, 3)
        while not process.stop.wait(0.05):
            if NAME == "live":
                counts.note("inference_ns", time.monotonic_ns())
            process.beat()
process_main(NAME, "normal", work)
"""
COMMAND = """
import sys, typer
from cathrt.runtime.commands import cli
from cathrt.runtime.commands.health import health_command
from cathrt.runtime.commands.run import run_command
from cathrt.runtime.processes import child as processes
from tests.processes.children import child
from tests.processes.test_run_command import JUDGES
processes.command_of = lambda name, arguments: child(JUDGES, name, arguments.state)
cli.app = typer.Typer(pretty_exceptions_enable=False)
cli.app.command("run")(run_command)
cli.app.command("health")(health_command)
cli.main()
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "lab.toml"
    path.write_text('[[sources]]\nname = "A"\nkind = "phantom"\n[supervisor]\nreserve_mib = 1\ndrain_s = 60.0\n')
    return path


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """The folder; what a test leaves in shared memory is cleared."""
    path = tmp_path / "state"
    yield path
    if os.path.lexists(path / "memory"):
        StateFolder(path).dismiss_memory()


def started(*words: str | Path, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", COMMAND, *map(str, words)]
    return subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    process = started(*words)
    out, err = process.communicate()
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def documents(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    return map(json.loads, process.stdout)


def until_judged(found: Iterator[dict[str, Any]], ready: set[str]) -> list[dict[str, Any]]:
    """What is printed until both journals have a run's summary and these processes are ready."""
    printed, wanted = [], {"live run", "confirmed run", *(f"{process} ready" for process in ready)}
    for document in found:
        printed.append(document)
        if document["type"] == "run":
            wanted.discard(f"{document['result']} run")
        if document.get("what") == "ready":
            wanted.discard(f"{document['process']} ready")
        if not wanted:
            return printed
    raise AssertionError(f"ended without {wanted}: {printed}")


def test_records_of_both_journals_are_printed_and_marked_and_a_signal_ends_it_well(state: Path, config: Path) -> None:
    with started("run", state, "--config", config, "--json") as process:
        found = documents(process)
        printed = until_judged(found, {"live", "study", "gateway"})
        healthy = run("health", state, "--json")
        process.send_signal(signal.SIGTERM)
        printed += found
        assert process.stderr is not None
        said = process.stderr.read()
    assert process.returncode == 0, said
    for result in ("live", "confirmed"):
        types = [document["type"] for document in printed if document.get("result") == result]
        assert types == ["pass", "verdict", "verdict", "verdict", "alert", "run"]
    assert {document["notice"] for document in printed} == {NOTICE}
    others = [document for document in printed if "result" not in document] + [json.loads(healthy.stdout)]
    assert {document["type"] for document in others} == {"process", "counts", "health"}
    assert not [fault for document in others for fault in unlike_page(document)]
    assert [document["process"] for document in printed if document.get("what") == "stopped"][-1] == "gateway"
    (counts,) = [document for document in printed if document["type"] == "counts"]
    assert (counts["source"], counts["received"], counts["met"], counts["lost"]) == ("A", 3, 3, 0)
    assert "cathrt: gateway: ready" in said
    assert json.loads(healthy.stdout)["reasons"] == []
    assert healthy.returncode == 0
    assert not os.path.lexists(state / "memory")
    after = run("health", state)
    assert (after.returncode, after.stdout.splitlines()[:2]) == (
        1, ["NOT HEALTHY", "  not running: no `cathrt run` has this state folder"],
    )  # fmt: skip


@pytest.mark.slow  # test_shown_journals.py has its parts
def test_it_goes_on_where_standard_output_takes_no_more_and_says_so_in_the_end(state: Path, config: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with started("run", state, "--config", config, "--json", stdout=writing) as process:
        os.close(writing)
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if {"cathrt: live: ready\n", "cathrt: study: ready\n", "cathrt: gateway: ready\n"} <= set(said):
                break
        process.send_signal(signal.SIGTERM)
        said += process.stderr
    assert process.returncode == 8
    assert len([line for line in said if "[the processes go on; every record is in the journals]" in line]) == 1
    assert "cathrt: gateway: ended\n" in said


def test_a_second_one_on_the_same_folder_is_refused(state: Path, config: Path) -> None:
    with (
        StateFolder(state).supervised(),
        pytest.raises(CathrtError, match="another `cathrt run` has this state folder"),
    ):
        run_command(state, config=config)


def test_nothing_is_started_where_the_bundle_is_refused(state: Path, config: Path, tmp_path: Path) -> None:
    with pytest.raises(ManifestError):
        run_command(state, bundle=[tmp_path / "none"], config=config)
    assert not state.exists()


def test_nothing_is_started_where_the_disk_is_too_small(state: Path, config: Path) -> None:
    config.write_text("[supervisor]\nreserve_mib = 1000000000\n")
    with pytest.raises(SinkError, match=r"\(supervisor.reserve_mib\) for journals and received runs"):
        run_command(state, config=config)


def test_after_so_many_seconds_it_ends_well(state: Path, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "command_of", lambda name, arguments: child(WORKS, name, arguments.state))
    with pytest.raises(typer.Exit) as ended:
        run_command(state, config=config, seconds=0.3)
    assert ended.value.exit_code == 0
