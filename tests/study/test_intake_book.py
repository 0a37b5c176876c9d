"""The intake book: where the study goes on after any end, and which run it is that ends it again and again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cathrt.runtime.listener.study_end import StudyEnd
from cathrt.runtime.study.intake_book import IntakeBook, IntakeError, StorePlace
from cathrt.runtime.study.study_ends import WaitingEnd
from cathrt.runtime.study.waiting import Stamp, WaitingRun
from tests.study.waiting_runs import file_run, received_run

ROWS = 100  # of the journal when a run is begun


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "intake.db"


@pytest.fixture
def book(path: Path) -> Iterator[IntakeBook]:
    with closing(IntakeBook(path)) as book:
        yield book


def reopened(book: IntakeBook, path: Path) -> IntakeBook:
    book.close()
    return IntakeBook(path)


def test_a_new_book_begins_with_the_first_object(book: IntakeBook) -> None:
    assert book.place() == StorePlace(0, "")


def test_the_place_moves_when_a_run_has_ended_and_outlives_the_process(book: IntakeBook, path: Path) -> None:
    book.begin(received_run(7), ROWS)
    assert book.place().seq == 0
    book.end(received_run(7))
    with closing(reopened(book, path)) as later:
        assert later.place() == StorePlace(7, received_run(7).received.content_sha256)  # type: ignore[union-attr]


def test_the_place_never_moves_back(book: IntakeBook) -> None:
    book.end(received_run(7))
    book.end(received_run(3))
    assert book.place().seq == 7


def test_a_judged_file_is_known_as_it_was(book: IntakeBook, path: Path) -> None:
    run = file_run(b"/r\xfcn.dcm", Stamp(1, 2, 3))
    book.end(run)
    with closing(reopened(book, path)) as later:
        assert later.is_judged(run.key, Stamp(1, 2, 3))
        for other in (Stamp(9, 2, 3), Stamp(1, 9, 3), Stamp(1, 2, 9)):
            assert not later.is_judged(run.key, other)
        assert not later.is_judged(b"file /other", Stamp(1, 2, 3))


@pytest.mark.parametrize("run", [received_run(1), file_run(b"/run.dcm")], ids=["received", "file"])
def test_ends_at_the_same_frame_are_counted(book: IntakeBook, run: WaitingRun) -> None:
    for crash in range(1, 4):
        book.begin(run, ROWS)
        book.count_crash(ROWS + (crash == 1))  # the start of the pass is a row
        assert book.crashes(run) == crash
    assert book.crashes(received_run(99)) == 0
    book.end(run)
    assert book.crashes(run) == 0


def test_a_run_that_got_further_than_the_time_before_begins_its_count_anew(book: IntakeBook) -> None:
    run = received_run(1)
    for rows in (ROWS, ROWS + 20, ROWS + 40, ROWS + 60):
        book.begin(run, rows)
        book.count_crash(rows + 20)
        assert book.crashes(run) == 1


def test_a_run_that_was_stopped_on_purpose_did_not_crash(book: IntakeBook) -> None:
    run = received_run(1)
    book.begin(run, ROWS)
    book.put_back(run)
    book.count_crash(ROWS)
    assert book.crashes(run) == 0


def test_only_the_run_that_was_under_way_has_crashed(book: IntakeBook) -> None:
    for run in (received_run(1), received_run(2)):
        book.begin(run, ROWS)
        book.count_crash(ROWS)
    assert [book.crashes(received_run(seq)) for seq in (1, 2)] == [1, 1]


def test_a_failed_object_is_owed_until_it_has_ended_and_the_place_moves_on(book: IntakeBook, path: Path) -> None:
    run = received_run(4)
    for failures in (1, 2):
        book.begin(run, ROWS)
        assert book.failed(run) == failures
    assert (book.place().seq, book.owed()) == (4, [4])
    with closing(reopened(book, path)) as later:
        later.count_crash(ROWS)
        assert later.crashes(run) == 0
        assert later.owed() == [4]
        later.begin(run, ROWS)
        later.end(run)
        assert later.owed() == []


def test_another_store_begins_anew_and_files_stay_judged(book: IntakeBook) -> None:
    run = file_run(b"/run.dcm", Stamp(1, 2, 3))
    book.end(run)
    book.begin(received_run(4), ROWS)
    book.failed(received_run(4))
    book.restart()
    assert (book.place().seq, book.owed()) == (0, [])
    assert book.is_judged(run.key, Stamp(1, 2, 3))


def test_a_book_of_another_version_is_refused(book: IntakeBook, path: Path) -> None:
    book.close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version=5")
    with pytest.raises(IntakeError, match="has version 5, expected at most 4: remove it"):
        IntakeBook(path)


def test_a_book_of_the_version_before_drafts_keeps_what_it_knows(book: IntakeBook, path: Path) -> None:
    book.end(received_run(7))
    book.close()
    with closing(sqlite3.connect(path)) as database:
        for table in ("judged_object", "ended", "done_end", "read_after", "read_object"):
            database.execute(f"DROP TABLE {table}")
        database.execute("PRAGMA user_version=1")
    with closing(IntakeBook(path)) as later:
        assert (later.place().seq, later.done_end("draft"), later.passes_of([7])) == (7, None, [])
        later.end(received_run(8), "pass 8")
        later.end(received_run(9), "")
        later.end(received_run(10))
        assert later.passes_of([7, 8, 9, 10]) == [(8, "pass 8"), (9, "")]


def test_drafts_go_on_where_they_were_and_a_new_store_begins_anew(book: IntakeBook, path: Path) -> None:
    draft = WaitingEnd(StudyEnd(5, "1.2", 1, (), 0.0, (1,), ()), "study")
    book.begin_model("draft", 4)
    for failures in (1, 2):
        book.begin(draft, ROWS)
        assert book.work_failed(draft) == failures
    with closing(reopened(book, path)) as later:
        assert later.done_end("draft") == 4
        later.begin(draft, ROWS)
        later.count_crash(ROWS)
        assert later.crashes(draft) == 1
        later.done_with_end(draft, "draft", 5)
        assert (later.done_end("draft"), later.crashes(draft)) == (5, 0)
        later.end(received_run(3), "pass 3")
        later.begin(draft, ROWS)
        later.count_crash(ROWS)
        later.restart()
        assert (later.done_end("draft"), later.crashes(draft), later.passes_of([3])) == (0, 0, [])


def test_a_damaged_book_says_that_it_may_be_removed(path: Path) -> None:
    path.write_bytes(b"no database at all, but long enough to be taken for one" * 100)
    with pytest.raises(IntakeError, match="remove it: all inputs are then looked at again"):
        IntakeBook(path)
