"""Received runs come before all others; what was put off comes again in its turn; what is gone is looked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cathrt.runtime.sources.discover import Input
from cathrt.runtime.study.intake_book import IntakeBook
from cathrt.runtime.study.received_runs import ReceivedRuns
from cathrt.runtime.study.run_queue import RunQueue
from cathrt.runtime.study.waiting import WaitingRun, key_of_file, stamp_of
from tests.study.waiting_runs import ListedStore, received


@dataclass
class _Folder:
    """A watched folder that notes what it is asked to look at again."""

    again: list[Path] = field(default_factory=list)

    def look_again(self, path: Path) -> None:
        self.again.append(path)


@dataclass
class Waiting:
    """A queue with its clock, its store and its folder."""

    folder: Path
    book: IntakeBook
    now_s: float = 0.0

    def __post_init__(self) -> None:
        self.store, self.watched = ListedStore(), _Folder()
        received = ReceivedRuns(self.store, self.book)
        self.queue = RunQueue(received, [self.watched], self.book, lambda: self.now_s)  # type: ignore[list-item]

    def file(self, name: str) -> WaitingRun:
        path = self.folder / name
        path.write_bytes(b"a run")
        run = WaitingRun(key_of_file(path), Input("dicom", name, (path,)), stamp=stamp_of(path))
        self.queue.files.put(run)
        return run

    def names(self) -> list[str]:
        found = []
        while (run := self.queue.next()) is not None:
            found.append(run.name)
        return found


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Waiting]:
    with closing(IntakeBook(tmp_path / "intake.db")) as book:
        yield Waiting(tmp_path, book)


def test_received_runs_come_first_then_those_to_be_tried_again_then_files(waiting: Waiting) -> None:
    waiting.file("a.dcm")
    waiting.file("b.dcm")
    again = waiting.queue.next()
    assert again is not None
    waiting.queue.try_later(again, 0.0)
    waiting.store.objects += map(received, (1, 2))
    assert waiting.queue.received_waits()
    assert waiting.names() == ["1.2.3.1", "1.2.3.2", "a.dcm", "b.dcm"]
    assert not waiting.queue.received_waits()


def test_a_run_is_tried_again_when_its_time_has_come(waiting: Waiting) -> None:
    run = waiting.file("a.dcm")
    assert waiting.names() == ["a.dcm"]
    waiting.queue.try_later(run, 30.0)
    waiting.now_s = 29.9
    assert waiting.names() == []
    waiting.now_s = 30.0
    assert waiting.names() == ["a.dcm"]


def test_a_file_that_gave_way_goes_on_before_other_files(waiting: Waiting) -> None:
    run = waiting.file("a.dcm")
    waiting.file("b.dcm")
    assert waiting.queue.next() == run
    waiting.queue.go_on_later(run)
    assert waiting.names() == ["a.dcm", "b.dcm"]


def test_a_file_that_is_gone_or_has_changed_is_left_to_the_next_look(waiting: Waiting) -> None:
    gone, changed, _ = (waiting.file(name) for name in ("gone.dcm", "changed.dcm", "whole.dcm"))
    (waiting.folder / "gone.dcm").unlink()
    (waiting.folder / "changed.dcm").write_bytes(b"another run")
    assert waiting.names() == ["whole.dcm"]
    assert waiting.watched.again == [*gone.input.paths, *changed.input.paths]


def test_a_file_that_was_judged_meanwhile_is_not_given_out_again(waiting: Waiting) -> None:
    run = waiting.file("a.dcm")
    waiting.queue.files.put(run)
    assert waiting.queue.next() == run
    waiting.book.end(run)
    assert waiting.queue.next() is None
