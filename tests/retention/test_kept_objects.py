"""Received objects under their limits: the oldest go once they are judged, their study has ended, and nobody waits."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from cathrt.runtime.failpoints import armed
from cathrt.runtime.listener.commitment_book import CommitmentBook, Instance
from cathrt.runtime.listener.object_store import ObjectStore, State
from cathrt.runtime.retention.kept_journal import Looked, Moment
from cathrt.runtime.retention.kept_objects import KeptObjects, ObjectLimits
from cathrt.runtime.retention.old_studies import forget_studies
from cathrt.runtime.retention.rules import DAY_S
from cathrt.runtime.study.intake_book import IntakeBook
from cathrt.runtime.study.intake_reader import intake_of
from cathrt.runtime.study.old_inputs import forget_inputs
from cathrt.runtime.study.waiting import key_of_file, run_from_received
from tests.listener.listening import XA
from tests.listener.watching import Watched, of_study
from tests.study.waiting_runs import file_run

SIZE = len(of_study("1.1"))


@dataclass
class Box:
    """A store with its watch, the study process's book beside it, and the retention of both."""

    watched: Watched
    book: IntakeBook
    folder: Path
    days: float = 30.0
    mib: int = 0

    @property
    def store(self) -> ObjectStore:
        return self.watched.store

    def receives(self, *uids: str, study: str = "1.1", ends: bool = True) -> None:
        """Objects of a study, which ends."""
        for uid in uids:
            self.watched.receives(uid, of_study(study))
        self.watched.watch.look()
        if ends:
            self.watched.watch.end_study(study)
            assert self.watched.passes(31.0)

    def judged(self, *seqs: int) -> None:
        """The study process has judged these."""
        for received in self.store.received():
            if received.seq in seqs:
                self.book.end(run_from_received(received, Path("x")), "a pass")

    def look(self, days_later: float = 31.0, missing_bytes: int = 0) -> Looked:
        limits = ObjectLimits(self.days, self.mib, DAY_S)
        kept = KeptObjects(
            self.store, partial(intake_of, self.folder / "study-intake.db"), self.folder / "backup.lock", limits
        )
        return kept.look(Moment(time.time() + days_later * DAY_S, missing_bytes))

    @property
    def left(self) -> list[int]:
        return [received.seq for received in self.store.received()]

    @property
    def files(self) -> int:
        return len([*self.watched.folder.glob("objects/*/*"), *self.watched.folder.glob("quarantine/*/*")])


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    watched = Watched(tmp_path / "store")
    with closing(IntakeBook(tmp_path / "study-intake.db")) as book:
        yield Box(watched, book, tmp_path)
    watched.store.close()


def test_old_objects_that_were_judged_go_but_for_the_last_of_them(box: Box) -> None:
    box.receives("1.1.1", "1.1.2", "1.1.3")
    box.judged(1, 2, 3)

    assert box.look(days_later=29.0) == Looked()
    looked = box.look()

    assert (looked.removed, looked.bytes) == (2, 2 * SIZE)
    assert (box.left, box.files) == ([3], 1)  # by the last one the study process knows the store
    assert looked.note == ""


def test_an_object_that_was_not_judged_or_is_owed_stays(box: Box) -> None:
    box.receives("1.1.1", "1.1.2", "1.1.3", "1.1.4")
    box.judged(1, 2)
    owed = run_from_received(box.store.received()[0], Path("x"))
    box.book.begin(owed, 0)
    box.book.failed(owed)

    looked = box.look(missing_bytes=1 << 40)

    assert (looked.removed, box.left) == (0, [1, 2, 3, 4])
    assert "no object may go: 3 not judged yet" in looked.reason


def test_without_an_intake_book_nothing_goes(box: Box, tmp_path: Path) -> None:
    box.receives("1.1.1", "1.1.2")
    box.judged(1, 2)
    box.folder = tmp_path / "elsewhere"
    box.folder.mkdir()

    assert (box.look().removed, box.left) == (0, [1, 2])


def test_an_object_of_a_study_that_has_not_ended_stays(box: Box) -> None:
    box.receives("1.1.1", "1.1.2", ends=False)
    box.judged(1, 2)

    looked = box.look()

    assert (looked.removed, looked.note) == (
        0,
        "objects over the limit stay: 1 of a study that has not ended",
    )


def test_an_object_of_a_study_without_its_draft_stays_until_that_is_written(box: Box) -> None:
    box.receives("1.1.1", "1.1.2")
    box.judged(1, 2)
    box.book.begin_model("draft", 0)
    assert "1 of a study without its draft" in box.look().note

    box.book.done_with_end(run_from_received(box.store.received()[0], Path("x")), "draft", 1)

    assert (box.look().removed, box.left) == (1, [2])


