"""What outlets of documents must do, whatever they speak: the promises of every outlet, for studies and revisions.

A new kind joins by a line in STUDY_RECEIVERS, and says what its receiver has at the end and should have.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, cast

import hl7
import pytest

from cathrt.runtime.alert import Record, StudyEnded
from cathrt.runtime.config import OutletConfig
from cathrt.runtime.identity import record_id
from cathrt.runtime.objects.fhir.transaction import prepared
from cathrt.runtime.objects.hl7.result_message import Correspondents, result_message
from cathrt.runtime.objects.results import StudyResults
from cathrt.runtime.outlets.message import Message
from cathrt.runtime.outlets.outbox import LetterState
from cathrt.runtime.outlets.studies import Studies
from tests.objects.made_results import made_results
from tests.outlets.delivering import Driven, driven, journal_of, outlet
from tests.outlets.receivers import Receiver
from tests.outlets.study_receivers import STUDY_RECEIVERS, FhirReceiver, Hl7Receiver, filed
from tests.passes import write

BETWEEN = Correspondents("", "", "", "", names=False, processing="T", charset="UNICODE UTF-8")


def ended(study: int, revision: int = 1) -> StudyEnded:
    """The end of a study of that number."""
    name = f"study {study}"
    return StudyEnded(
        id=record_id(name, "ended", str(revision)),
        study=name,
        revision=revision,
        run_ids=("run 1", "run 2")[:revision],
        unjudged=0,
        after_study_s=1.5,
    )


def results_of(record: dict[str, Any]) -> StudyResults:
    """What a study of ended() amounts to: one more run with each revision."""
    number = int(record["study"].removeprefix("study "))
    return made_results(f"1.2.{number + 3}", record["revision"], runs=record["revision"])


@pytest.fixture(params=STUDY_RECEIVERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def receiver(kind: str) -> Iterator[Receiver]:
    made = STUDY_RECEIVERS[kind]()
    yield made
    made.down()


@pytest.fixture
def settings(kind: str, receiver: Receiver) -> OutletConfig:
    base = "/fhir" if kind == "fhir" else ""
    return outlet(kind, receiver.address + base, types=(), rate_per_minute=60)


def delivering(
    settings: OutletConfig, folder: Path, studies: Callable[[Message], StudyResults | None] | None = None
) -> AbstractContextManager[Driven]:
    """An outlet of folder/study.journal."""
    given = studies or (lambda message: results_of(message.record))
    return driven(settings, folder, {"study": folder / "study.journal"}, studies=cast(Studies, given))


def what_it_has(receiver: Receiver) -> dict[str, Any]:
    """By study, what the receiver would show of it."""
    if isinstance(receiver, FhirReceiver):
        reports = receiver.shelf.now("DiagnosticReport")
        assert all(len(receiver.shelf.found("DiagnosticReport", _identifier(one))) == 1 for one in reports)
        return {
            one["imagingStudy"][0]["identifier"]["value"]: {
                "version": one["identifier"][1]["value"],
                "observations": sorted(_content(receiver, reference["reference"]) for reference in one["result"]),
            }
            for one in reports
        }
    assert isinstance(receiver, Hl7Receiver)
    return {found["110180", ""][0]: found for found in receiver.results.values()}


def what_it_should_have(kind: str, records: list[StudyEnded]) -> dict[str, Any]:
    """The same, from the records: the newest revision of each study."""
    should: dict[str, Any] = {}
    for record in records:
        results = results_of({"study": record.study, "revision": record.revision})
        if kind == "fhir":
            what = prepared(results, "", "R4")
            should[f"urn:oid:{results.study_instance_uid}"] = {
                "version": f"{what.version.revision}.{what.version.stage}.{what.version.content}",
                "observations": sorted(
                    reference for reference, _, resource in what.others if resource["resourceType"] == "Observation"
                ),
            }
        else:
            message = result_message(results, "record", BETWEEN).decode()
            should[results.study_instance_uid] = filed(hl7.parse(message))
    return should


def _identifier(resource: dict[str, Any]) -> str:
    return "identifier=" + "|".join(resource["identifier"][0][key] for key in ("system", "value"))


def _content(receiver: FhirReceiver, place: str) -> str:
    return str(receiver.shelf.versions[place][-1]["identifier"][0]["value"])


def written(folder: Path, records: list[StudyEnded]) -> list[str]:
    return journal_of(folder, cast(list[Record], records), "study")


def test_every_study_arrives_once_and_in_order(settings: OutletConfig, receiver: Receiver, tmp_path: Path) -> None:
    records = [ended(study) for study in range(4)]
    ids = written(tmp_path, records)
    with delivering(settings, tmp_path) as driving:
        driving.until(lambda: driving.delivery.state.delivered == 4)
        assert receiver.told.ids == ids
        place = driving.outbox.place("out", "study")
        assert place is not None
        assert place.head.seq == 4
    assert what_it_has(receiver) == what_it_should_have(settings.kind, records)


def test_a_later_revision_takes_the_place_of_an_earlier_one(
    settings: OutletConfig, receiver: Receiver, tmp_path: Path
) -> None:
    records = [ended(0), ended(1), ended(0, revision=2)]
    written(tmp_path, records)
    with delivering(settings, tmp_path) as driving:
        driving.until(lambda: driving.delivery.state.delivered == 3)
    assert what_it_has(receiver) == what_it_should_have(settings.kind, records)


def test_a_repeat_changes_nothing(settings: OutletConfig, receiver: Receiver, tmp_path: Path) -> None:
    records = [ended(0), ended(1)]
    written(tmp_path, records)
    for number in (1, 2):  # the second time without its places, as after the loss of outbox.db
        with delivering(settings, tmp_path) as driving:
            driving.until(lambda: driving.delivery.state.delivered == 2)
        for path in tmp_path.glob("outbox.db*"):
            path.unlink()
        assert what_it_has(receiver) == what_it_should_have(settings.kind, records)
        if isinstance(receiver, FhirReceiver):
            assert {len(versions) for versions in receiver.shelf.versions.values()} == {1}
        elif isinstance(receiver, Hl7Receiver):
            assert len({taken.payload for taken in receiver.told.taken}) == 2
            assert len(receiver.told.taken) == 2 * number


def test_what_has_nothing_to_send_counts_as_delivered(
    settings: OutletConfig, receiver: Receiver, tmp_path: Path
) -> None:
    written(tmp_path, [ended(0), ended(0, revision=2)])

    def newest(message: Message) -> StudyResults | None:
        return results_of(message.record) if message.record["revision"] == 2 else None

    with delivering(settings, tmp_path, newest) as driving:
        driving.until(lambda: driving.delivery.state.delivered == 2)
    assert receiver.told.ids == [ended(0, revision=2).id]


def test_one_whose_acknowledgement_is_lost_is_sent_again_and_is_there_once(
    settings: OutletConfig, receiver: Receiver, tmp_path: Path
) -> None:
    records = [ended(study) for study in range(3)]
    written(tmp_path, records)
    receiver.told.script.extend(["take", "lost", "reset", "lost"])
    with delivering(settings, tmp_path) as driving:
        driving.until(lambda: driving.delivery.state.delivered == 3)
    assert what_it_has(receiver) == what_it_should_have(settings.kind, records)
    assert list(dict.fromkeys(receiver.told.ids)) == [record.id for record in records]


def test_what_is_refused_is_a_dead_letter_and_comes_when_a_person_says_so(
    settings: OutletConfig, receiver: Receiver, tmp_path: Path
) -> None:
    records = [ended(study) for study in range(3)]
    ids = written(tmp_path, records)
    receiver.told.answer = lambda id_: "refuse" if id_ == ids[1] else "take"
    with delivering(settings, tmp_path) as driving:
        driving.until(lambda: driving.delivery.state.delivered == 2)
        (letter,) = driving.outbox.letters("out", LetterState.DEAD)
        assert letter.id == ids[1]
        assert receiver.told.attempts.count(ids[1]) == settings.refusals
        receiver.told.answer = lambda _id: "take"
        assert driving.outbox.mark([letter.number], LetterState.RETRY) == 1
        driving.until(lambda: driving.delivery.state.delivered == 3, least_s=1.0)
    assert what_it_has(receiver) == what_it_should_have(settings.kind, records)


@pytest.mark.parametrize("word", ["error", "busy"])
def test_a_receiver_in_trouble_is_tried_until_it_takes_it(
    word: str, settings: OutletConfig, receiver: Receiver, tmp_path: Path
) -> None:
    records = [ended(0), ended(1)]
    written(tmp_path, records)
    receiver.told.script.extend([word] * 5)
    with delivering(settings, tmp_path) as driving:
        driving.until(lambda: driving.delivery.state.delivered == 2)
        assert driving.delivery.state.dead == 0
    assert what_it_has(receiver) == what_it_should_have(settings.kind, records)


def test_eight_hours_without_the_receiver_and_then_everything(
    settings: OutletConfig, receiver: Receiver, tmp_path: Path
) -> None:
    records = [ended(study, revision) for revision in (1, 2) for study in range(5)]
    receiver.down()
    written(tmp_path, records)
    with delivering(settings, tmp_path) as driving:
        driving.until(lambda: driving.seconds() > 8 * 3600.0, least_s=600.0)
        assert driving.delivery.state.reachable is False
        receiver.up()
        driving.until(lambda: driving.delivery.state.delivered == len(records))
    assert what_it_has(receiver) == what_it_should_have(settings.kind, records)


@pytest.mark.parametrize("seed", range(2))
def test_with_a_third_of_all_attempts_lost_it_ends_with_exactly_what_the_journal_has(
    seed: int, settings: OutletConfig, receiver: Receiver, tmp_path: Path
) -> None:
    records = [ended(study, revision) for revision in (1, 2) for study in range(6)]
    ids = written(tmp_path, records)
    chance = random.Random(seed)
    receiver.told.answer = lambda _id: chance.choice(["reset", "lost", "busy"]) if chance.random() < 0.3 else "take"
    with delivering(settings, tmp_path) as driving:
        driving.until(lambda: driving.delivery.state.delivered == len(records))
        assert driving.delivery.state.dead == 0
        assert driving.delivery.state.failed > 0
    assert what_it_has(receiver) == what_it_should_have(settings.kind, records)
    assert list(dict.fromkeys(receiver.told.ids)) == ids


def test_results_of_nobody_are_a_dead_letter_that_says_so(
    settings: OutletConfig, receiver: Receiver, tmp_path: Path
) -> None:
    written(tmp_path, [ended(0), ended(1)])

    def nobody(message: Message) -> StudyResults:
        results = results_of(message.record)
        return made_results(patient={}) if message.record["study"] == "study 0" else results

    with delivering(settings, tmp_path, nobody) as driving:
        driving.until(lambda: driving.delivery.state.delivered == 1)
        (letter,) = driving.outbox.letters("out", LetterState.DEAD)
    assert "nobody can tell whose results they are" in letter.reason
    assert receiver.told.ids == [ended(1).id]


def test_what_was_added_while_it_was_away_is_followed(
    settings: OutletConfig, receiver: Receiver, tmp_path: Path
) -> None:
    records = [ended(0)]
    written(tmp_path, records)
    with delivering(settings, tmp_path) as driving:
        driving.until(lambda: driving.delivery.state.delivered == 1)
    records.append(ended(0, revision=2))
    write(tmp_path / "study.journal", cast(list[Record], records))
    with delivering(settings, tmp_path) as driving:
        driving.until(lambda: driving.delivery.state.delivered == 1)
    assert what_it_has(receiver) == what_it_should_have(settings.kind, records)
