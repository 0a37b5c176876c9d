"""kill -9 of a writer or of a reader: each durable row comes once and in order, and none that is not durable."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from cathrt.runtime.failpoints import READER_POINTS
from cathrt.runtime.journal.head import Head
from cathrt.runtime.journal.reader import JournalReader
from tests.faults.call_order import calls_in, read_ahead, unsynced_when_shown
from tests.faults.calls import Conditions, Nursery, Strike, nursery
from tests.faults.kill_pass import FINISH, PASSES, RECORDS, SHOWN
from tests.faults.reader_play import bodies_taken
from tests.faults.test_kill import stored_bodies
from tests.passes import rows

DRIVE = "tests.faults.kill_pass:drive_pass"
FOLLOW = "tests.faults.reader_play:follow_until_the_run_ends"
TAKERS = ("take_with_place", "take_in_transaction")
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def processes() -> Iterator[Nursery]:
    with nursery() as started:
        yield started


def taken(folder: Path, taker: str) -> list[bytes]:
    if taker == "take_in_transaction":
        return bodies_taken(folder / "reader.db")
    return (folder / "taken").read_bytes().splitlines()


@pytest.mark.parametrize("strike", [None, Strike("sync", "-wal", 5)], ids=["at a fail point", "before a sync"])
@pytest.mark.parametrize("point", PASSES)
def test_a_writer_killed_beside_a_reader(processes: Nursery, tmp_path: Path, point: str, strike: Strike | None) -> None:
    folder, log = tmp_path / "case", tmp_path / "calls"
    folder.mkdir()
    journal = folder / "journal.db"
    reader = processes.start(FOLLOW, str(folder), conditions=Conditions(str(log), str(folder)))
    writers = []
    for attempt, until in enumerate((point, FINISH), 1):
        conditions = Conditions(str(log), str(folder), strike if attempt == 1 else None)
        log_found = journal.with_name("journal.db-wal").exists()
        after = PASSES[point] // 2 if attempt == 1 else 0
        writers.append(
            (pid := processes.start(DRIVE, str(folder), until, after, attempt, conditions=conditions), log_found)
        )
        assert processes.wait(pid) == (-signal.SIGKILL if attempt == 1 else 0)
    assert processes.wait(reader) == 0

    calls = calls_in(log)
    assert bodies_taken(folder / "reader.db") == stored_bodies(folder)
    assert list(read_ahead(calls, journal, folder / "taken", {id_: seq for seq, id_ in rows(journal)})) == []
    shown = tuple(folder / name for name in SHOWN)
    for pid, log_found in writers:
        of_writer = [call for call in calls if call.pid == pid]
        assert list(unsynced_when_shown(of_writer, journal, shown, log_found)) == []


@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize("point", READER_POINTS)
@pytest.mark.parametrize("taker", TAKERS)
def test_a_reader_killed_and_started_again(
    processes: Nursery, tmp_path: Path, taker: str, point: str, after: int
) -> None:
    for stop, reader_attempts in ((9, 1), (14, 2), (FINISH, 1)):
        at = ("journal.enqueue", stop) if stop else (FINISH, 0)
        assert processes.run(DRIVE, str(tmp_path), *at, 1) in (-signal.SIGKILL, 0)
        for _ in range(reader_attempts):
            ended = processes.run(f"tests.faults.reader_play:{taker}", str(tmp_path), point, after)
            assert ended in (-signal.SIGKILL, 0)  # a point that is not passed often enough lets it finish
    assert processes.run(f"tests.faults.reader_play:{taker}", str(tmp_path), FINISH, 0) == 0

    got, stored = taken(tmp_path, taker), stored_bodies(tmp_path)
    assert len(stored) == len(RECORDS)
    assert list(dict.fromkeys(got)) == stored
    times = Counter(got)
    if taker == "take_in_transaction":
        assert max(times.values()) == 1
    else:  # at most the row that it had taken when it was killed comes again, once a kill
        assert times.total() - len(times) <= 4


def test_a_reader_killed_in_its_transaction_leaves_nothing_that_holds_the_log(
    processes: Nursery, tmp_path: Path
) -> None:
    assert processes.run(DRIVE, str(tmp_path), "journal.close", 0, 1) == -signal.SIGKILL
    point = ("reader.in_transaction", 0)
    assert processes.run("tests.faults.reader_play:take_with_place", str(tmp_path), *point) == -signal.SIGKILL
    connection = sqlite3.connect(tmp_path / "journal.db")
    busy, frames, copied = connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
    connection.close()

    assert (busy, frames) == (0, copied)


def test_a_commit_that_is_not_synced_is_in_the_file_and_no_reader_sees_it(processes: Nursery, tmp_path: Path) -> None:
    """What the head file is needed for: SQLite alone takes the rows up when it recovers a killed writer's log."""
    journal = tmp_path / "journal.db"
    reader = JournalReader(journal)
    conditions = Conditions(str(tmp_path / "calls"), str(journal), Strike("sync", "-wal", 5, "stop"))
    writer = processes.start(DRIVE, str(tmp_path), FINISH, 0, 1, conditions=conditions)
    _until_stopped(writer)

    during = len(list(_now(reader)))
    assert during == len(rows(journal)) > 0  # the log is written, and SQLite shows a commit only after its sync
    os.kill(writer, signal.SIGKILL)
    assert processes.wait(writer) == -signal.SIGKILL
    assert len(list(_now(reader))) == len(rows(journal)) == during  # the reader was there: nothing was recovered
    reader.close()
    assert len(rows(journal)) > during  # all were gone: the log is recovered, from the system's memory
    assert len(list(_now(reader))) == during
    assert processes.run(DRIVE, str(tmp_path), FINISH, 0, 2) == 0
    assert len(list(_now(reader))) == len(RECORDS)
    reader.close()


def _now(reader: JournalReader) -> Iterator[object]:
    place = Head()
    while batch := reader.read(place):
        yield from batch
        place = batch[-1].place


def _until_stopped(pid: int) -> None:
    """Wait until the process has stopped itself. Another process's child cannot be waited for."""
    deadline = time.monotonic() + PATIENCE_S
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < deadline, "it did not come to its call"
        time.sleep(0.005)
