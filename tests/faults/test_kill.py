"""kill -9 at every fail point of the journal, then start again: nothing shown is missing, nothing is doubled."""

from __future__ import annotations

import signal
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cathrt.runtime.alert import Verdict
from cathrt.runtime.failpoints import JOURNAL_POINTS
from cathrt.runtime.journal.records import record_from_body
from cathrt.runtime.journal.report import verify_journal
from cathrt.runtime.models import record_parts
from tests.faults.calls import nursery
from tests.faults.kill_pass import FINISH, PASSES, RECORDS, SHOWN

Drive = Callable[[Path, str, int, int], int]


@pytest.fixture(scope="module")
def drive() -> Iterator[Drive]:
    """Run drive_pass in a process of its own; returns that process's exit code."""
    with nursery() as processes:
        yield lambda folder, *when: processes.run("tests.faults.kill_pass:drive_pass", str(folder), *when)


def check_after_kill(folder: Path, starts: int) -> None:
    """Shown is part of the journal, byte for byte; the journal is a beginning of the pass; nothing came twice."""
    stored = stored_bodies(folder) if (folder / "journal.db").exists() else []
    assert [record_from_body(body, record_parts()).id for body in stored] == [
        record.id for record in RECORDS[: len(stored)]
    ]
    for name in SHOWN:
        lines = (folder / name).read_bytes().splitlines()
        assert set(lines) <= set(stored)
        assert max(Counter(lines).values(), default=0) <= starts


def check_finished(folder: Path) -> None:
    """The whole pass is there once, its books balance, every sink has had all of it."""
    report = verify_journal(folder / "journal.db", record_parts())
    stored = stored_bodies(folder)
    assert report.sound
    assert report.rows == len(RECORDS)
    for name in SHOWN:
        assert (folder / name).read_bytes().splitlines()[-len(RECORDS) :] == stored


def stored_bodies(folder: Path) -> list[bytes]:
    """Read as another program would, so that the killed process's log stays as it left it."""
    connection = sqlite3.connect(f"file:{folder / 'journal.db'}?mode=ro", uri=True)
    try:
        return [body.encode() for (body,) in connection.execute("SELECT body FROM record ORDER BY seq")]
    finally:
        connection.close()


def test_every_fail_point_of_the_journal_has_its_cases() -> None:
    assert set(PASSES) == set(JOURNAL_POINTS)


def test_the_killed_pass_holds_every_kind_of_record_and_a_duplicate() -> None:
    assert {record.type for record in RECORDS} == {"pass", "verdict", "alert", "run"}
    assert {record.outcome for record in RECORDS if isinstance(record, Verdict)} == {"MET", "DUPLICATE", "DROPPED"}


@pytest.mark.parametrize(
    ("point", "after"),
    [(point, after) for point, passes in PASSES.items() for after in sorted({0, passes // 2, passes - 1})],
)
def test_killed_there_and_started_again_nothing_is_missing_and_nothing_doubled(
    drive: Drive, tmp_path: Path, point: str, after: int
) -> None:
    assert drive(tmp_path, point, after, 1) == -signal.SIGKILL
    check_after_kill(tmp_path, starts=1)

    assert drive(tmp_path, FINISH, 0, 2) == 0
    check_after_kill(tmp_path, starts=2)
    check_finished(tmp_path)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kills=st.lists(st.tuples(st.sampled_from(JOURNAL_POINTS), st.integers(0, 5)), min_size=2, max_size=5))
def test_killed_again_and_again_the_pass_is_finished_in_the_end(
    drive: Drive, tmp_path_factory: pytest.TempPathFactory, kills: list[tuple[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("killed")
    for attempt, (point, after) in enumerate(kills, 1):
        # a point that is not passed often enough any more lets the attempt finish
        assert drive(folder, point, after, attempt) in (-signal.SIGKILL, 0)
        check_after_kill(folder, starts=attempt)

    assert drive(folder, FINISH, 0, 99) == 0
    check_finished(folder)


def test_what_had_been_shown_before_the_kill_is_what_is_stored_after_the_restart(drive: Drive, tmp_path: Path) -> None:
    assert drive(tmp_path, "journal.after_emit", 3, 1) == -signal.SIGKILL
    before = (tmp_path / "shown").read_bytes().splitlines()
    assert drive(tmp_path, FINISH, 0, 2) == 0

    after = (tmp_path / "shown").read_bytes().splitlines()[len(before) :]
    assert after[: len(before)] == before
    assert len(after) == len(RECORDS)
    shown = [record_from_body(body, record_parts()) for body in after]
    measured = [made.latency_ms.end_to_end for made in shown if isinstance(made, Verdict)]
    assert (measured[0], measured[-1]) == (1.0, 2.0)  # each as the process that stored it measured it


def test_killed_before_the_commit_nothing_had_been_shown(drive: Drive, tmp_path: Path) -> None:
    for point in ("journal.enqueue", "journal.before_insert", "journal.mid_transaction", "journal.before_commit"):
        folder = tmp_path / point
        folder.mkdir()
        assert drive(folder, point, 0, 1) == -signal.SIGKILL
        assert (folder / "shown").read_bytes() == b""
        assert stored_bodies(folder) == []


def test_killed_after_the_commit_the_rows_are_there_though_nothing_was_shown(drive: Drive, tmp_path: Path) -> None:
    assert drive(tmp_path, "journal.after_commit", 0, 1) == -signal.SIGKILL

    assert (tmp_path / "shown").read_bytes() == b""
    assert len(stored_bodies(tmp_path)) >= 1
