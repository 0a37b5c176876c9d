"""From the store's index to study ends: durable, said once, and nothing of the patient in them."""

from __future__ import annotations

import logging
import math
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from cathrt.runtime.listener.library import library_prepared
from cathrt.runtime.listener.sop_classes import DOSE_REPORT
from cathrt.runtime.listener.store_reader import StoreReader
from cathrt.runtime.listener.studies import Kind, StudyEvent
from cathrt.runtime.listener.study_book import StudyBook
from cathrt.runtime.listener.study_end import Evidence
from cathrt.runtime.listener.study_watch import UnknownStudyError, press_button
from tests.listener.watching import PATIENT, Watched, of_study
from tests.sources.dicom_bytes import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    element,
    part10,
    text,
    xa_elements,
    xa_file,
)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(tmp_path / "store")
    yield watched
    watched.store.close()


def test_an_end_is_durable_said_once_and_names_its_objects(watched: Watched) -> None:
    for number in range(3):
        watched.receives(f"1.1.{number}", of_study("1.1"))
    watched.receives("1.1.9", of_study("1.1"), DOSE_REPORT)
    assert watched.passes(599.0) == []
    (end,) = watched.passes(1.0)
    assert (end.study_instance_uid, end.revision, end.objects) == ("1.1", 1, (1, 2, 3, 4))
    assert end.evidence == (Evidence.DOSE_REPORT, Evidence.IDLE)
    assert StoreReader(watched.folder).study_ends() == [end]
    watched.again()
    assert watched.passes(1e6) == []
    assert StoreReader(watched.folder).study_ends() == [end]
    assert StoreReader(watched.folder).study_ends(after=end.seq) == []


def test_a_late_run_is_an_addendum_also_after_a_restart_and_a_resend_is_none(watched: Watched) -> None:
    watched.receives("1.1.1", of_study("1.1"))
    watched.receives("1.1.9", of_study("1.1"), DOSE_REPORT)
    assert len(watched.passes(600.0)) == 1
    watched.again()
    watched.receives("1.1.1", of_study("1.1"))
    assert watched.passes(1e6) == [], "the same object again"
    watched.receives("1.1.2", of_study("1.1"))
    watched.again()
    (end,) = watched.passes(600.0)
    assert (end.revision, end.objects) == (2, (1, 2, 3))
    assert [end.revision for end in StoreReader(watched.folder).study_ends()] == [1, 2]


def test_what_a_killed_process_had_not_noted_is_noted_by_the_next(watched: Watched) -> None:
    watched.receives("1.1.1", of_study("1.1"))
    watched.receives("1.1.9", of_study("1.1"), DOSE_REPORT)
    watched.again()  # before anybody had looked at the objects
    watched.watch.look()
    watched.again()  # and after
    (end,) = watched.passes(600.0)
    assert end.objects == (1, 2)


def test_the_sign_of_a_new_patient_outlives_a_restart(watched: Watched) -> None:
    watched.receives("1.1.9", of_study("1.1"), DOSE_REPORT)
    watched.watch.look()
    watched.receives("1.2.1", of_study("1.2", "another"))
    watched.watch.look()
    watched.again()
    (end,) = watched.passes(30.0)
    assert end.evidence == (Evidence.DOSE_REPORT, Evidence.NEW_PATIENT)


def test_a_quarantined_object_belongs_to_no_study(watched: Watched) -> None:
    watched.receives("1.1.1", of_study("1.1"))
    watched.receives("1.1.1", of_study("1.2"))
    (end,) = watched.passes(3600.0)
    assert (end.study_instance_uid, end.objects) == ("1.1", (1,))


def test_a_person_ends_a_study_also_from_another_process(watched: Watched) -> None:
    watched.receives("1.1.1", of_study("1.1"))
    watched.receives("1.2.1", of_study("1.2"))
    watched.watch.look()
    watched.watch.end_study("1.1")
    code = (
        "import sys; from pathlib import Path; from cathrt.runtime.listener.index import Index;"
        "from cathrt.runtime.listener.study_book import StudyBook;"
        "from cathrt.runtime.listener.study_watch import press_button;"
        "press_button(StudyBook(Index(Path(sys.argv[1]))), '1.2')"
    )
    subprocess.run([sys.executable, "-c", code, str(watched.folder)], check=True, timeout=60)
    ended = watched.passes(30.0)
    assert [(end.study_instance_uid, end.evidence) for end in ended] == [
        ("1.1", (Evidence.BUTTON,)),
        ("1.2", (Evidence.BUTTON,)),
    ]
    with pytest.raises(UnknownStudyError, match=r"study '1\.9': no object of it is in the store"):
        press_button(watched.watch.book, "1.9")


