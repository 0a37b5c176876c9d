"""Received objects become runs in the order in which they came; what is no run is passed over, and none is left out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cathrt.runtime.listener.object_store import State
from cathrt.runtime.study.intake_book import IntakeBook
from cathrt.runtime.study.received_runs import ReceivedRuns
from cathrt.runtime.study.waiting import WaitingRun
from tests.study.waiting_runs import DOSE_REPORT, ListedStore, received


@pytest.fixture
def book(tmp_path: Path) -> Iterator[IntakeBook]:
    with closing(IntakeBook(tmp_path / "intake.db")) as book:
        yield book


def taken(runs: ReceivedRuns, book: IntakeBook) -> list[int]:
    """Numbers of all that wait, each judged."""
    seqs: list[int] = []
    while (run := runs.next()) is not None:
        assert run.received is not None
        seqs.append(run.received.seq)
        book.end(run)
    return seqs


def test_runs_come_in_the_order_of_their_arrival(book: IntakeBook) -> None:
    store = ListedStore(*map(received, (1, 2, 3, 5, 6)))
    runs = ReceivedRuns(store, book)
    assert taken(runs, book) == [1, 2, 3, 5, 6]
    store.objects += [received(9)]
    assert taken(runs, book) == [9]


def test_a_run_is_called_by_its_sop_instance_uid(book: IntakeBook) -> None:
    run = ReceivedRuns(ListedStore(received(1)), book).next()
    assert run is not None
    assert (run.name, run.input.kind, run.input.paths) == ("1.2.3.1", "dicom", (Path("objects/1"),))


def test_a_later_process_goes_on_after_the_last_that_has_ended(book: IntakeBook) -> None:
    store = ListedStore(*map(received, (1, 2, 3)))
    runs = ReceivedRuns(store, book)
    first, second = runs.next(), runs.next()
    assert isinstance(first, WaitingRun)
    assert isinstance(second, WaitingRun)
    book.end(first)
    assert taken(ReceivedRuns(store, book), book) == [2, 3]


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (received(2, sop_class=DOSE_REPORT), "is no image"),
        (received(2, state=State.QUARANTINED), "another object of its UID came before it"),
    ],
    ids=["dose report", "quarantined"],
)
def test_what_is_no_run_is_passed_over_with_a_note(
    book: IntakeBook, other: object, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = ListedStore(received(1), other)  # type: ignore[arg-type]
    runs = ReceivedRuns(store, book)
    assert taken(runs, book) == [1]
    assert not runs.any_waits()
    assert book.place().seq == 2
    (note,) = [record.getMessage() for record in caplog.records]
    assert note.startswith("received object 1.2.3.2 is passed over: ")
    assert why in note


def test_what_is_passed_over_does_not_move_the_place_before_its_turn(book: IntakeBook) -> None:
    runs = ReceivedRuns(ListedStore(received(1), received(2, sop_class=DOSE_REPORT)), book)
    runs.next()
    assert not runs.any_waits()
    assert book.place().seq == 0


def test_another_store_under_the_same_name_is_judged_from_its_first_object(
    book: IntakeBook, caplog: pytest.LogCaptureFixture
) -> None:
    assert taken(ReceivedRuns(ListedStore(*map(received, (1, 2, 3))), book), book) == [1, 2, 3]
    shorter = ListedStore(received(1, content="other"))
    assert taken(ReceivedRuns(shorter, book), book) == [1]
    as_long = ListedStore(received(1, content="third"), received(2, content="third"))
    assert taken(ReceivedRuns(as_long, book), book) == [1, 2]
    assert [record.getMessage()[:33] for record in caplog.records] == ["the store is another one than bef"] * 2


def test_a_store_that_is_not_there_for_a_time_is_the_same_store(book: IntakeBook) -> None:
    objects = [*map(received, (1, 2))]
    assert taken(ReceivedRuns(ListedStore(*objects), book), book) == [1, 2]
    store = ListedStore()
    runs = ReceivedRuns(store, book)
    assert taken(runs, book) == []
    store.objects = [*objects, received(3)]
    assert taken(runs, book) == [3]


def test_an_object_that_failed_in_an_earlier_process_is_owed_once_the_store_is_there(book: IntakeBook) -> None:
    first = ReceivedRuns(ListedStore(received(1), received(2)), book).next()
    assert first is not None
    book.begin(first, 0)
    book.failed(first)
    store = ListedStore()
    runs = ReceivedRuns(store, book)
    assert runs.take_owed() == []
    store.objects = [received(1), received(2)]
    assert runs.take_owed() == [first]
    assert runs.take_owed() == []
    assert taken(runs, book) == [2]


def test_an_owed_object_that_is_not_in_the_store_any_more_is_forgotten(book: IntakeBook) -> None:
    runs = ReceivedRuns(ListedStore(received(1), received(2)), book)
    first = runs.next()
    assert first is not None
    book.begin(first, 0)
    book.failed(first)
    assert ReceivedRuns(ListedStore(received(2)), book).take_owed() == []
    assert book.owed() == []
