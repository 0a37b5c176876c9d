"""`cathrt swap` as a command: what it says, when it ends, and with which exit code."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from cathrt.runtime.config import Config, SourceConfig
from cathrt.runtime.processes.health import CONFIGURED
from cathrt.runtime.processes.heartbeat import Heartbeat
from cathrt.runtime.processes.state_folder import StateFolder
from cathrt.runtime.processes.supervisor import SUPERVISOR
from cathrt.runtime.processes.swap_files import SwapAnswer, answer_swap, swap_request
from tests.docs.records_page import unlike_page
from tests.e2e.commands import cathrt

PATIENCE_S = 60.0


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    """Of a `cathrt run` with one live source, as far as its files say."""
    folder = StateFolder(tmp_path / "state")
    folder.make()
    folder.write_report(CONFIGURED, asdict(replace(Config(), sources=(SourceConfig("A", "phantom"),))))
    Heartbeat(folder.heartbeat(SUPERVISOR)).beat()
    return folder


@pytest.fixture
def answers(state: StateFolder) -> Iterator[list[SwapAnswer]]:
    """The live process: gives these answers to a request, the id of which it puts in."""
    to_give: list[SwapAnswer] = []
    over = threading.Event()

    def live() -> None:
        while (request := swap_request(state)) is None:
            if over.wait(0.02):
                return
        for answer in to_give:
            answer_swap(state, replace(answer, id=request.id, bundle=request.bundle))
            over.wait(0.5)

    thread = threading.Thread(target=live)
    thread.start()
    yield to_give
    over.set()
    thread.join(PATIENCE_S)


def test_it_shows_each_step_and_ends_well_where_the_bundle_is_kept(
    state: StateFolder, answers: list[SwapAnswer], tmp_path: Path
) -> None:
    answers += [
        SwapAnswer("", "", "comparing", "asked", "0 frames left out: no time", 7, 60),
        SwapAnswer("", "", "kept", "healthy", "150 frames were judged without an error", 150, 150),
    ]
    done = cathrt("swap", state.path, tmp_path / "new", "--json")
    assert done.returncode == 0, done.stderr
    assert [(one["phase"], one["frames"]) for one in done.records] == [("comparing", 7), ("kept", 150)]
    assert not [fault for one in done.records for fault in unlike_page(one)]


def test_a_refusal_is_shown_and_is_the_exit_code_of_a_refused_bundle(
    state: StateFolder, answers: list[SwapAnswer], tmp_path: Path
) -> None:
    answers += [SwapAnswer("", "", "refused", "bundle", "model.onnx: its hash does not fit")]
    done = cathrt("swap", state.path, tmp_path / "new")
    assert done.returncode == 5
    assert "refused (bundle): model.onnx: its hash does not fit" in done.stdout


def test_it_need_not_be_waited_for(state: StateFolder, tmp_path: Path) -> None:
    done = cathrt("swap", state.path, tmp_path / "new", "--seconds", "0")
    assert done.returncode == 1
    assert "it goes on without this command" in done.stderr
    assert json.loads(state.swap_request.read_text())["bundle"] == str(tmp_path / "new")


def test_where_nothing_runs_nothing_is_asked(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "state")
    done = cathrt("swap", folder.path, tmp_path / "new")
    assert done.returncode == 1
    assert "no `cathrt run` has this state folder" in done.stderr
    assert not folder.swap_request.exists()


def test_a_second_bundle_waits_until_the_first_has_ended(state: StateFolder, tmp_path: Path) -> None:
    answer_swap(state, SwapAnswer("1", "/first", "comparing", "asked", "", 1, 60))
    done = cathrt("swap", state.path, tmp_path / "second")
    assert done.returncode == 1
    assert "/first is on its way in (comparing)" in done.stderr
    assert not state.swap_request.exists()
