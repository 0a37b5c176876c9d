"""Reports that cannot be written: the work goes on, the log says so once, and they come again when they can be."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from cathrt.runtime.processes.kept_report import KeptReport
from cathrt.runtime.processes.state_folder import StateFolder

NAME = "engines"


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    (tmp_path / "shm").mkdir()
    folder = StateFolder(tmp_path / "state")
    folder.make(tmp_path / "shm")
    return folder


def test_a_report_is_written_when_it_says_something_else_and_when_it_is_gone(state: StateFolder) -> None:
    report = KeptReport(state, NAME)
    report.keep({"rung": 0})
    written = state.report(NAME).stat().st_ino
    report.keep({"rung": 0})
    assert state.report(NAME).stat().st_ino == written
    report.keep({"rung": 1})
    assert state.read_report(NAME) == {"rung": 1}
    state.report(NAME).unlink()
    report.keep({"rung": 1})
    assert state.read_report(NAME) == {"rung": 1}


def test_without_shared_memory_the_log_says_so_once_and_the_report_comes_when_it_is_there_again(
    state: StateFolder, caplog: pytest.LogCaptureFixture
) -> None:
    report, memory = KeptReport(state, NAME), state.memory.resolve()
    shutil.rmtree(memory)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert not report.write({"rung": 1})
            report.keep({"rung": 2})
        memory.mkdir()
        report.keep({"rung": 2})
    assert state.read_report(NAME) == {"rung": 2}
    first, second = [record.getMessage() for record in caplog.records]
    assert first.startswith("no report of engines, the work goes on: ")
    assert "check the path, the disk and the permissions" in first
    assert second == "the report of engines can be written again"
