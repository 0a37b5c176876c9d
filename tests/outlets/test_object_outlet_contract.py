"""What every outlet of DICOM objects must do. A new kind joins by adding one line to OBJECT_RECEIVERS."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset, FileMetaDataset

from cathrt.runtime.alert import Record, StudyEnded
from cathrt.runtime.config import OutletConfig
from cathrt.runtime.identity import record_id, run_id
from cathrt.runtime.objects.due import Evidence
from cathrt.runtime.objects.identity import uid_for
from cathrt.runtime.outlets.delivered import delivered_through
from cathrt.runtime.outlets.message import Message
from cathrt.runtime.outlets.outbox import LetterState
from cathrt.runtime.outlets.studies import Studies
from tests.outlets.certificates import self_signed, server_context
from tests.outlets.delivering import Driven, driven, outlet
from tests.outlets.object_receivers import CLASSES, EXPLICIT_LITTLE, OBJECT_RECEIVERS, ObjectReceiver, receiving_objects
from tests.passes import alert, start, write

EIGHT_HOURS_S = 8 * 3600.0


def ended(number: int) -> StudyEnded:
    """A study of one run that has ended."""
    name = f"study {number}"
    return StudyEnded(record_id(name, "ended", "1"), name, 1, (run_id(name),), 0, 1.0)


def objects_of(record: dict[str, Any]) -> tuple[Dataset, ...]:
    """Two small objects of a study: deterministic, as the real ones are."""
    made = []
    for number, sop_class in enumerate(CLASSES[:2]):
        one = Dataset()
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = EXPLICIT_LITTLE
        one.SOPClassUID, one.SOPInstanceUID = sop_class, uid_for(record["study"], number)
        one.StudyInstanceUID, one.SeriesInstanceUID = (
            uid_for(record["study"]),
            uid_for(record["study"], "series", number),
        )
        one.SpecificCharacterSet, one.PatientName, one.PatientID = "ISO_IR 192", "山田^太郎", "1"
        one.Modality, one.CompletionFlag, one.ContentLabel = ("KO", "SR")[number], "PARTIAL", record["study"].upper()
        made.append(one)
    return tuple(made)


@dataclass(frozen=True)
class GivenStudies(Studies):
    """Studies whose objects a test has made."""

    evidence: Evidence = field(default_factory=lambda: Evidence(Path(), Path()))

    def objects(self, message: Message, modalities: Collection[str]) -> tuple[Dataset, ...]:
        return tuple(one for one in objects_of(message.record) if not modalities or one.Modality in modalities)


def uids(*numbers: int) -> set[str]:
    return {uid_for(f"study {number}", one) for number in numbers for one in (0, 1)}


@pytest.fixture(params=OBJECT_RECEIVERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def receiver(kind: str) -> Iterator[ObjectReceiver]:
    with receiving_objects(kind) as made:
        yield made


def settings_for(kind: str, address: str, **given: Any) -> OutletConfig:
    return outlet(kind, address, **{"timeout_s": 5.0, "types": (), "rate_per_minute": 60, "mandatory": True, **given})


def delivering(folder: Path, settings: OutletConfig, *records: Record) -> Any:
    write(folder / "study.journal", list(records))
    return driven(settings, folder, {"study": folder / "study.journal"}, studies=GivenStudies())


def all_taken(driving: Driven, rows: int) -> bool:
    place = driving.outbox.place("out", "study")
    return place is not None and place.head.seq == rows and driving.delivery.state.rows_behind == 0


def test_each_study_is_stored_once_and_counts_as_delivered(kind: str, receiver: ObjectReceiver, tmp_path: Path) -> None:
    settings = settings_for(kind, receiver.address)
    with delivering(tmp_path, settings, start(), alert(0), ended(1), ended(2)) as driving:
        driving.until(lambda: all_taken(driving, 4))
    assert receiver.told.stored.keys() == uids(1, 2)
    assert len(receiver.told.attempts) == 4
    assert receiver.told.stored[uid_for("study 1", 1)].PatientName == "山田^太郎"
    assert delivered_through(tmp_path / "outbox.db", [settings], "study", 4) == 4
    assert delivered_through(tmp_path / "outbox.db", [settings], "live", 99) == 99, "it takes nothing of that journal"


def test_what_is_not_acknowledged_holds_deleting_up(kind: str, receiver: ObjectReceiver, tmp_path: Path) -> None:
    settings = settings_for(kind, receiver.address)
    receiver.down()
    with delivering(tmp_path, settings, start(), ended(1), ended(2)) as driving:
        driving.until(lambda: driving.delivery.state.failed >= 3)
        driving.delivery.close()
        assert delivered_through(tmp_path / "outbox.db", [settings], "study", 3) <= 1
    receiver.up()


def test_objects_of_modalities_that_are_not_wanted_are_left_out(
    kind: str, receiver: ObjectReceiver, tmp_path: Path
) -> None:
    with delivering(tmp_path, settings_for(kind, receiver.address, modalities=("SR",)), ended(1)) as driving:
        driving.until(lambda: all_taken(driving, 1))
    assert list(receiver.told.stored) == [uid_for("study 1", 1)]


@pytest.mark.parametrize("word", ["busy", "reset", "lost"])
def test_trouble_at_the_receiver_is_tried_again_and_stores_nothing_twice(
    kind: str, receiver: ObjectReceiver, tmp_path: Path, word: str
) -> None:
    receiver.told.script.extend([word, "take", word, word])
    with delivering(tmp_path, settings_for(kind, receiver.address), ended(1), ended(2)) as driving:
        driving.until(lambda: all_taken(driving, 2))
        assert driving.outbox.dead("out") == 0
    assert receiver.told.stored.keys() == uids(1, 2)


def test_a_third_of_all_attempts_lost_ends_with_exactly_the_set_of_the_journal(
    kind: str, receiver: ObjectReceiver, tmp_path: Path
) -> None:
    words = ["take", "take", "lost", "take", "reset", "take", "take", "busy", "take"]
    receiver.told.script.extend(words * 3)
    with delivering(tmp_path, settings_for(kind, receiver.address), *map(ended, range(8))) as driving:
        driving.until(lambda: all_taken(driving, 8))
    assert receiver.told.stored.keys() == uids(*range(8))


def test_an_object_that_is_refused_is_a_dead_letter_and_blocks_no_other(
    kind: str, receiver: ObjectReceiver, tmp_path: Path
) -> None:
    receiver.told.script.extend(["refuse"] * 3 if kind == "dicom" else ["refuse", "take", *["refuse"] * 2])
    settings = settings_for(kind, receiver.address)
    with delivering(tmp_path, settings, ended(1), ended(2)) as driving:
        driving.until(lambda: all_taken(driving, 2))
        (letter,) = driving.outbox.letters("out")
        assert "0xC000" in letter.reason
        assert letter.id == ended(1).id
        assert delivered_through(tmp_path / "outbox.db", [settings], "study", 2) == 0, "a dead letter is not delivered"
        driving.outbox.mark([letter.number], LetterState.RETRY)
        driving.until(lambda: not driving.outbox.letters("out"))
    assert receiver.told.stored.keys() == uids(1, 2)


def test_eight_hours_without_the_receiver_and_then_the_set_of_the_journal(
    kind: str, receiver: ObjectReceiver, tmp_path: Path
) -> None:
    receiver.down()
    settings = settings_for(kind, receiver.address, most_wait_s=3600.0)
    with delivering(tmp_path, settings, *map(ended, range(6))) as driving:
        driving.until(lambda: driving.seconds() > EIGHT_HOURS_S, least_s=60.0)
        assert driving.delivery.state.oldest_s > EIGHT_HOURS_S - 1.0
        assert driving.delivery.state.reachable is False
        receiver.up()
        driving.until(lambda: all_taken(driving, 6))
        assert driving.outbox.dead("out") == 0
    assert receiver.told.stored.keys() == uids(*range(6))


def test_a_receiver_with_another_certificate_gets_nothing(kind: str, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "false").mkdir()
    real, false = self_signed(tmp_path / "real", "127.0.0.1"), self_signed(tmp_path / "false", "127.0.0.1")
    with receiving_objects(kind, server_context(false)) as receiver:
        settings = settings_for(kind, receiver.address, tls_ca=str(real.certificate))
        with delivering(tmp_path, settings, ended(1)) as driving:
            driving.until(lambda: driving.delivery.state.failed >= 2)
            assert driving.outbox.dead("out") == 0
    assert not receiver.told.stored


def test_a_receiver_with_the_right_certificate_gets_all(kind: str, tmp_path: Path) -> None:
    identity = self_signed(tmp_path, "127.0.0.1")
    with receiving_objects(kind, server_context(identity)) as receiver:
        settings = settings_for(kind, receiver.address, tls_ca=str(identity.certificate))
        with delivering(tmp_path, settings, ended(1)) as driving:
            driving.until(lambda: all_taken(driving, 1))
    assert receiver.told.stored.keys() == uids(1)
