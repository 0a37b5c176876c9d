"""Finished reviews delivered: an edition each, once, beside what was sent before, and nothing undecided after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cathrt.runtime.alert import StudyEnded, Thing
from cathrt.runtime.config import LimitsConfig, OutletConfig
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.objects.due import Evidence
from cathrt.runtime.outlets.opening import wanted_types
from cathrt.runtime.outlets.studies import Studies
from tests.decisions.deciding import MORI, STUDY, Deciding, deciding, state_with_study
from tests.outlets.delivering import Driven, driven, outlet
from tests.outlets.object_receivers import receiving_objects
from tests.outlets.study_receivers import FhirReceiver, Hl7Receiver
from tests.outlets.test_object_outlet_contract import settings_for
from tests.passes import AT_ONCE

TYPES = ("ended", "study", "draft", "review")


@pytest.fixture
def on(tmp_path: Path) -> Iterator[Deciding]:
    with deciding(state_with_study(tmp_path / "state")) as made:
        yield made


@contextmanager
def delivering(on: Deciding, settings: OutletConfig, folder: Path) -> Iterator[Driven]:
    """An outlet of both journals, as the gateway has it."""
    state = on.state
    journals = {"study": state.study_journal, "gateway": state.gateway_journal}
    studies = Studies(Evidence(state.study_journal, state.store, state.gateway_journal), LimitsConfig())
    with driven(settings, folder, journals, studies=studies) as driving:
        yield driving


def fhir(receiver: FhirReceiver) -> OutletConfig:
    return outlet("fhir", f"{receiver.address}/fhir", types=TYPES, rate_per_minute=60)


def all_sent(driving: Driven) -> None:
    """Until both journals are delivered to their ends."""
    driving.step(2.0)
    driving.until(lambda: driving.delivery.state.rows_behind == 0 and driving.delivery.state.oldest_s == 0.0)
    assert driving.outbox.dead("out") == 0


@pytest.mark.parametrize("kind", ["dicom", pytest.param("stow", marks=pytest.mark.slow)])
def test_each_finished_review_is_stored_beside_what_was_sent_before_and_a_repeat_stores_nothing(
    on: Deciding, kind: str, tmp_path: Path
) -> None:
    with receiving_objects(kind) as receiver:
        settings = settings_for(kind, receiver.address, types=TYPES)
        with delivering(on, settings, tmp_path) as driving:
            all_sent(driving)
            undecided = dict(receiver.told.stored)
            on.decide(on.key_frame(), "rejected")
            all_sent(driving)
            assert receiver.told.stored.keys() == undecided.keys()  # nothing for a click
            on.finish()
            all_sent(driving)
            decided = {uid: one for uid, one in receiver.told.stored.items() if uid not in undecided}
        assert decided
        assert all(one.SeriesDescription.endswith("CORRECTED") for one in decided.values())
        reports = [one for one in decided.values() if one.Modality == "SR" and "PredecessorDocumentsSequence" in one]
        assert reports
        for report in reports:
            named = report.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
            assert named.ReferencedSOPInstanceUID in undecided
        before = dict(receiver.told.stored)
        (tmp_path / "outbox.db").unlink()  # as a box that has lost its places
        with delivering(on, settings, tmp_path) as driving:
            all_sent(driving)
        assert receiver.told.stored.keys() == before.keys()


def test_fhir_ends_with_the_last_review_and_every_version_is_kept_once(on: Deciding, tmp_path: Path) -> None:
    receiver = FhirReceiver()
    try:
        with delivering(on, fhir(receiver), tmp_path) as driving:
            all_sent(driving)
            on.decide(on.key_frame(), "rejected", text="造影不良")
            on.finish()
            all_sent(driving)
            on.decide(Thing("results"), "rejected", by=MORI)
            receiver.told.script.append("lost")  # stored, and the answer never came
            on.finish(by=MORI)
            all_sent(driving)
            add_late_reading(on)
            all_sent(driving)
        (report,) = receiver.shelf.now("DiagnosticReport")
        versions = receiver.shelf.versions[f"DiagnosticReport/{report['id']}"]
        said = [one["conclusion"] for one in versions]
        assert report["status"] == "preliminary"
        assert "rejected by Mori (mori)" in said[-1]
        assert "corrected by 佐藤 花子 (sato)" in said[-2]
        assert "造影不良" in said[-2]
        assert len([one for one in said if "rejected by Mori" in one]) == 1
    finally:
        receiver.down()


def test_hl7_takes_back_what_was_rejected_and_is_not_set_back_by_a_late_reading(on: Deciding, tmp_path: Path) -> None:
    receiver = Hl7Receiver()
    try:
        frame = on.key_frame()
        with delivering(on, outlet("hl7", receiver.address, types=TYPES, rate_per_minute=60), tmp_path) as driving:
            all_sent(driving)
            on.decide(frame, "rejected")
            on.finish()
            all_sent(driving)
            ((_, filed),) = receiver.results.items()
            deleted = {part for (_, part), (_, status) in filed.items() if status == "D"}
            assert {part.split(".")[1] for part in deleted} == {str((frame.frame_index or 0) + 1)}
            add_late_reading(on)
            all_sent(driving)
            assert dict(receiver.results.items()) == {next(iter(receiver.results)): filed}
    finally:
        receiver.down()


def add_late_reading(on: Deciding) -> None:
    """A model reads the same end of the study once more."""
    (record,) = on.now.readings
    with Journal(on.state.study_journal, AT_ONCE) as journal:
        body: Any = {name: getattr(record, name) for name in record.__dataclass_fields__}
        journal.append(type(record)(**{**body, "id": "read again", "revision": 9}))


def test_a_review_of_an_earlier_end_comes_over_no_later_one(on: Deciding, tmp_path: Path) -> None:
    receiver = FhirReceiver()
    try:
        on.decide(on.key_frame(), "rejected")
        on.finish()
        end = on.now.end
        assert end is not None
        with Journal(on.state.study_journal, AT_ONCE) as journal:
            journal.append(StudyEnded("end 2", STUDY, 2, end.run_ids, 0, 60.0))
        with delivering(on, fhir(receiver), tmp_path) as driving:
            all_sent(driving)
        (report,) = receiver.shelf.now("DiagnosticReport")
        assert "Revision 2, preliminary" in report["conclusion"]
        assert "rejected" not in report["conclusion"]
    finally:
        receiver.down()


def test_object_outlets_follow_reviews_unless_types_leave_them_out() -> None:
    assert wanted_types(outlet("dicom", "dicom://P@h:104", types=())) == set(TYPES)
    assert wanted_types(outlet("dicom", "dicom://P@h:104", types=("ended",))) == {"ended"}
    with pytest.raises(ConfigError, match="expected some of ended, study, draft, review for dicom"):
        wanted_types(outlet("dicom", "dicom://P@h:104", types=("decision",)))
