"""kill -9 at every fail point of pruning and at random: the chain stays whole, nothing but the front is missing."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cathrt.runtime.failpoints import PRUNING_POINTS, arm, kill
from cathrt.runtime.journal import pruning
from cathrt.runtime.journal.report import verify_journal
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.models import record_parts
from tests.faults.calls import Conditions, Nursery, Strike, nursery
from tests.journal.pruned import PASS_ROWS, first_row, of_run, until
from tests.passes import AT_ONCE, rows, write

RUNS = 12
THROUGH = 8 * PASS_ROWS
PRUNE = "tests.faults.test_prune_kill:prune_and_write"


def prune_and_write(folder: str, point: str, after: int) -> None:
    """Prune, and add a run meanwhile; to the end, or to that pass of that point."""
    pruning._MANY_FREE, pruning._PAGES = 8, 4
    if point:
        arm(point, kill, after)
    path = Path(folder) / "journal.db"
    with Journal(path, AT_ONCE) as journal:
        if first_row(path) <= THROUGH:
            journal.prune(THROUGH)
        for record in of_run("a later run"):
            journal.append(record)
            journal.sync()
        until(lambda: first_row(path) == THROUGH + 1 and journal._books.pruner.wait_s is None)


@pytest.fixture(scope="module")
def processes() -> Iterator[Nursery]:
    with nursery() as processes:
        yield processes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    write(path, [record for number in range(RUNS) for record in of_run(f"run {number}")])
    return path


def check_after_kill(path: Path, written: list[tuple[int, str]]) -> None:
    """What is there is the end of what was written, without a gap, and the books balance but for the run in hand."""
    report = verify_journal(path, record_parts())
    found = rows(path)
    assert report.pruned <= THROUGH
    assert [seq for seq, _ in found] == list(range(report.pruned + 1, report.pruned + report.rows + 1))
    assert set(written[THROUGH:]) <= set(found)
    assert all(not books.anomalies for books in report.passes)


@pytest.mark.parametrize("point", PRUNING_POINTS)
@pytest.mark.parametrize("after", [0, 1, 3])
def test_killed_there_and_started_again_the_pruning_is_finished_and_nothing_else_is_missing(
    processes: Nursery, path: Path, point: str, after: int
) -> None:
    written = rows(path)

    assert processes.run(PRUNE, str(path.parent), point, after) == -signal.SIGKILL
    check_after_kill(path, written)

    assert processes.run(PRUNE, str(path.parent), "", 0) == 0
    check_after_kill(path, written)
    report = verify_journal(path, record_parts())
    assert (report.pruned, report.rows, report.sound) == (THROUGH, (RUNS + 1) * PASS_ROWS - THROUGH, True)


def test_killed_at_random_system_calls_it_is_finished_in_the_end(processes: Nursery, path: Path) -> None:
    written, chance = rows(path), random.Random(15)
    for attempt in range(25):
        met = Conditions(str(path.parent / "calls"), str(path.parent), Strike("", "", chance.randint(20, 400)))
        ended = processes.wait(processes.start(PRUNE, str(path.parent), "", 0, conditions=met))
        assert ended in (-signal.SIGKILL, 0), attempt
        check_after_kill(path, written)

    assert processes.run(PRUNE, str(path.parent), "", 0) == 0
    assert verify_journal(path, record_parts()).sound
