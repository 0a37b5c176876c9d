"""When a study has ended, told as stories: events, a clock, and what is due."""

from __future__ import annotations

import pytest

from cathrt.runtime.listener.studies import MOST_ENDED, Ending, EndRules, Kind, Studies, StudyEvent
from cathrt.runtime.listener.study_end import Evidence

RULES = EndRules(settle_s=30.0, idle_s=600.0, long_idle_s=3600.0)
ROOM_1, ROOM_2 = "ANGIO1@10.0.0.1", "ANGIO2@10.0.0.2"


class Story:
    """Studies, and the time."""

    def __init__(self) -> None:
        self.studies = Studies(RULES)
        self.now = 1000.0
        self.events: dict[str, list[StudyEvent]] = {}
        self.ends: dict[str, set[int]] = {}
        self._seq = 0

    def happens(
        self, kind: Kind, study: str = "1.1", patient: str = "p1", sender: str = ROOM_1, step: str = ""
    ) -> None:
        """As the watch does it: what is left behind is noted, too."""
        event = StudyEvent(0, kind, study, patient=patient, sender=sender, step_uid=step)
        left = self.studies.left_behind(event)
        self._apply(event)
        for uid in left:
            self._apply(StudyEvent(0, Kind.NEW_PATIENT, uid, sender=sender))

    def objects(self, count: int = 1, study: str = "1.1", patient: str = "p1", sender: str = ROOM_1) -> None:
        for _ in range(count):
            self.happens(Kind.OBJECT, study, patient, sender)

    def passes(self, seconds: float) -> None:
        self.now += seconds

    def due(self, *receiving: str) -> list[Ending]:
        """The ends that are due, noted."""
        endings = self.studies.due(self.now, frozenset(receiving))
        for ending in endings:
            self.studies.end(ending)
            self.ends.setdefault(ending.study_instance_uid, set()).add(ending.event_seq)
        return endings

    def _apply(self, event: StudyEvent) -> None:
        self._seq += 1
        event = StudyEvent(
            self._seq, event.kind, event.study_instance_uid, event.patient, event.sender, None, event.step_uid
        )
        if not self.studies.knows(event.study_instance_uid):
            self.studies.load(event.study_instance_uid, (), frozenset(), self.now)
        self.studies.apply(event, self.now)
        self.events.setdefault(event.study_instance_uid, []).append(event)


@pytest.fixture
def story() -> Story:
    return Story()


def evidence(endings: list[Ending]) -> list[tuple[str, int, tuple[Evidence, ...]]]:
    return [(ending.study_instance_uid, ending.revision, ending.evidence) for ending in endings]


SIGNS = {
    Evidence.STEP_COMPLETED: lambda story: (
        story.happens(Kind.STEP_STARTED, step="9.1"),
        story.happens(Kind.STEP_COMPLETED, step="9.1"),
    ),
    Evidence.STEP_DISCONTINUED: lambda story: (
        story.happens(Kind.STEP_STARTED, step="9.1"),
        story.happens(Kind.STEP_DISCONTINUED, step="9.1"),
    ),
    Evidence.DOSE_REPORT: lambda story: story.happens(Kind.DOSE_REPORT),
    Evidence.NEW_PATIENT: lambda story: story.objects(study="1.2", patient="p2"),
}
PAIRS = [
    (first, second)
    for first in SIGNS
    for second in SIGNS
    if list(SIGNS).index(first) < list(SIGNS).index(second)
    and {first, second} != {Evidence.STEP_COMPLETED, Evidence.STEP_DISCONTINUED}
]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_two_signs_end_a_study_once_nothing_more_has_come_for_a_while(
    first: Evidence, second: Evidence, story: Story
) -> None:
    story.objects(3)
    SIGNS[first](story)
    SIGNS[second](story)
    story.passes(29.0)
    assert story.due() == []
    story.passes(1.0)
    assert evidence(story.due()) == [("1.1", 1, (first, second))]
    story.passes(1e6)
    assert [ending for ending in story.due() if ending.study_instance_uid == "1.1"] == [], "said twice"


@pytest.mark.parametrize("sign", SIGNS)
def test_one_sign_does_not_end_a_study_and_silence_is_the_second(sign: Evidence, story: Story) -> None:
    story.objects(3)
    SIGNS[sign](story)
    story.passes(599.0)
    assert story.due() == []
    story.passes(1.0)
    assert evidence(story.due()) == [("1.1", 1, (sign, Evidence.IDLE))]


def test_with_nothing_else_to_go_by_a_long_silence_ends_a_study(story: Story) -> None:
    story.objects(3)
    story.passes(3599.0)
    assert story.due() == []
    story.passes(1.0)
    assert evidence(story.due()) == [("1.1", 1, (Evidence.IDLE, Evidence.LONG_IDLE))]


def test_a_person_needs_no_second_sign_but_what_is_coming_is_awaited(story: Story) -> None:
    story.objects(3)
    story.happens(Kind.BUTTON, patient="", sender="")
    assert story.due() == []
    story.passes(30.0)
    assert story.due(ROOM_1) == [], "its sender is sending an object"
    assert evidence(story.due(ROOM_2)) == [("1.1", 1, (Evidence.BUTTON,))]


def test_a_pause_within_a_procedure_is_no_end(story: Story) -> None:
    story.happens(Kind.STEP_STARTED, step="9.1")
    for _ in range(20):
        story.objects(2)
        story.passes(550.0)
        assert story.due() == []
    story.happens(Kind.STEP_COMPLETED, step="9.1")
    story.passes(600.0)
    assert evidence(story.due()) == [("1.1", 1, (Evidence.STEP_COMPLETED, Evidence.IDLE))]