def test_an_object_whose_commitment_is_not_answered_stays(box: Box) -> None:
    box.receives("1.1.1", "1.1.2", "1.1.3")
    box.judged(1, 2, 3)
    commitments = CommitmentBook(box.store.index)
    asked = commitments.ask("ANGIO1", "10.0.0.1", "9.9.1", [Instance(XA, "1.1.1")])

    assert (box.look().removed, box.left) == (1, [1, 3])
    commitments.answered(asked.seq, 0)
    assert (box.look().removed, box.left) == (1, [3])


def test_a_store_over_its_size_loses_its_oldest_and_never_those_of_the_last_day(box: Box) -> None:
    box.receives("1.1.1", "1.1.2", "1.1.3", "1.1.4")
    box.judged(1, 2, 3, 4)
    box.days, box.mib = 0.0, 5  # they have two million bytes each

    assert box.look(days_later=0.9).removed == 0
    assert (box.look(days_later=1.1).removed, box.left) == (2, [3, 4])


def test_a_short_disk_takes_just_enough_of_the_oldest_and_says_so(box: Box) -> None:
    box.receives("1.1.1", "1.1.2", "1.1.3", "1.1.4")
    box.judged(1, 2, 3, 4)

    looked = box.look(days_later=2.0, missing_bytes=SIZE + 1)

    assert (looked.removed, box.left, looked.reason) == (2, [3, 4], "")
    assert looked.note == "objects are removed before their time: the disk is short"


def test_while_a_backup_is_made_no_object_goes(box: Box) -> None:
    box.receives("1.1.1", "1.1.2")
    box.judged(1, 2)
    lock = os.open(box.folder / "backup.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        assert box.look().note == "a backup is being made: objects stay until it is done"
    finally:
        os.close(lock)
    assert (box.look().removed, box.left) == (1, [2])


def test_an_object_that_went_may_come_again_and_is_a_new_one(box: Box) -> None:
    box.receives("1.1.1", "1.1.2")
    box.judged(1, 2)
    box.look()

    box.receives("1.1.1")

    assert box.left == [2, 3]
    assert box.watched.told[-1].objects == (1, 2, 3)


def test_a_file_that_a_kill_left_without_its_row_is_removed_at_the_next_start(box: Box) -> None:
    box.receives("1.1.1")
    box.receives("1.2.1", study="1.2")
    box.judged(1, 2)

    class KilledError(BaseException):
        pass

    def killed() -> None:
        raise KilledError

    with armed("store.forgotten", killed), pytest.raises(KilledError):
        box.look()
    assert (box.left, box.files) == ([2], 2)

    assert box.store.remove_unknown() == 1
    assert (box.left, box.files) == ([2], 1)
    kept = box.store.received()[0]
    assert box.store.path_of(State.STORED, kept.content_sha256).is_file()


def test_what_is_known_of_studies_without_objects_goes_when_it_is_old(box: Box) -> None:
    box.receives("1.1.1", "1.1.2", study="1.1")
    box.receives("1.2.1", study="1.2")
    box.judged(1, 2, 3)
    box.look()
    assert box.left == [3]

    assert forget_studies(box.store.index, time.time() - 1.0) == 0
    assert forget_studies(box.store.index, time.time() + 1.0) > 0

    def studies(table: str) -> set[str]:
        return {uid for (uid,) in box.store.index.rows(f"SELECT study_instance_uid FROM {table}")}

    assert studies("study_events") == studies("study_ends") == {"1.2"}
    box.receives("1.3.1", study="1.3")
    assert box.watched.told[-1].seq == 3  # numbers are not used twice


def test_judged_files_that_are_gone_are_forgotten_and_those_of_a_share_that_is_away_are_not(
    box: Box, tmp_path: Path
) -> None:
    folder, away = tmp_path / "watched", tmp_path / "away"
    folder.mkdir()
    for name in ("there", "gone"):
        (folder / name).write_bytes(b"x")
    for path in (folder / "there", folder / "gone", away / "unmounted"):
        box.book.end(file_run(os.fsencode(path)))
    (folder / "gone").unlink()

    removed, after = forget_inputs(box.book, 0, b"")

    assert (removed, after) == (1, b"")
    assert box.book.judged_files(b"", 10) == sorted(map(key_of_file, (away / "unmounted", folder / "there")))


def test_two_objects_of_one_content_keep_its_file_until_both_have_gone(box: Box) -> None:
    box.receives("1.1.1", "1.1.2", "1.1.3")
    box.judged(1, 2, 3)
    box.look()

    assert (box.left, box.files) == ([3], 1)
    kept = box.store.received()[0]
    assert box.store.path_of(State.STORED, kept.content_sha256).is_file()


def test_the_index_stays_whole(box: Box) -> None:
    box.receives("1.1.1", "1.1.2", "1.1.3")
    box.judged(1, 2, 3)
    box.look()
    with closing(sqlite3.connect(box.watched.folder / "index.db")) as index:
        assert index.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
