"""Ends of studies as records: once each, when all runs are judged, over restarts and pruning; never of two patients."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cathrt.runtime.alert import StudyEnded
from cathrt.runtime.failpoints import armed
from cathrt.runtime.journal.lookups import records_of_type
from cathrt.runtime.journal.records import record_from_body
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.listener.object_store import Arrival, Received, State
from cathrt.runtime.listener.study_end import Evidence, StudyEnd
from cathrt.runtime.models import record_parts
from cathrt.runtime.study.endings import Endings
from cathrt.runtime.study.intake_book import IntakeBook
from cathrt.runtime.study.waiting import WaitingRun, run_from_received
from tests.passes import AT_ONCE, pass_of, run_id, start, summary, verdict

_SECONDS = itertools.count()  # a clock whose every reading is a second later


@dataclass
class Ends:
    """A store, as far as it knows ends of studies."""

    ends: list[StudyEnd] = field(default_factory=list)

    def add(self, *objects: int, revision: int = 1, flags: tuple[str, ...] = (), study: str = "1.2") -> None:
        self.ends.append(StudyEnd(len(self.ends) + 1, study, revision, (Evidence.BUTTON,), 1000.0, objects, flags))

    def study_ends(self, after: int = 0) -> list[StudyEnd]:
        return [end for end in self.ends if end.seq > after]

    def pseudonym_of(self, study_instance_uid: str) -> str:
        return f"study {study_instance_uid}"


@dataclass
class Box:
    ends: Ends
    book: IntakeBook
    journal: Journal

    def working(self) -> Endings:
        return Endings(self.ends, self.book, self.journal, lambda: 1012.5, lambda: float(next(_SECONDS)))

    def judge(self, seq: int, name: str) -> None:
        for record in (start(name), verdict(0, name), summary([verdict(0, name)], name)):
            self.journal.append(record)
        self.journal.sync()
        self.book.end(waiting(seq), pass_of(name))

    def records(self) -> list[StudyEnded]:
        found = [record_from_body(row.body, record_parts()) for row in records_of_type(self.journal.path, "ended")]
        return [record for record in found if isinstance(record, StudyEnded)]


class StoppedError(Exception):
    """As a kill."""


def raises() -> None:
    raise StoppedError


def waiting(seq: int) -> WaitingRun:
    arrival = Arrival(f"1.{seq}", "1.2.840.10008.5.1.4.1.1.12.1", "1.2.840.10008.1.2.1", "ANGIO", "127.0.0.1")
    return run_from_received(Received(seq, arrival, f"{seq:064}", 10, 0.0, State.STORED), Path("x"))


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    with closing(IntakeBook(tmp_path / "intake.db")) as book, Journal(tmp_path / "study.journal", AT_ONCE) as journal:
        yield Box(Ends(), book, journal)


def test_an_end_waits_for_its_last_run_and_is_noted_once(box: Box) -> None:
    working = box.working()
    assert not working.go_on()
    box.judge(1, "run a")
    box.ends.add(1, 2)
    assert not working.go_on(), "run b is not judged"
    box.judge(2, "run b")
    assert working.go_on()
    assert not working.go_on()
    assert not box.working().go_on(), "the next process"
    (record,) = box.records()
    assert (record.study, record.revision, record.unjudged) == ("study 1.2", 1, 0)
    assert record.run_ids == (run_id("run a"), run_id("run b"))
    assert record.after_study_s == 12.5


def test_a_record_that_is_durable_while_the_book_does_not_know_is_not_written_twice(box: Box) -> None:
    working = box.working()
    box.judge(1, "run a")
    box.ends.add(1)
    with armed("study.ended", raises), pytest.raises(StoppedError):
        working.go_on()
    assert len(box.records()) == 1
    assert box.book.ended() == 0
    assert box.working().go_on()
    assert box.book.ended() == 1
    assert len(box.records()) == 1


def test_a_late_object_makes_another_revision(box: Box) -> None:
    working = box.working()
    box.judge(1, "run a")
    box.ends.add(1)
    box.judge(2, "run b")
    box.ends.add(1, 2, revision=2)
    while working.go_on():
        pass
    assert [(record.revision, len(record.run_ids)) for record in box.records()] == [(1, 1), (2, 2)]


def test_a_study_of_two_patients_gets_no_record_and_holds_up_no_other(box: Box) -> None:
    working = box.working()
    box.judge(1, "run a")
    box.ends.add(1, flags=("patient_mismatch",))
    box.ends.add(1, study="1.3")
    while working.go_on():
        pass
    assert [record.study for record in box.records()] == ["study 1.3"]


def test_what_ended_before_this_version_is_left_out(box: Box) -> None:
    box.judge(1, "run a")
    box.ends.add(1)
    working = box.working()
    assert not working.go_on()
    assert box.records() == []
