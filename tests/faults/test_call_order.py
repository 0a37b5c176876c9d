"""Nothing is shown before it is on the disk, by the order of system calls: also what an earlier process left behind.

What a killed process wrote and did not sync is in the system's memory: a later process reads it, a power cut loses it.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.call_order import Call, calls_in, read_ahead, unsynced_when_shown
from tests.faults.calls import Conditions, Nursery, Strike, nursery
from tests.faults.kill_pass import FINISH, PASSES, SHOWN

DRIVE = "tests.faults.kill_pass:drive_pass"


@pytest.fixture(scope="module")
def processes() -> Iterator[Nursery]:
    with nursery() as started:
        yield started


def faults(processes: Nursery, folder: Path, strike: Strike | None, *attempts: tuple[str | int, ...]) -> list[str]:
    """Run each attempt (a function of kill_pass and its arguments); what any of them showed before it was synced.

    The strike meets the first attempt, which must not survive it; the others must end well.
    """
    folder.mkdir()
    journal = folder / "journal.db"
    shown = tuple(folder / name for name in SHOWN)
    found = []
    for number, (function, *arguments) in enumerate(attempts, 1):
        log_found = journal.with_name("journal.db-wal").exists()
        log = folder.with_name(f"{folder.name} calls {number}")
        conditions = Conditions(str(log), str(folder), strike if number == 1 else None)
        ended = processes.run(f"tests.faults.kill_pass:{function}", str(folder), *arguments, conditions=conditions)
        assert ended == (-signal.SIGKILL if number == 1 else 0)
        found += [f"attempt {number}, {fault}"
                  for fault in unsynced_when_shown(calls_in(log), journal, shown, log_found)]  # fmt: skip
    return found


@pytest.mark.parametrize(
    ("point", "after"),
    [(point, after) for point, passes in PASSES.items() for after in sorted({0, passes // 2, passes - 1})],
)
def test_killed_at_a_fail_point_nothing_is_shown_before_it_is_synced(
    processes: Nursery, tmp_path: Path, point: str, after: int
) -> None:
    attempts = [("drive_pass", point, after, 1), ("drive_pass", FINISH, 0, 2)]

    assert faults(processes, tmp_path / "case", None, *attempts) == []


@pytest.mark.parametrize("nth", [3, 5, 9])  # the first two syncs are of the empty log and of its header
@pytest.mark.parametrize(
    "later", [("drive_pass", FINISH, 0, 2), ("show_report",), ("show_stored",)], ids=["line", "verify", "stored"]
)
def test_killed_between_write_and_sync_of_the_log_nothing_is_shown_before_it_is_synced(
    processes: Nursery, tmp_path: Path, nth: int, later: tuple[str | int, ...]
) -> None:
    strike = Strike("sync", "-wal", nth)

    assert faults(processes, tmp_path / "case", strike, ("drive_pass", FINISH, 0, 1), later) == []
    assert (tmp_path / "case" / "shown").stat().st_size


def test_rows_found_in_the_log_are_written_anew_since_their_failed_sync_may_be_forgotten(
    processes: Nursery, tmp_path: Path
) -> None:
    # After a sync that failed Linux takes the pages for written: syncing them again would succeed and do nothing.
    assert (
        faults(
            processes,
            tmp_path / "case",
            Strike("sync", "-wal", 9),
            ("drive_pass", FINISH, 0, 1),
            ("drive_pass", FINISH, 0, 2),
        )
        == []
    )
    calls = [(call.name, Path(call.path).name) for call in calls_in(tmp_path / "case calls 2")]

    before_shown = calls[: calls.index(("write", "shown"))]
    assert ("write", "journal.db") in before_shown
    assert ("sync", "journal.db") in before_shown[before_shown.index(("write", "journal.db")) :]


# The everyday third begins with the first call; each of them is among the slow ones.
@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_at_any_call_nothing_is_shown_before_it_is_synced(
    processes: Nursery, tmp_path: Path, every: int
) -> None:
    calls = tmp_path / "calls"
    (tmp_path / "whole").mkdir()
    conditions = Conditions(str(calls), str(tmp_path / "whole"))
    assert processes.run("tests.faults.kill_pass:drive_few", str(tmp_path / "whole"), 1, conditions=conditions) == 0

    found = []
    for nth in range(1, len(calls_in(calls)) + 1, every):
        attempts = [("drive_few", 1), ("drive_few", 2), ("show_report",)]
        found += faults(processes, tmp_path / f"call {nth}", Strike("", "", nth), *attempts)
    assert found == []


def test_the_order_is_judged_and_a_fault_is_found(tmp_path: Path) -> None:
    journal, shown = tmp_path / "journal.db", tmp_path / "shown"
    log = f"{journal}-wal"
    calls = [Call(1, "sync", str(tmp_path)), Call(1, "sync", str(journal)), Call(1, "write", str(shown))]

    assert list(unsynced_when_shown(calls, journal, (shown,), log_found=False)) == []
    (fault,) = unsynced_when_shown(calls, journal, (shown,), log_found=True)
    assert fault.endswith("journal.db-wal was synced")
    for late in (Call(1, "write", log), Call(1, "truncate", str(journal)), Call(1, "rename", str(journal))):
        assert len(list(unsynced_when_shown([*calls[:2], late, calls[2]], journal, (shown,), log_found=False))) == 1
    noted = Call(1, "write", f"{journal}-head", f"{7:020d} 00")
    assert len(list(unsynced_when_shown([*calls[:1], noted], journal, (shown,), log_found=False))) == 1
    taken = Call(2, "write", str(tmp_path / "taken"), '{"type":"verdict","id":"a"')
    assert list(read_ahead([noted, taken], journal, tmp_path / "taken", {"a": 7})) == []
    assert len(list(read_ahead([noted, taken], journal, tmp_path / "taken", {"a": 8}))) == 1
