"""Decisions are checked against what is there, written once, durable before the answer, and the last one stands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cathrt.runtime.alert import Correction, StudyEnded, Thing
from cathrt.runtime.decisions.asked import NotDurableError, Person, ReplacedError, UnknownStudyError
from cathrt.runtime.decisions.book import AGAIN_S, DecisionBook, decisions_in, decisions_said
from cathrt.runtime.decisions.review import review_due
from cathrt.runtime.decisions.said import UnfitError
from cathrt.runtime.decisions.standing import is_about
from cathrt.runtime.errors import JournalError
from cathrt.runtime.failpoints import armed
from cathrt.runtime.journal.report import verify_journal
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.models import record_parts
from tests.decisions.deciding import MORI, SATO, STUDY, Deciding, deciding, state_with_study
from tests.passes import AT_ONCE, rows

STENOSIS = Thing("finding", bundle="reader", finding="lad_mid_stenosis")
CTO = Thing("finding", bundle="reader", finding="lad_mid_cto")
DOMINANCE = Thing("finding", bundle="reader", finding="dominance")
RESULTS = Thing("results")


@pytest.fixture
def on(tmp_path: Path) -> Iterator[Deciding]:
    with deciding(state_with_study(tmp_path / "state")) as made:
        yield made


def late_run(on: Deciding) -> None:
    """The study has a second end, without a run more: what a model read and drafted at the first is not of it."""
    end = on.now.end
    assert end is not None
    with Journal(on.state.study_journal, AT_ONCE) as journal:
        journal.append(StudyEnded("end 2", STUDY, 2, end.run_ids, 0, 50.0))


def test_each_kind_of_thing_is_decided_and_says_what_the_model_had_said(on: Deciding) -> None:
    frame, unmarked = on.key_frame(), on.unmarked()
    rejected = on.decide(frame, "rejected", text="造影不良")
    instead = on.decide(on.key_frame(1), "corrected", Correction(frame_index=on.unmarked(1)))
    added = on.decide(replace(frame, frame_index=unmarked), "corrected", Correction(added=True))
    side = on.decide(on.side(), "corrected", Correction(side="right"))
    value = on.decide(STENOSIS, "corrected", Correction(value=30.0))
    called = on.decide(CTO, "corrected", Correction(positive=True))
    category = on.decide(DOMINANCE, "corrected", Correction(label="left"))
    whole = on.decide(RESULTS)

    assert (rejected.text, rejected.by, rejected.by_name, rejected.at) == (
        "造影不良", "sato", "佐藤 花子", "2026-12-01T18:00:01.000+09:00",
    )  # fmt: skip
    assert (rejected.said.marked, rejected.said.score, rejected.said.bundle) == (True, 0.95, "demonstration")
    assert instead.said.score_instead == on.unmarked(1) % 10 / 10  # as the verdict of that frame has it
    assert (added.said.marked, added.said.score) == (False, unmarked % 10 / 10)
    assert side.said.side in ("left", "right", "unknown")
    assert (value.said.value, value.said.positive) == (71.25, True)
    assert (called.said.value, category.said.value) == (0.12, 0.8)
    assert whole.said is None
    assert len(on.desk.of(STUDY).decisions) == 8
    assert all(is_about(one, on.now) for one in on.desk.of(STUDY).decisions)


def test_what_was_answered_is_in_the_journal_and_another_process_reads_the_same(on: Deciding) -> None:
    made = on.decide(on.key_frame())
    on.desk.sign(on.signature(), MORI)
    on.finish()
    again = decisions_in(on.state.gateway_journal).of(STUDY)
    assert again == on.desk.of(STUDY)
    assert again.decisions == (made,)
    assert (len(again.signoffs), len(again.reviews)) == (1, 1)
    report = verify_journal(on.state.gateway_journal, record_parts())
    assert (report.starts, report.decisions, report.signoffs, report.reviews) == (1, 1, 1, 1)
    assert report.sound


def test_a_repeat_after_a_lost_answer_changes_nothing(on: Deciding) -> None:
    asked, signature = on.asked(on.key_frame(), "rejected"), on.signature()
    first = on.desk.decide(asked, SATO)
    signed = on.desk.sign(signature, SATO)
    review = on.review()
    finished = on.desk.finish(review, SATO)
    stored = rows(on.state.gateway_journal)
    assert on.desk.decide(asked, SATO) == replace(first, repeated=True)
    assert on.desk.sign(signature, SATO) == replace(signed, repeated=True)
    assert on.desk.finish(review, SATO) == replace(finished, repeated=True)
    assert rows(on.state.gateway_journal) == stored


def test_an_id_that_stands_for_another_decision_is_a_conflict(on: Deciding) -> None:
    asked = on.asked(on.key_frame(), "rejected")
    on.desk.decide(asked, SATO)
    for other, by in ((replace(asked, what="accepted"), SATO), (asked, MORI), (replace(asked, text="x"), SATO)):
        with pytest.raises(ReplacedError, match="the id was used for another decision"):
            on.desk.decide(other, by)


def test_of_two_people_on_one_thing_the_second_sees_the_first_before_deciding(on: Deciding) -> None:
    frame = on.key_frame()
    seen = on.asked(frame, "accepted")
    on.decide(frame, "rejected")
    with pytest.raises(ReplacedError, match="it was decided about meanwhile by 佐藤 花子"):
        on.desk.decide(seen, MORI)
    last = on.decide(frame, "accepted", by=MORI)
    decided = on.desk.of(STUDY)
    assert decided.standing(frame) == last
    assert [one.what for one in decided.decisions] == ["rejected", "accepted"]  # all stay
    assert last.follows == decided.decisions[0].id


def test_a_judging_that_was_replaced_meanwhile_is_a_conflict(on: Deciding) -> None:
    frame, run = on.key_frame(), on.now.runs[0]
    asked = on.asked(frame, "rejected")
    with Journal(on.state.study_journal, AT_ONCE) as journal:
        journal.append(replace(run, id="judged again"))
    with pytest.raises(ReplacedError, match="was replaced by a newer record"):
        on.desk.decide(asked, SATO)
    with pytest.raises(ReplacedError, match="was replaced by a newer record"):
        on.decide(frame, shown=(*on.now.rests_on, "a record that is not there"))
    assert on.decide(frame).shown == ("judged again",)


def test_after_a_late_run_decisions_about_the_same_records_count_and_others_are_of_the_earlier_revision(
    on: Deciding,
) -> None:
    about_frame, about_finding = on.decide(on.key_frame(), "rejected"), on.decide(STENOSIS)
    about_all = on.decide(RESULTS)
    late_run(on)
    decided = on.desk.of(STUDY)
    assert on.now.revision == 2
    assert decided.counting(on.now) == (about_frame,)
    assert decided.decisions == (about_frame, about_finding, about_all)
    assert {one.revision for one in decided.decisions} == {1}
    with pytest.raises(UnfitError, match="no such finding"):
        on.decide(STENOSIS)  # the model has not read this end of the study


def test_a_draft_is_signed_by_the_hash_of_what_was_shown(on: Deciding) -> None:
    signed = on.desk.sign(on.signature(text="確認"), SATO).record
    assert on.desk.of(STUDY).signed(on.now) == (signed,)
    with pytest.raises(ReplacedError, match="the text that was shown is not that of the draft"):
        on.desk.sign(on.signature(text_ja_sha256="0" * 64), SATO)
    with pytest.raises(ReplacedError, match="not the study's newest one"):
        on.desk.sign(on.signature(draft_id="another"), SATO)
    signature = on.signature()
    late_run(on)
    with pytest.raises(ReplacedError, match="not the study's newest one"):
        on.desk.sign(signature, SATO)
    assert on.desk.of(STUDY).signed(on.now) == ()


@pytest.mark.parametrize(
    ("thing", "what", "correction", "says"),
    [
        (RESULTS, "corrected", Correction(value=1.0), "of a results, expected one of nothing"),
        (Thing("key_frame", run_id="x", frame_index=0), "accepted", None, "no such run"),
        (Thing("finding", bundle="reader", finding="none"), "accepted", None, "no such finding"),
        (STENOSIS, "corrected", Correction(positive=True), "expected `value` for a finding that is a amount"),
        (STENOSIS, "corrected", None, "expected it where something is corrected"),
        (STENOSIS, "accepted", Correction(value=1.0), "expected it where something is corrected"),
        (Thing("side", run_id="x", frame_index=1), "accepted", None, "no such run"),
    ],
)
def test_what_does_not_fit_is_refused_and_not_written(
    on: Deciding, thing: Thing, what: Any, correction: Correction | None, says: str
) -> None:
    with pytest.raises(UnfitError, match=says):
        on.decide(thing, what, correction, shown=on.now.rests_on)
    assert on.desk.of(STUDY).decisions == ()


def test_frames_that_do_not_fit_are_refused(on: Deciding) -> None:
    frame, run = on.key_frame(), on.now.runs[0]
    with pytest.raises(UnfitError, match="is a key frame of the model already"):
        on.decide(frame, "corrected", Correction(added=True))
    with pytest.raises(UnfitError, match="is a key frame already"):
        on.decide(frame, "corrected", Correction(frame_index=frame.frame_index))
    beyond = replace(frame, frame_index=run.frames)
    with pytest.raises(UnfitError, match=f"expected one of the run's {run.frames}"):
        on.decide(beyond, "corrected", Correction(added=True))
    with pytest.raises(UnknownStudyError, match="no study of that name"):
        on.desk.decide(on.asked(frame, study="another"), SATO)


def test_a_review_is_what_is_due_and_finished_only_where_something_is_new(on: Deciding) -> None:
    assert "nothing is decided" in review_due(on.now, on.desk.of(STUDY)).why
    with pytest.raises(UnfitError, match="nothing is decided"):
        on.finish()
    rejected = on.decide(on.key_frame(), "rejected")
    stale = on.review()
    accepted = on.decide(STENOSIS, by=MORI)
    with pytest.raises(ReplacedError, match="decided, read or written meanwhile"):
        on.desk.finish(stale, SATO)
    first = on.finish(text="done")
    assert (first.what, first.decisions, first.follows) == ("corrected", (rejected.id, accepted.id), None)
    assert first.shown == on.now.rests_on
    with pytest.raises(UnfitError, match="nothing is new since the last review"):
        on.finish()
    on.decide(RESULTS, "rejected")
    second = on.finish(by=MORI)
    assert (second.what, second.follows, second.by) == ("rejected", first.id, "mori")
    late = on.review()
    late_run(on)
    with pytest.raises(ReplacedError, match="found revision 1, expected 2"):
        on.desk.finish(late, SATO)


def test_all_accepted_is_an_accepted_review(on: Deciding) -> None:
    on.decide(on.key_frame())
    on.decide(RESULTS)
    assert on.finish().what == "accepted"


def test_a_study_that_goes_on_takes_decisions_and_no_review(tmp_path: Path) -> None:
    state = state_with_study(tmp_path / "state", "open", read=False)
    with deciding(state) as on:
        assert on.desk.studies.study(STUDY) is None  # the store of this test knows no study of its runs
        assert on.desk.studies.studies() == ()


def test_a_journal_that_cannot_be_written_is_said_and_tried_again(tmp_path: Path) -> None:
    state, clock = state_with_study(tmp_path / "state"), [0.0]
    told: list[Any] = []
    blocker = Journal(state.gateway_journal, AT_ONCE)
    with closing(DecisionBook(state.gateway_journal, AT_ONCE, told.append, lambda: clock[0])) as book:
        on = Deciding(state, book)
        assert "locked by another writer" in book.fault
        assert decisions_said(told[-1])[0].startswith("decisions of people cannot be stored: ")
        with pytest.raises(NotDurableError, match="locked by another writer"):
            on.decide(on.key_frame())
        blocker.close()
        clock[0] = AGAIN_S
        book.attend()
        assert (book.fault, decisions_said(told[-1])) == ("", [])
        made = on.decide(on.key_frame())

        def fail() -> None:
            raise JournalError("the disk is full")

        frame = on.key_frame(1)
        asked = on.asked(frame)
        with armed("journal.before_commit", fail), pytest.raises(NotDurableError, match="send it again"):
            on.desk.decide(asked, SATO)
        with pytest.raises(NotDurableError, match="the disk is full"):
            on.decide(frame)
        clock[0] += AGAIN_S
        assert on.desk.decide(asked, SATO).repeated is False
        first, second = on.desk.of(STUDY).decisions
        assert (first.id, second.thing) == (made.id, frame)
    assert verify_journal(state.gateway_journal, record_parts()).sound
    assert decisions_said(None) == []


def test_nobody_decides_once_the_book_is_closed(tmp_path: Path) -> None:
    state = state_with_study(tmp_path / "state")
    with deciding(state) as on:
        on.decide(on.key_frame())
    with pytest.raises(NotDurableError, match="the gateway is stopping"):
        on.desk.decide(on.asked(on.key_frame(1)), Person("x", "x"))
