"""A journal is made whole or not at all: however full the disk is, whatever call fails or is the process's last."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cathrt.runtime.errors import JournalError
from cathrt.runtime.journal.report import verify_journal
from cathrt.runtime.models import record_parts
from tests.faults.call_order import calls_in
from tests.faults.calls import Conditions, Nursery, Strike, nursery
from tests.faults.kill_pass import RECORDS

DRIVE = "tests.faults.kill_pass:drive_few"
ROOM_ENOUGH = 200_000  # bytes
FILES = {"journal.db", "journal.db-head", "journal.db-wal", "journal.db-shm", "shown"}


@pytest.fixture(scope="module")
def processes() -> Iterator[Nursery]:
    with nursery() as started:
        yield started


def left_usable(processes: Nursery, folder: Path) -> None:
    """There is no journal, or a whole one; and once the trouble is over it takes records."""
    journal = folder / "journal.db"
    if journal.exists():
        verify_journal(journal, record_parts())
    assert processes.run(DRIVE, str(folder), 2) == 0
    assert verify_journal(journal, record_parts()).rows == 3
    assert {file.name for file in folder.iterdir()} <= {
        "journal.db",
        "journal.db-head",
        "journal.db-wal",
        "journal.db-shm",
        "shown",
    }
    shown = (folder / "shown").read_bytes().splitlines()[-3:]
    assert [RECORDS[row].id.encode() in line for row, line in enumerate(shown)] == [True] * 3


# No divisor of a page, so that every file is cut inside and at the end of its pages.
@pytest.mark.parametrize("step_bytes", [2971, pytest.param(307, marks=pytest.mark.slow)])
def test_at_every_level_of_free_space(processes: Nursery, tmp_path: Path, step_bytes: int) -> None:
    refused = 0
    for space in range(0, ROOM_ENOUGH, step_bytes):
        folder = tmp_path / str(space)
        folder.mkdir()
        conditions = Conditions(str(tmp_path / "calls"), str(folder / "journal.db"), space=space)
        ended = processes.run(DRIVE, str(folder), 1, conditions=conditions)
        if ended == 0:
            break
        assert ended == JournalError.exit_code
        refused += 1
        left_usable(processes, folder)
    else:
        raise AssertionError(f"{ROOM_ENOUGH} bytes are not enough for three records")
    assert refused * step_bytes > 70_000  # the file, the head, the log and its index were cut everywhere


# The everyday third begins with the first call; each of them is among the slow ones.
@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("action", "ended"), [("fail", JournalError.exit_code), ("kill", -signal.SIGKILL)])
def test_at_every_call_that_fails_or_never_comes_back(
    processes: Nursery, tmp_path: Path, action: str, ended: int, every: int
) -> None:
    calls, whole = tmp_path / "calls", tmp_path / "whole"
    whole.mkdir()
    assert processes.run(DRIVE, str(whole), 1, conditions=Conditions(str(calls), str(whole / "journal.db"))) == 0

    for nth in range(1, len(calls_in(calls)) + 1, every):
        folder = tmp_path / str(nth)
        folder.mkdir()
        strike = Strike("", "", nth, action)
        conditions = Conditions(str(tmp_path / "struck"), str(folder / "journal.db"), strike)
        assert processes.run(DRIVE, str(folder), 1, conditions=conditions) in (ended, 0), nth
        left_usable(processes, folder)
