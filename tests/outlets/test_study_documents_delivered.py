"""Whole studies out of a store and a journal, delivered as documents to scripted receivers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from cathrt.runtime.outlets.outbox import LetterState
from cathrt.runtime.processes.state_folder import StateFolder
from tests.outlets.delivering import Driven, driven, outlet
from tests.outlets.receivers import Receiver
from tests.outlets.study_receivers import STUDY_RECEIVERS, FhirReceiver, Hl7Receiver
from tests.outlets.test_study_objects_delivered import state_of, studies_of


@pytest.fixture(params=STUDY_RECEIVERS)
def receiver(request: pytest.FixtureRequest) -> Iterator[Receiver]:
    made = STUDY_RECEIVERS[request.param]()
    yield made
    made.down()


def delivering(state: StateFolder, receiver: Receiver, folder: Path) -> AbstractContextManager[Driven]:
    kind, base = ("fhir", "/fhir") if isinstance(receiver, FhirReceiver) else ("hl7", "")
    settings = outlet(kind, receiver.address + base, types=(), rate_per_minute=60, timeout_s=5.0, mandatory=True)
    return driven(settings, folder, {"study": state.study_journal}, studies=studies_of(state))


def done(driving: Driven, taken: int) -> bool:
    return driving.delivery.state.delivered == taken and driving.delivery.state.rows_behind == 0


def said(receiver: Receiver) -> str:
    """All that the receiver has of the study, as text."""
    if isinstance(receiver, FhirReceiver):
        (report,) = receiver.shelf.now("DiagnosticReport")
        return json.dumps([report, *receiver.shelf.now("Observation")], ensure_ascii=False)
    assert isinstance(receiver, Hl7Receiver)
    (found,) = receiver.results.values()
    return repr(found) + receiver.told.taken[-1].payload.decode()


def test_a_study_arrives_with_its_draft_and_a_second_delivery_changes_nothing(
    receiver: Receiver, tmp_path: Path
) -> None:
    state = state_of(tmp_path / "state", "drafted")
    for _ in range(2):
        with delivering(state, receiver, tmp_path) as driving:
            driving.until(lambda: done(driving, 2))
            assert driving.outbox.dead("out") == 0
        (tmp_path / "outbox.db").unlink()
        text = said(receiver)
        assert "左前下行枝に75%狭窄を認める" in text
        assert "P00003" in text
        assert "山田" not in text
    if isinstance(receiver, FhirReceiver):
        assert {len(versions) for versions in receiver.shelf.versions.values()} == {1}


def test_only_the_newest_revision_is_sent_and_an_older_one_never_comes_back(receiver: Receiver, tmp_path: Path) -> None:
    state = state_of(tmp_path / "state", "second revision")
    with delivering(state, receiver, tmp_path) as driving:
        driving.until(lambda: done(driving, 2))
        assert len(receiver.told.taken) == 1
        assert "Revision 2" in said(receiver)


def test_a_dead_letter_of_an_old_revision_is_no_longer_sent(receiver: Receiver, tmp_path: Path) -> None:
    state = state_of(tmp_path / "state")
    receiver.told.answer = lambda _id: "refuse"
    with delivering(state, receiver, tmp_path) as driving:
        driving.until(lambda: driving.outbox.dead("out") == 1)
    receiver.told.answer = lambda _id: "take"
    later = state_of(tmp_path / "later", "second revision")
    attempts = len(receiver.told.attempts)
    with delivering(later, receiver, tmp_path / "state") as driving:
        driving.until(lambda: done(driving, 2))
    with delivering(later, receiver, tmp_path) as driving:
        (letter,) = driving.outbox.letters("out")
        assert driving.outbox.mark([letter.number], LetterState.RETRY) == 1
        driving.until(lambda: driving.outbox.dead("out") == 0, least_s=1.0)
    assert len(receiver.told.attempts) == attempts + 1
    assert "Revision 2" in said(receiver)