def test_a_study_of_two_steps_waits_for_both(story: Story) -> None:
    story.objects()
    for step in ("9.1", "9.2"):
        story.happens(Kind.STEP_STARTED, step=step)
    story.happens(Kind.STEP_DISCONTINUED, step="9.1")
    story.happens(Kind.DOSE_REPORT)
    story.passes(60.0)
    assert story.due() == []
    story.happens(Kind.STEP_COMPLETED, step="9.2")
    story.passes(30.0)
    assert evidence(story.due()) == [("1.1", 1, (Evidence.STEP_COMPLETED, Evidence.DOSE_REPORT))]


def test_a_late_object_opens_a_study_again_and_its_next_end_is_an_addendum(story: Story) -> None:
    story.objects(3)
    SIGNS[Evidence.STEP_COMPLETED](story)
    SIGNS[Evidence.DOSE_REPORT](story)
    story.passes(30.0)
    (first,) = story.due()
    story.passes(5000.0)
    story.objects()
    assert story.due() == []
    story.passes(30.0)
    (second,) = story.due()
    assert (second.revision, second.evidence) == (2, (Evidence.STEP_COMPLETED, Evidence.DOSE_REPORT))
    assert second.event_seq > first.event_seq


def test_the_button_holds_for_what_had_come_by_then(story: Story) -> None:
    story.objects()
    story.happens(Kind.BUTTON, patient="", sender="")
    story.passes(30.0)
    assert len(story.due()) == 1
    story.objects()
    story.passes(600.0)
    assert story.due() == []
    story.passes(3000.0)
    assert evidence(story.due()) == [("1.1", 2, (Evidence.IDLE, Evidence.LONG_IDLE))]


def test_a_sender_that_comes_back_to_a_patient_has_not_left_him(story: Story) -> None:
    story.happens(Kind.DOSE_REPORT)
    story.objects(study="1.2", patient="p2")
    story.objects()
    story.passes(60.0)
    assert story.due() == []


def test_the_studies_of_two_rooms_do_not_mix(story: Story) -> None:
    for _ in range(10):
        story.objects(study="1.1", patient="p1", sender=ROOM_1)
        story.objects(study="2.1", patient="p2", sender=ROOM_2)
    story.happens(Kind.DOSE_REPORT, "1.1", "p1", ROOM_1)
    story.happens(Kind.DOSE_REPORT, "2.1", "p2", ROOM_2)
    story.passes(60.0)
    assert story.due() == [], "one room's patient is no sign in the other"
    story.objects(study="1.2", patient="p3", sender=ROOM_1)
    assert evidence(story.due()) == [("1.1", 1, (Evidence.DOSE_REPORT, Evidence.NEW_PATIENT))]


@pytest.mark.parametrize(("before", "after"), [("", "p2"), ("p1", ""), ("p1", "p1"), ("", "")])
def test_an_unknown_patient_or_the_same_one_is_no_new_patient(before: str, after: str, story: Story) -> None:
    story.happens(Kind.DOSE_REPORT, patient=before)
    story.objects(study="1.2", patient=after)
    story.passes(60.0)
    assert story.due() == []


def test_a_study_of_two_patients_is_flagged(story: Story) -> None:
    story.objects(patient="p1")
    story.objects(patient="p2")
    story.happens(Kind.BUTTON, patient="", sender="")
    story.passes(30.0)
    assert [ending.flags for ending in story.due()] == [("patient_mismatch",)]


def test_a_study_of_which_nothing_was_received_does_not_end(story: Story) -> None:
    SIGNS[Evidence.STEP_COMPLETED](story)
    story.passes(1e6)
    assert story.due() == []


def test_signs_that_come_before_the_objects_count(story: Story) -> None:
    SIGNS[Evidence.STEP_COMPLETED](story)
    story.passes(10.0)
    story.happens(Kind.DOSE_REPORT)
    story.passes(29.0)
    assert story.due() == []
    story.objects(2)
    story.passes(30.0)
    assert len(story.due()) == 1


def test_a_study_that_is_loaded_from_its_history_goes_on_as_if_it_had_never_been_away(story: Story) -> None:
    story.objects(2)
    SIGNS[Evidence.STEP_COMPLETED](story)
    SIGNS[Evidence.DOSE_REPORT](story)
    story.passes(30.0)
    story.due()
    story.objects()
    again = Studies(RULES)
    again.load("1.1", story.events["1.1"], story.ends["1.1"], now=0.0)
    assert again.due(29.0) == []
    assert again.due(30.0) == story.studies.due(story.now + 30.0)
    assert [ending.revision for ending in again.due(30.0)] == [2]


def test_what_has_ended_is_forgotten_and_what_awaits_its_end_is_not(story: Story) -> None:
    story.objects(study="1.1", sender=ROOM_1)
    story.happens(Kind.STEP_STARTED, "1.2", step="9.1")
    story.passes(3600.0)
    story.studies.forget(story.now)
    assert story.studies.knows("1.1")
    assert not story.studies.knows("1.2")
    for number in range(MOST_ENDED + 5):
        story.happens(Kind.STEP_STARTED, f"3.{number}", step=f"9.{number}")
    story.studies.forget(story.now)
    assert sum(story.studies.knows(f"3.{number}") for number in range(MOST_ENDED + 5)) == MOST_ENDED
    assert story.studies.knows("1.1")
