"""Pruning a journal's front: slices between commits, a chain that stays verifiable, readers that are told."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cathrt.runtime.errors import JournalError
from cathrt.runtime.failpoints import armed
from cathrt.runtime.journal.errors import PrunedError
from cathrt.runtime.journal.file import open_for_reading, open_for_writing
from cathrt.runtime.journal.front import extent_of, stored_before, whole_passes_through
from cathrt.runtime.journal.head import Head, anchor_path, note_anchor
from cathrt.runtime.journal.make import SCHEMA_4
from cathrt.runtime.journal.pruning import SLICE_MS, Pruner
from cathrt.runtime.journal.reader import JournalReader
from cathrt.runtime.journal.report import verify_journal
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.models import record_parts
from tests.journal.pruned import PASS_ROWS, of_run, until
from tests.passes import AT_ONCE, GROUPED, alert, rows, tampered, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed, sound journal of four passes."""
    path = tmp_path / "journal.db"
    write(path, [record for name in "abcd" for record in of_run(f"run {name}")])
    return path


def prune(path: Path, through: int) -> None:
    """Open the journal, prune it, wait until that is done, close it."""
    with Journal(path, AT_ONCE) as journal:
        journal.prune(through)
        until(lambda: anchor_of(path).seq == through)


def anchor_of(path: Path) -> Head:
    connection = open_for_reading(path)
    try:
        return Head(*connection.execute("SELECT anchor_seq, anchor_chain FROM meta").fetchone())
    finally:
        connection.close()


@pytest.fixture
def reader(path: Path) -> Iterator[JournalReader]:
    reader = JournalReader(path)
    yield reader
    reader.close()


def test_the_front_goes_and_the_rest_is_verified_from_the_anchor_on(path: Path) -> None:
    before = verify_journal(path, record_parts())

    prune(path, 2 * PASS_ROWS)

    after = verify_journal(path, record_parts())
    assert (after.rows, after.pruned) == (2 * PASS_ROWS, 2 * PASS_ROWS)
    assert after.head == before.head
    assert after.anchor_noted
    assert after.sound
    assert [seq for seq, _ in rows(path)] == list(range(2 * PASS_ROWS + 1, 4 * PASS_ROWS + 1))


def test_numbers_and_chain_go_on_after_a_pruning_and_an_opening(path: Path) -> None:
    prune(path, PASS_ROWS)

    write(path, of_run("run e"))

    report = verify_journal(path, record_parts())
    assert (report.rows, report.pruned, report.sound) == (4 * PASS_ROWS, PASS_ROWS, True)


def test_a_pruning_that_was_cut_short_within_a_pass_leaves_sound_books(path: Path) -> None:
    opened = open_for_writing(path)
    try:
        note_anchor(path, Head(2 * PASS_ROWS, dict(_chains(path))[2 * PASS_ROWS]))
        pruner = Pruner(opened.connection, opened.anchor)
        pruner.ask(2 * PASS_ROWS)
        pruner.slice()
    finally:
        opened.close()

    report = verify_journal(path, record_parts())
    assert 0 < report.pruned < PASS_ROWS
    assert (report.rows, len(report.passes), report.sound) == (4 * PASS_ROWS - report.pruned, 2, True)
    prune(path, 2 * PASS_ROWS)
    assert verify_journal(path, record_parts()).rows == 2 * PASS_ROWS


