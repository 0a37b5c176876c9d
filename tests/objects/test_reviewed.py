"""Editions that finished reviews make: what was decided and by whom, the edition before, and that they stay so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cathrt.runtime.alert import Correction, RunSummary, StudyEnded, Thing
from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.decisions.confirmed import told_result
from cathrt.runtime.journal.lookups import records_of_type
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.objects.chosen import chosen, confirmed_in
from cathrt.runtime.objects.dicom.key_images import key_images
from cathrt.runtime.objects.dicom.kinds import MEASUREMENTS_3D
from cathrt.runtime.objects.dicom.measurements import measurements
from cathrt.runtime.objects.dicom.study_objects import objects_of
from cathrt.runtime.objects.due import Evidence, NotDueError
from cathrt.runtime.objects.fhir.transaction import prepared
from cathrt.runtime.objects.frame_reader import FrameReader
from cathrt.runtime.objects.hl7.observations import observations
from cathrt.runtime.objects.results import StudyResults
from tests.decisions.deciding import MORI, STUDY, Deciding, deciding, state_with_study
from tests.passes import AT_ONCE, tampered

REJECTIONS = {"113001", "113010", "113037", "113038", "113039"}
STENOSIS = Thing("finding", bundle="reader", finding="lad_mid_stenosis")
CTO = Thing("finding", bundle="reader", finding="lad_mid_cto")


@pytest.fixture
def on(tmp_path: Path) -> Iterator[Deciding]:
    with deciding(state_with_study(tmp_path / "state")) as made:
        yield made


def evidence_of(on: Deciding) -> Evidence:
    return Evidence(on.state.study_journal, on.state.store, on.state.gateway_journal)


def records(on: Deciding, type_: str) -> list[dict[str, Any]]:
    journal = on.state.gateway_journal if type_ == "review" else on.state.study_journal
    return [json.loads(row.body) for row in records_of_type(journal, type_)]


def edition(on: Deciding, number: int = -1) -> StudyResults:
    """What that finished review makes."""
    found = evidence_of(on).results(records(on, "review")[number])
    assert found is not None
    return found


def undecided(on: Deciding, number: int = 0) -> StudyResults:
    found = evidence_of(on).results(records(on, "ended")[number])
    assert found is not None
    return found


def run_of(results: StudyResults, on: Deciding, run: int = 0) -> Any:
    return next(one for one in results.evidence if one.run_id == on.now.runs[run].run_id)


def test_a_review_makes_an_edition_that_says_who_decided_what_and_names_the_one_before(on: Deciding) -> None:
    frame = on.key_frame()
    on.decide(frame, "rejected", text="造影\n不良", by=MORI)
    on.desk.sign(on.signature(), MORI)
    on.finish(text="確認しました")
    before, after = undecided(on), edition(on)
    assert after.replaces == before.edition
    assert after.edition != before.edition
    assert after.decision is not None
    assert (after.decision.what, after.decision.by, after.decision.number) == ("corrected", "佐藤 花子 (sato)", 1)
    number = (frame.frame_index or 0) + 1
    assert f"key frame {number} rejected by Mori (mori) [造影 不良]" in after.decision.text
    assert "draft read by Mori (mori) at 2026-12-01T18:00:02.000+09:00" in after.decision.text
    assert after.decision.text.endswith("; 確認しました")
    assert after.made_at.isoformat().startswith(after.decision.at.astimezone(after.made_at.tzinfo).isoformat()[:16])


def test_each_correction_is_in_the_run_and_no_probability_of_the_model_stands_beside_a_persons_artery(
    on: Deciding,
) -> None:
    result = told_result(on.now.runs[0])
    assert result is not None
    frame, unmarked = on.key_frame(), on.unmarked()
    on.decide(frame, "corrected", Correction(frame_index=unmarked))
    on.decide(on.side(), "corrected", Correction(side="right"))
    on.finish()
    run, before = run_of(edition(on), on), run_of(undecided(on), on)
    assert (run.laterality, run.laterality_score) == ("right", None)
    assert run.key_frames[0].frame_number == unmarked + 1
    assert (run.key_frames[0].by_person, run.key_frames[0].score) == (True, unmarked % 10 / 10)
    assert run.withdrawn == (before.key_frames[0],)
    assert run.key_frames[1:] == before.key_frames[1:]
    assert run.text.startswith("corrected by a person: right coronary artery; key frames")
    assert run.text_ja.startswith("訂正済み：右冠動脈、キーフレーム")
    assert "corrected_by_a_person" in run.flags
    other = run_of(edition(on), on, 1)
    assert other.text == run_of(undecided(on), on, 1).text


def test_a_frame_that_a_person_adds_is_a_key_frame_and_can_be_taken_back(on: Deciding) -> None:
    added = replace(on.key_frame(), frame_index=on.unmarked())
    on.decide(added, "corrected", Correction(added=True))
    on.finish()
    assert run_of(edition(on), on).key_frames[-1].frame_number == on.unmarked() + 1
    on.decide(added, "rejected")
    on.finish()
    assert run_of(edition(on), on).key_frames == run_of(undecided(on), on).key_frames


def test_findings_are_corrected_or_left_out(on: Deciding) -> None:
    on.decide(STENOSIS, "corrected", Correction(value=30.0))
    on.decide(CTO, "rejected")
    on.decide(Thing("finding", bundle="reader", finding="dominance"), "corrected", Correction(label="left"))
    on.finish()
    after = edition(on)
    (record,) = after.readings
    by_name = {one.name: one for one in record.reading.findings}
    assert by_name.keys() == {"lad_mid_stenosis", "dominance"}
    stenosis = by_name["lad_mid_stenosis"]
    assert (stenosis.value, stenosis.positive, stenosis.margin) == (30.0, False, None)
    assert stenosis.label == "a person says so (model: 71.2 %)"
    assert by_name["dominance"].label.startswith("a person says left (model: ")
    ((_, gone),) = after.withdrawn
    assert gone.name == "lad_mid_cto"
    withdrawn = [one for one in observations(after, "record") if one.withdrawn]
    assert [one.code.value for one in withdrawn] == ["lad_mid_cto"]


def test_a_rejected_key_frame_is_in_no_key_image_document_and_no_title_rejects_images(on: Deciding) -> None:
    frame = on.key_frame()
    on.decide(frame, "rejected")
    on.finish()
    after, run = edition(on), on.now.runs[0]
    for document in key_images(after, best_of_series=False):
        assert document.ConceptNameCodeSequence[0].CodeValue not in REJECTIONS
        for item in document.ContentSequence:
            for image in item.get("ReferencedSOPSequence", ()):
                if image.ReferencedSOPInstanceUID == run.source:
                    frames = image.get("ReferencedFrameNumber", ())
                    assert (frame.frame_index or 0) + 1 not in ([frames] if isinstance(frames, int) else frames)
    deleted = [one for one in observations(after, "record") if one.withdrawn]
    assert {one.part.split(".")[1] for one in deleted} == {str((frame.frame_index or 0) + 1)}
    on.decide(Thing("results"), "rejected")
    on.finish()
    assert key_images(edition(on), best_of_series=False) == ()
    assert prepared(edition(on), "urn:x", "R4").report["status"] == "preliminary"


def test_all_objects_of_an_edition_say_what_was_decided_and_stay_unverified(on: Deciding) -> None:
    on.decide(on.key_frame(), "rejected")
    on.decide(STENOSIS)
    on.finish()
    frames = FrameReader(LimitsConfig())
    before, after = objects_of(undecided(on), frames), objects_of(edition(on), frames)
    assert not {one.SOPInstanceUID for one in before} & {one.SOPInstanceUID for one in after}
    assert {one.Modality for one in after} == {"KO", "SR", "PR", "OT", "DOC"}
    assert all(one.SeriesDescription.endswith("CORRECTED") for one in after)
    assert all(one.VerificationFlag == "UNVERIFIED" for one in after if "VerificationFlag" in one)
    assert all(one.PreliminaryFlag == "PRELIMINARY" for one in after if "PreliminaryFlag" in one)
    again = objects_of(edition(on), frames)
    assert [one.SOPInstanceUID for one in again] == [one.SOPInstanceUID for one in after]
    named = measurements(edition(on), MEASUREMENTS_3D).PredecessorDocumentsSequence
    assert [one.StudyInstanceUID for one in named] == [undecided(on).study_instance_uid]
    assert str(after[0].PatientName) == "Yamada^Tarou=山田^太郎=やまだ^たろう"


def test_a_second_review_takes_the_place_of_the_first_and_each_stays_what_it_was(on: Deciding) -> None:
    frame = on.key_frame()
    on.decide(frame, "rejected")
    on.finish()
    first = edition(on)
    on.decide(frame, "accepted", by=MORI)
    on.finish(by=MORI)
    second = edition(on)
    assert second.replaces == first.edition
    assert edition(on, 0).edition == first.edition
    assert len({first.edition, second.edition, undecided(on).edition}) == 3
    versions = [prepared(one, "urn:x", "R4").version for one in (undecided(on), first, second)]
    assert versions[1].is_later_than(versions[0])
    assert versions[2].is_later_than(versions[1])


def test_what_a_model_adds_later_changes_no_edition_of_a_review(on: Deciding) -> None:
    on.decide(on.key_frame(), "rejected")
    on.finish()
    first = edition(on)
    with Journal(on.state.study_journal, AT_ONCE) as journal:
        for record in on.desk.studies.study(STUDY).readings:  # type: ignore[union-attr]
            journal.append(replace(record, id="read again", revision=9))
    assert edition(on).edition == first.edition
    assert edition(on).readings == first.readings
    evidence = evidence_of(on)
    assert evidence.is_newest(records(on, "review")[-1])
    assert not any(evidence.is_newest(one) for one in records(on, "study"))  # it waits for the next review
    on.finish()
    assert not evidence.is_newest(records(on, "review")[0])
    assert [one.id for one in edition(on).readings] == ["read again"]


def test_a_late_run_makes_an_undecided_revision_and_the_next_review_takes_over_what_still_holds(on: Deciding) -> None:
    on.decide(on.key_frame(), "rejected")
    on.finish()
    end = on.now.end
    assert end is not None
    with Journal(on.state.study_journal, AT_ONCE) as journal:
        journal.append(StudyEnded("end 2", STUDY, 2, end.run_ids, 0, 60.0))
    evidence = evidence_of(on)
    assert not evidence.is_newest(records(on, "review")[0])
    assert evidence.is_newest(records(on, "ended")[1])
    late = undecided(on, 1)
    assert (late.revision, late.decision) == (2, None)
    on.finish()
    again = edition(on)
    assert (again.revision, again.replaces) == (2, late.edition)
    assert run_of(again, on).withdrawn == run_of(edition(on, 0), on).withdrawn


def test_a_study_by_name_is_as_the_last_finished_review_has_it(on: Deciding) -> None:
    paths = (on.state.study_journal, on.state.store, on.state.gateway_journal)
    assert chosen(confirmed_in(*paths), STUDY).decision is None
    on.decide(on.key_frame(), "rejected")
    on.finish()
    assert chosen(confirmed_in(*paths), STUDY).edition == edition(on).edition
    run = next(record for record in on.now.runs if isinstance(record, RunSummary))
    assert chosen(confirmed_in(*paths), run.run_id).decision is None


def test_an_edition_whose_records_are_gone_is_not_due_and_says_so(on: Deciding) -> None:
    on.decide(on.key_frame(), "rejected")
    on.finish()
    (review,) = records(on, "review")
    with pytest.raises(NotDueError, match="its review is not in the journal of decisions any more"):
        Evidence(on.state.study_journal, on.state.store).results(review)
    tampered(on.state.study_journal, f"DELETE FROM record WHERE id = '{on.now.draft.id}'")  # type: ignore[union-attr]
    with pytest.raises(NotDueError, match="1 records that its review rests on are not in the journal any more"):
        evidence_of(on).results(review)