def test_nothing_that_names_the_patient_is_kept_in_the_index_or_logged(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    watched.receives("1.1.1", of_study("1.1"))
    watched.receives("1.2.1", xa_file(_0020000D=text("UI", PATIENT)))
    with library_prepared(watched.store):
        watched.passes(1e6)
    watched.store.close()
    assert PATIENT.encode() not in (watched.folder / "index.db").read_bytes()
    assert PATIENT not in caplog.text
    watched.open()
    patients = {event.patient for event in watched.watch.book.events(0)}
    assert patients - {""}, "the hash is there to compare by"


def test_the_hash_of_a_patient_differs_from_store_to_store(watched: Watched, tmp_path: Path) -> None:
    other = Watched(tmp_path / "other")
    for each in (watched, other):
        each.receives("1.1.1", of_study("1.1"))
        each.watch.look()
    (here,), (there,) = (each.watch.book.events(0) for each in (watched, other))
    assert here.patient != there.patient
    other.store.close()


@pytest.mark.parametrize("syntax", [EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED])
def test_a_study_is_found_in_every_encoding(syntax: str, watched: Watched) -> None:
    named = {0x00100020: text("LO", PATIENT), 0x0020000D: text("UI", "1.1")}
    watched.receives("1.1.1", part10(xa_elements() | named, bytes(2_000_000), syntax))
    watched.receives("1.1.2", of_study("1.1"))
    (end,) = watched.passes(3600.0)
    assert (end.study_instance_uid, end.objects, end.flags) == ("1.1", (1, 2), ())
    assert len({event.patient for event in watched.watch.book.events(0)}) == 1, "one patient, however it is encoded"


_STUDY = element(0x0020000D, text("UI", "1.1"))
DAMAGED: Mapping[str, bytes] = {
    "nothing": b"",
    "zeros": bytes(5000),
    "noise": bytes(range(256)) * 40,
    "no study": xa_file(_0020000D=None),
    "a study that is a path": xa_file(_0020000D=text("UI", "../../etc/passwd")),
    "a study of 80 digits": xa_file(_0020000D=text("UI", "1" * 80)),
    "a study that is a number": xa_file(_0020000D=("FD", struct.pack("<d", math.nan))),
    "a study that is a sequence": xa_file(_0020000D=("SQ", b"")),
    "a header of a million tiny elements": part10({}, b"")[:-1] + b"\x08\0\x01\0UL\0\0" * (1 << 20) + _STUDY,
    "a value of 4 GiB": part10({0x00080008: ("OB", b"")}, b"")[:-4] + b"\xff\xff\xff\x7f" + _STUDY,
    "nested sequences": part10({}, b"")
    + (b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff" * 20_000),
    "cut within the study": of_study("1.1")[:300],
    "implicit under explicit": part10({}, b"") + element(0x0020000D, text("UI", "1.1"), IMPLICIT_LITTLE),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_an_object_that_cannot_be_understood_is_passed_over_and_holds_nothing_up(
    damage: str, watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.receives("1.9.1", DAMAGED[damage])
    watched.receives("1.1.1", of_study("1.1"))
    assert [end.study_instance_uid for end in watched.passes(3600.0)] == ["1.1"]
    first, second, *_ = watched.watch.book.events(0)
    assert (first.study_instance_uid, second.study_instance_uid) == ("", "1.1")
    assert "object 1 names no study that can be used" in caplog.text


def test_an_object_that_is_gone_from_the_disk_is_an_error_that_holds_nothing_up(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.receives("1.9.1", of_study("1.9"))
    (received,) = watched.store.received()
    watched.store.path_of(received.state, received.content_sha256).unlink()
    watched.receives("1.1.1", of_study("1.1"))
    assert [end.study_instance_uid for end in watched.passes(3600.0)] == ["1.1"]
    assert "object 1 of the store cannot be read" in caplog.text


def test_an_event_that_cannot_be_kept_changes_nothing(watched: Watched) -> None:
    watched.store.index._database.execute("PRAGMA query_only=ON")
    with pytest.raises(sqlite3.OperationalError):
        watched.watch.note([StudyEvent(0, Kind.STEP_STARTED, "1.1", step_uid="9.1")])
    watched.store.index._database.execute("PRAGMA query_only=OFF")
    watched.receives("1.1.1", of_study("1.1"))
    watched.receives("1.1.9", of_study("1.1"), DOSE_REPORT)
    (end,) = watched.passes(600.0)
    assert end.evidence == (Evidence.DOSE_REPORT, Evidence.IDLE), "the step is not in progress"


def test_the_book_of_studies_keeps_an_end_once(watched: Watched) -> None:
    watched.receives("1.1.1", of_study("1.1"))
    watched.watch.look()
    other = StudyBook(watched.store.index)
    (ending,) = watched.watch._studies.due(1e9)
    assert other.note_end(ending) is not None
    assert other.note_end(ending) is None
    assert len(StoreReader(watched.folder).study_ends()) == 1