def _chains(path: Path) -> list[tuple[int, bytes]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT seq, chain FROM record").fetchall()


def test_the_last_row_stays(path: Path) -> None:
    with Journal(path, AT_ONCE) as journal, pytest.raises(JournalError, match="expected one before the last, 88"):
        journal.prune(4 * PASS_ROWS)


@pytest.mark.parametrize(
    ("statements", "match"),
    [
        (["UPDATE meta SET anchor_chain = zeroblob(32)"], "row 44: journal.db-anchor remembers another row"),
        (["UPDATE meta SET anchor_seq = 43"], "row 44: it is missing, 45 follows 43"),
        (["UPDATE meta SET anchor_seq = 0, anchor_chain = zeroblob(32)"], "row 1: it is missing, 45 follows 0"),
        (
            [
                "UPDATE meta SET (anchor_seq, anchor_chain) = (SELECT seq, chain FROM record WHERE seq = 66)",
                "DELETE FROM record WHERE seq <= 66",
            ],
            "row 66: rows up to it were removed, and journal.db-anchor allows for 44",
        ),
        (
            [
                "UPDATE meta SET anchor_seq = head_seq, anchor_chain = head_chain",
                "DELETE FROM record",
            ],
            "row 88: rows up to it were removed",
        ),
    ],
)
def test_a_front_that_somebody_else_cut_off_is_noticed(path: Path, statements: list[str], match: str) -> None:
    prune(path, 2 * PASS_ROWS)
    tampered(path, *statements)

    with pytest.raises(JournalError, match=match):
        verify_journal(path, record_parts())
    with pytest.raises(JournalError, match=match):
        Journal(path, GROUPED)


def test_another_row_under_the_anchors_number_is_noticed(path: Path) -> None:
    prune(path, 2 * PASS_ROWS)
    note = anchor_path(path).read_bytes()
    anchor_path(path).write_bytes(note[:21] + b"0" * 64 + b"\n")

    with pytest.raises(JournalError, match="db-anchor remembers another row of that number"):
        verify_journal(path, record_parts())


def test_a_lost_note_of_the_anchor_is_reported_as_a_lost_head_is(path: Path) -> None:
    prune(path, 2 * PASS_ROWS)
    anchor_path(path).unlink()

    report = verify_journal(path, record_parts())
    assert (report.anchor_noted, report.sound) == (False, True)


def test_rows_cannot_be_removed_before_the_anchor_is_moved(path: Path) -> None:
    opened = open_for_writing(path)
    try:
        with pytest.raises(sqlite3.IntegrityError, match="pruned behind its anchor alone"):
            opened.connection.execute("DELETE FROM record WHERE seq = 1")
    finally:
        opened.close()


def test_a_reader_at_the_start_begins_with_the_oldest_row_there_is(path: Path, reader: JournalReader) -> None:
    prune(path, 2 * PASS_ROWS)

    followed = reader.read(Head())

    assert [each.stored.seq for each in followed] == list(range(2 * PASS_ROWS + 1, 4 * PASS_ROWS + 1))


def test_a_reader_whose_next_row_is_there_goes_on_and_one_whose_rows_are_gone_is_told(
    path: Path, reader: JournalReader
) -> None:
    places = [each.place for each in reader.read(Head())]
    prune(path, 2 * PASS_ROWS)

    assert reader.read(places[2 * PASS_ROWS - 1])[0].stored.seq == 2 * PASS_ROWS + 1  # it stands at the anchor
    assert reader.place_at(2 * PASS_ROWS) == places[2 * PASS_ROWS - 1]
    with pytest.raises(PrunedError, match="rows 6 to 44 were pruned before this reader"):
        reader.read(places[4])
    with pytest.raises(PrunedError, match="rows 6 to 44"):
        reader.place_at(5)


def test_a_pass_is_never_cut_in_two(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    first, second = of_run("run a", 3), of_run("run b", 3)
    write(path, [*first[:3], *second[:2], *first[3:], *second[2:], *of_run("run c", 3)])

    assert [whole_passes_through(path, seq) for seq in (2, 3, 7, 9, 10, 12, 15)] == [0, 0, 0, 0, 10, 10, 15]


def test_the_age_of_rows_is_known_by_marks_and_a_clock_set_back_makes_them_younger(path: Path) -> None:
    tampered(path, "DELETE FROM mark", "INSERT INTO mark VALUES (10, 1000), (20, 2000), (30, 1500), (40, 3000)")

    assert [stored_before(path, moment) for moment in (500.0, 1200.0, 1800.0, 2500.0, 9000.0)] == [0, 10, 10, 30, 40]


def test_rows_are_marked_with_the_time_at_which_they_were_stored(path: Path) -> None:
    now = time.time()

    assert stored_before(path, now - 3600) == 0
    assert stored_before(path, now + 60) > 0


def test_freed_pages_are_given_back_where_many_are_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cathrt.runtime.journal.pruning._MANY_FREE", 8)
    path = tmp_path / "journal.db"
    write(path, [record for number in range(20) for record in of_run(f"run {number}")])
    size = path.stat().st_size

    with Journal(path, AT_ONCE) as journal:
        journal.prune(18 * PASS_ROWS)
        until(lambda: anchor_of(path).seq == 18 * PASS_ROWS and _free_pages(path) <= 8)

    assert path.stat().st_size < size / 2
    assert verify_journal(path, record_parts()).sound


def _free_pages(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA freelist_count").fetchone()[0])


def test_a_slice_that_the_disk_refuses_ends_the_pruning_and_not_the_journal(path: Path) -> None:
    def full() -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with Journal(path, AT_ONCE) as journal:
        with armed("journal.front_removed", full):
            journal.prune(PASS_ROWS)
            until(lambda: bool(journal.prune_failure))
        journal.append(alert(0, "run e"))
        journal.sync()

    assert journal.pruned == 0
    assert verify_journal(path, record_parts()).rows == 4 * PASS_ROWS + 1


@pytest.mark.alone
def test_an_alert_is_not_held_up_by_pruning(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    write(path, [record for number in range(150) for record in of_run(f"run {number}")])

    def wait_ms(journal: Journal, index: int) -> float:
        began = time.perf_counter_ns()
        journal.append(alert(index))
        journal.sync()
        return (time.perf_counter_ns() - began) / 1e6

    with Journal(path, AT_ONCE) as journal:
        without = sorted(wait_ms(journal, index) for index in range(60))
        journal.prune(140 * PASS_ROWS)
        beside = []
        while (removed := journal.pruned) < 140 * PASS_ROWS:
            beside.append(wait_ms(journal, 100 + len(beside)))
            until(lambda: journal.pruned != removed)
    beside.sort()
    assert len(beside) >= 10

    # An alert may come when a slice has just begun: it waits for that one, and its sync writes that one's pages too.
    assert beside[len(beside) // 2] < without[30] + 2 * SLICE_MS
    assert beside[-1] < without[-1] + 10 * SLICE_MS
    print(f"append to shown, ms: alone {without[30]:.2f}, at most {without[-1]:.2f}")
    print(f"beside {len(beside)} slices {beside[len(beside) // 2]:.2f}, at most {beside[-1]:.2f}")


def made_as_schema_4(path: Path) -> None:
    """Put the tables back as the version before had them."""
    connection = sqlite3.connect(path, isolation_level=None)
    (seq, chain) = connection.execute("SELECT head_seq, head_chain FROM meta").fetchone()
    connection.execute("DROP TRIGGER record_is_never_removed")
    for table in ("meta", "mark"):
        connection.execute(f"DROP TABLE {table}")
    for statement in SCHEMA_4[-2:]:
        connection.execute(statement)
    connection.execute("INSERT INTO meta VALUES (1, ?, ?)", (seq, chain))
    connection.execute("PRAGMA user_version=4")
    connection.close()


def test_a_journal_of_the_schema_before_is_read_as_it_is_and_brought_up_to_date_when_it_is_written(
    path: Path, reader: JournalReader
) -> None:
    made_as_schema_4(path)
    content = path.read_bytes()

    before = verify_journal(path, record_parts())
    assert (before.rows, before.pruned, before.sound) == (4 * PASS_ROWS, 0, True)
    assert len(reader.read(Head())) == 4 * PASS_ROWS
    extent = extent_of(path)
    assert extent is not None
    assert (extent.anchor, extent.head) == (0, 4 * PASS_ROWS)
    assert path.read_bytes() == content

    write(path, of_run("run e"))
    prune(path, PASS_ROWS)
    after = verify_journal(path, record_parts())
    assert (after.rows, after.pruned, after.sound) == (4 * PASS_ROWS, PASS_ROWS, True)


def test_a_damaged_journal_of_the_schema_before_is_refused_and_left_as_it_is(path: Path) -> None:
    made_as_schema_4(path)
    tampered(path, "UPDATE record SET kind = 'run' WHERE seq = 3")
    content = path.read_bytes()

    with pytest.raises(JournalError, match=r"row 3: .*not what was written"):
        Journal(path, GROUPED)
    assert path.read_bytes() == content


def test_a_slice_gives_back_as_many_pages_as_it_may(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "pages.db", isolation_level=None)
    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    connection.execute("CREATE TABLE filled (data BLOB)")
    connection.executemany("INSERT INTO filled VALUES (?)", [(bytes(4000),)] * 2000)
    connection.execute("DELETE FROM filled")
    pruner = Pruner(connection, Head())
    pruner.ask(0)
    before = connection.execute("PRAGMA freelist_count").fetchone()[0]
    pruner.slice()
    after = connection.execute("PRAGMA freelist_count").fetchone()[0]
    connection.close()
    assert before - after == 32
