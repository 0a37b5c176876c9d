"""What an archive's numbers mean to an outlet: stored, tried again, or refused, over C-STORE and STOW-RS alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cathrt.runtime.outlets.dicom import require_stored
from cathrt.runtime.outlets.peer import RefusedError, UnreachableError
from tests.outlets.object_receivers import OBJECT_RECEIVERS, REASONS, ObjectReceiver, receiving_objects
from tests.outlets.test_object_outlet_contract import all_taken, delivering, ended, settings_for, uids

STORED = (0x0000, 0x0111, 0x0001, 0x0107, 0x0116, 0xB000, 0xB006, 0xB007)
LATER = (0xA700, 0xA701, 0xA7FF, 0xA900, 0xA9FF, 0x0213)
REFUSED = (0x0106, 0x0110, 0x0112, 0x0117, 0x0122, 0x0124, 0xC000, 0xCFFF, 0xFE00)


@pytest.fixture(params=OBJECT_RECEIVERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def receiver(kind: str) -> Iterator[ObjectReceiver]:
    with receiving_objects(kind) as made:
        yield made


@pytest.mark.parametrize("status", STORED, ids="{:04X}".format)
def test_a_success_a_duplicate_and_a_warning_mean_that_it_is_stored(status: int) -> None:
    require_stored(status, "SR")


@pytest.mark.parametrize("status", STORED[2:], ids="{:04X}".format)
def test_the_log_has_the_number_of_a_warning(status: int, caplog: pytest.LogCaptureFixture) -> None:
    require_stored(status, "SR")
    assert f"a SR object was stored with warning 0x{status:04X}" in caplog.text


@pytest.mark.parametrize("status", LATER, ids="{:04X}".format)
def test_what_may_pass_is_tried_again(status: int) -> None:
    with pytest.raises(UnreachableError, match=f"answered 0x{status:04X} to a SR object"):
        require_stored(status, "SR")


@pytest.mark.parametrize("status", REFUSED, ids="{:04X}".format)
def test_what_is_of_the_object_is_refused(status: int) -> None:
    with pytest.raises(RefusedError, match=f"answered 0x{status:04X} to a SR object"):
        require_stored(status, "SR")


def test_a_warning_counts_as_delivered(kind: str, receiver: ObjectReceiver, tmp_path: Path) -> None:
    receiver.told.script.extend(["warn"] * 2)
    with delivering(tmp_path, settings_for(kind, receiver.address), ended(1)) as driving:
        driving.until(lambda: all_taken(driving, 1))
        assert (driving.delivery.state.delivered, driving.delivery.state.failed) == (1, 0)
    assert receiver.told.stored.keys() == uids(1)
    assert len(receiver.told.attempts) == 2


@pytest.mark.parametrize("word", ["full", "mismatch"])
def test_out_of_resources_and_a_mismatch_are_tried_until_it_is_taken(
    word: str, kind: str, receiver: ObjectReceiver, tmp_path: Path
) -> None:
    receiver.told.script.extend([word, "take", word])
    with delivering(tmp_path, settings_for(kind, receiver.address), ended(1)) as driving:
        driving.until(lambda: driving.delivery.state.failed > 0)
        assert f"answered 0x{REASONS[word]:04X} to a " in driving.delivery.state.error
        driving.until(lambda: all_taken(driving, 1))
        assert driving.outbox.dead("out") == 0
    assert receiver.told.stored.keys() == uids(1)


def test_a_mismatch_that_never_ends_is_a_dead_letter_once_another_record_was_taken(
    kind: str, receiver: ObjectReceiver, tmp_path: Path
) -> None:
    wrong = uids(1)
    receiver.told.word = lambda uid: "mismatch" if uid in wrong else "take"  # type: ignore[method-assign]
    with delivering(tmp_path, settings_for(kind, receiver.address), ended(1), ended(2)) as driving:
        driving.until(lambda: all_taken(driving, 2))
        (letter,) = driving.outbox.letters("out")
    assert letter.id == ended(1).id
    assert "0xA900" in letter.reason
    assert receiver.told.stored.keys() == uids(2)


def test_an_invalid_attribute_is_a_dead_letter_with_its_number(
    kind: str, receiver: ObjectReceiver, tmp_path: Path
) -> None:
    wrong = uids(1)
    receiver.told.word = lambda uid: "invalid" if uid in wrong else "take"  # type: ignore[method-assign]
    with delivering(tmp_path, settings_for(kind, receiver.address), ended(1), ended(2)) as driving:
        driving.until(lambda: all_taken(driving, 2))
        (letter,) = driving.outbox.letters("out")
    assert letter.id == ended(1).id
    assert "answered 0x0106 to a KO object" in letter.reason
    assert receiver.told.stored.keys() == uids(2)


def test_a_duplicate_counts_as_delivered_and_changes_nothing(
    kind: str, receiver: ObjectReceiver, tmp_path: Path
) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    for name in ("first", "second"):  # the second one's outbox knows nothing of the first
        with delivering(tmp_path / name, settings_for(kind, receiver.address), ended(1)) as driving:
            driving.until(lambda: all_taken(driving, 1))
            assert driving.delivery.state.failed == 0
    assert receiver.told.stored.keys() == uids(1)
    assert len(receiver.told.attempts) == (4 if kind == "dicom" else 2)  # STOW looks first, and posts nothing
