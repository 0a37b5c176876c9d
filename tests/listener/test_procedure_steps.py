"""Procedure steps: what a modality is answered, and what becomes of its studies."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom.association import Association

from cathrt.runtime.listener import procedure_steps, statuses
from cathrt.runtime.listener.sop_classes import DOSE_REPORT, PROCEDURE_STEP
from cathrt.runtime.listener.spool import SpoolLimits
from cathrt.runtime.listener.store_reader import StoreReader
from cathrt.runtime.listener.studies import Kind
from cathrt.runtime.listener.study_book import StudyBook
from cathrt.runtime.listener.study_end import Evidence
from tests.listener import raw_peer as raw
from tests.listener.listening import (
    EXPLICIT_LITTLE,
    LIMITS,
    XA,
    Listening,
    associated,
    dataset,
    listening,
    wait_until,
    with_settings,
)
from tests.sources.dicom_bytes import text, xa_file

STEP, STUDY = "1.2.3.9", "1.2.3.4"
CONTEXTS = [(PROCEDURE_STEP, EXPLICIT_LITTLE), (XA, EXPLICIT_LITTLE), (DOSE_REPORT, EXPLICIT_LITTLE)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.dcm"
    path.write_bytes(xa_file(_0020000D=text("UI", STUDY)))
    return path


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Listening]:
    with listening(tmp_path / "store", with_settings(study_settle_s=0.3)) as running:
        yield running


@pytest.fixture
def association(running: Listening) -> Iterator[Association]:
    with associated(running.listener.port, CONTEXTS, "ANGIO1") as association:
        yield association


def step(status: str | None = "IN PROGRESS", *studies: str, patient: str = "MRN-4711", **others: Any) -> Dataset:
    """The data set of a step, also with values that no library lets pass."""
    made = Dataset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.PatientID, made.PatientName = patient, "Doe^Jane"
        if status is not None:
            made.PerformedProcedureStepStatus = status
        made.ScheduledStepAttributesSequence = [Dataset() for _ in studies or (STUDY,)]
        for item, study in zip(made.ScheduledStepAttributesSequence, studies or (STUDY,), strict=True):
            item.StudyInstanceUID = study
        for keyword, value in others.items():
            setattr(made, keyword, value)
    return made


def create(association: Association, made: Dataset | None, uid: str | None = STEP) -> int:
    status, _ = association.send_n_create(made, PROCEDURE_STEP, uid)
    return int(status.Status)


def change(association: Association, changed: Dataset, uid: str = STEP) -> int:
    status, _ = association.send_n_set(changed, PROCEDURE_STEP, uid)
    return int(status.Status)


def state(status: str | None, **others: Any) -> Dataset:
    changed = step(status, **others)
    del changed.ScheduledStepAttributesSequence
    return changed


def kinds(running: Listening) -> list[Kind]:
    return [event.kind for event in StudyBook(running.store.index).events(0) if event.step_uid]


def test_a_study_ends_by_its_procedure_step_and_its_dose_report(
    running: Listening, association: Association, file: Path
) -> None:
    assert create(association, step()) == statuses.SUCCESS
    for number in range(3):
        association.send_c_store(dataset(file, SOPInstanceUID=f"1.2.3.4.{number}"))
    report = dataset(file, SOPInstanceUID="1.2.3.4.9", SOPClassUID=DOSE_REPORT)
    del report.PixelData
    assert association.send_c_store(report).Status == statuses.SUCCESS
    assert change(association, state("IN PROGRESS")) == statuses.SUCCESS
    assert running.ends == []
    assert change(association, state("COMPLETED")) == statuses.SUCCESS
    wait_until(lambda: len(running.ends) == 1)
    (end,) = running.ends
    assert (end.study_instance_uid, end.revision, end.objects) == (STUDY, 1, (1, 2, 3, 4))
    assert end.evidence == (Evidence.STEP_COMPLETED, Evidence.DOSE_REPORT)
    assert StoreReader(running.folder).study_ends() == [end]
    association.send_c_store(dataset(file, SOPInstanceUID="1.2.3.4.10"))
    wait_until(lambda: len(running.ends) == 2)
    assert (running.ends[1].revision, running.ends[1].objects) == (2, (1, 2, 3, 4, 5))


def test_a_person_ends_a_study(running: Listening, association: Association, file: Path) -> None:
    association.send_c_store(dataset(file))
    wait_until(lambda: StudyBook(running.store.index).has_objects(STUDY))
    running.listener.end_study(STUDY)
    wait_until(lambda: len(running.ends) == 1)
    assert running.ends[0].evidence == (Evidence.BUTTON,)


def test_a_study_does_not_end_while_an_object_of_its_sender_is_on_its_way(
    running: Listening, association: Association, file: Path
) -> None:
    association.send_c_store(dataset(file))
    wait_until(lambda: StudyBook(running.store.index).has_objects(STUDY))
    connection = running.connect()
    connection.sendall(raw.associate((XA,), calling="ANGIO1"))
    assert (raw.answer(connection) or (0,))[0] == raw.ACCEPTED
    connection.sendall(raw.fragment(raw.command(raw.STORE), is_command=True))
    connection.sendall(raw.fragment(bytes(1000), is_command=False, last=False))
    wait_until(lambda: len(running.store.spool) == 1)
    running.listener.end_study(STUDY)
    with pytest.raises(AssertionError):
        wait_until(lambda: len(running.ends) == 1, within_s=1.2)
    connection.close()
    wait_until(lambda: len(running.ends) == 1)


def test_a_step_that_was_discontinued_for_a_wrong_worklist_entry_is_flagged(
    running: Listening, association: Association, file: Path
) -> None:
    create(association, step())
    association.send_c_store(dataset(file))
    reason = Dataset()
    reason.CodeValue, reason.CodingSchemeDesignator = "110514", "DCM"
    changed = state("DISCONTINUED", PerformedProcedureStepDiscontinuationReasonCodeSequence=[reason])
    assert change(association, changed) == statuses.SUCCESS
    running.listener.end_study(STUDY)
    wait_until(lambda: len(running.ends) == 1)
    assert running.ends[0].evidence == (Evidence.STEP_DISCONTINUED, Evidence.BUTTON)
    assert "wrong_worklist_entry" in running.ends[0].flags


def test_a_step_may_belong_to_several_studies(running: Listening, association: Association) -> None:
    assert create(association, step("IN PROGRESS", "1.1", "1.2")) == statuses.SUCCESS
    assert change(association, state("COMPLETED")) == statuses.SUCCESS
    assert {event.study_instance_uid for event in StudyBook(running.store.index).step(STEP)} == {"1.1", "1.2"}


def test_a_step_without_a_uid_gets_one(running: Listening, association: Association) -> None:
    assert create(association, step(), None) == statuses.SUCCESS
    (event,) = StudyBook(running.store.index).events(0)
    assert event.step_uid.startswith("2.25.")
    assert change(association, state("COMPLETED"), event.step_uid) == statuses.SUCCESS


@pytest.mark.parametrize(
    ("made", "uid", "status"),
    [
        (step("COMPLETED"), STEP, statuses.INVALID_ATTRIBUTE_VALUE),
        (step(None), STEP, statuses.INVALID_ATTRIBUTE_VALUE),
        (step("in progress"), STEP, statuses.INVALID_ATTRIBUTE_VALUE),
        (step("IN PROGRESS", "../../x"), STEP, statuses.MISSING_ATTRIBUTE),
        (None, STEP, statuses.INVALID_ATTRIBUTE_VALUE),
        (step("IN PROGRESS", *(f"1.{n}" for n in range(17))), STEP, statuses.RESOURCE_LIMITATION),
        (step("IN PROGRESS", *(f"1.{n}" for n in range(3000))), STEP, statuses.PROCESSING_FAILURE),
    ],
)
def test_a_step_that_cannot_be_taken_is_refused_and_not_kept(
    made: Dataset | None, uid: str, status: int, running: Listening, association: Association
) -> None:
    assert create(association, made, uid) == status
    assert StudyBook(running.store.index).events(0) == []
    assert create(association, step()) == statuses.SUCCESS, "the association goes on"


def test_a_step_is_created_once(running: Listening, association: Association) -> None:
    assert create(association, step()) == statuses.SUCCESS
    assert create(association, step()) == statuses.DUPLICATE_INSTANCE
    assert kinds(running) == [Kind.STEP_STARTED]


def test_only_a_step_in_progress_changes_and_the_same_end_again_is_a_success(
    running: Listening, association: Association
) -> None:
    assert change(association, state("COMPLETED")) == statuses.NO_SUCH_INSTANCE
    create(association, step())
    for wrong in ("DONE", "COMPLETED \\X", "completed"):
        assert change(association, state(wrong)) == statuses.INVALID_ATTRIBUTE_VALUE
    assert change(association, state(None)) == statuses.SUCCESS
    assert change(association, state("COMPLETED")) == statuses.SUCCESS
    assert change(association, state("COMPLETED")) == statuses.SUCCESS, "our answer was lost"
    assert change(association, state("DISCONTINUED")) == statuses.PROCESSING_FAILURE
    assert change(association, state("IN PROGRESS")) == statuses.PROCESSING_FAILURE
    assert kinds(running) == [Kind.STEP_STARTED, Kind.STEP_COMPLETED]


def test_nobody_ends_the_step_of_another(running: Listening, association: Association) -> None:
    create(association, step())
    with associated(running.listener.port, CONTEXTS, "ANGIO2") as other:
        assert change(other, state("COMPLETED")) == statuses.NOT_AUTHORISED
    assert kinds(running) == [Kind.STEP_STARTED]


def test_a_study_has_only_so_many_steps(association: Association, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(procedure_steps, "MOST_STEPS", 2)
    assert [create(association, step(), f"1.2.3.{n}") for n in range(3)] == [
        statuses.SUCCESS,
        statuses.SUCCESS,
        statuses.RESOURCE_LIMITATION,
    ]


def test_a_step_that_cannot_be_made_durable_is_refused(running: Listening, association: Association) -> None:
    running.store.index._database.execute("PRAGMA query_only=ON")
    assert create(association, step()) == statuses.RESOURCE_LIMITATION
    running.store.index._database.execute("PRAGMA query_only=OFF")
    assert create(association, step()) == statuses.SUCCESS


def test_without_room_on_the_disk_no_step_is_taken(tmp_path: Path) -> None:
    limits = SpoolLimits(LIMITS.max_object_bytes, reserve_bytes=1 << 60)
    with (
        listening(tmp_path / "store", limits=limits) as running,
        associated(running.listener.port, CONTEXTS) as association,
    ):
        assert create(association, step()) == statuses.RESOURCE_LIMITATION


def test_what_a_step_says_of_the_patient_is_neither_kept_nor_logged(
    running: Listening, association: Association, caplog: pytest.LogCaptureFixture
) -> None:
    create(association, step(PatientComments="a secret"))
    create(association, step("DONE"), "1.2.3.10")
    running.store.index.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    kept = (running.folder / "index.db").read_bytes()
    for said in ("MRN-4711", "Doe", "a secret"):
        assert said.encode() not in kept
        assert said not in caplog.text
