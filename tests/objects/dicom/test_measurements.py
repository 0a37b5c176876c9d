"""TID 1500 reports: one group a run, a region on one frame in each, what is told of it, and its status."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from highdicom import sr
from pydicom.dataset import Dataset

from cathrt.runtime.alert import StudyEnded
from cathrt.runtime.objects.dicom.kinds import MEASUREMENTS, MEASUREMENTS_3D, READING_3D
from cathrt.runtime.objects.dicom.measurements import measurements
from cathrt.runtime.objects.dicom.reading import reading
from cathrt.runtime.objects.results import Decision, KeyFrame, StudyResults, results_from
from tests.objects.dicom.generated_studies import CHARACTER_SETS, generated_study


@pytest.fixture
def results(tmp_path: Path) -> StudyResults:
    return generated_study(tmp_path, 3, "ended", CHARACTER_SETS[4]).results


def groups_of(made: Dataset) -> Any:
    return sr.Comprehensive3DSR.from_dataset(made).content.get_planar_roi_measurement_groups()


def comments_of(made: Dataset) -> list[str]:
    return [str(item.TextValue) for item in made.ContentSequence if item.ValueType == "TEXT"]


def test_each_run_is_one_group_with_a_region_on_its_best_frame(results: StudyResults) -> None:
    groups = groups_of(measurements(results, MEASUREMENTS_3D))
    assert len(groups) == len(results.evidence)
    for group, run in zip(groups, results.evidence, strict=True):
        (source,) = group.roi.ContentSequence
        reference = source.ReferencedSOPSequence[0]
        assert reference.ReferencedSOPInstanceUID == run.sop_instance_uid
        assert reference.ReferencedFrameNumber == run.key_frames[0].frame_number
        x, y = group.roi.value.max(axis=0)
        assert (x, y) == (run.columns, run.rows)


def test_a_group_tells_side_key_frames_scores_and_algorithm(results: StudyResults) -> None:
    run = replace(
        results.evidence[0],
        laterality="left",
        laterality_score=0.97,
        key_frames=(KeyFrame(2, 0.9, 0.9), KeyFrame(1, 0.7, 0.7)),
    )
    (group, *_) = groups_of(measurements(replace(results, evidence=(run,)), MEASUREMENTS_3D))
    assert group.finding_sites[0].topographical_modifier is None
    assert group.finding_sites[0].value.value == "50018008"
    told = [
        (one.name.meaning, one.value, [image.referenced_frame_numbers for image in one.referenced_images])
        for one in group.get_measurements()
    ]
    assert told == [
        ("Probability", 0.97, []),
        ("Readability of the key frame, 0 to 1", 0.9, [[2]]),
        ("Readability of the key frame, 0 to 1", 0.7, [[1]]),
    ]
    said = [str(item.TextValue) for item in group[0].ContentSequence if item.ValueType == "TEXT"]
    assert said[1:5] == [
        run.algorithm.name,
        run.algorithm.version,
        f"manifest sha256 {run.algorithm.manifest_sha256}",
        f"engine {run.algorithm.engine}",
    ]
    assert set(said) >= {run.text, run.text_ja}


def test_a_run_of_unknown_side_tells_no_probability_and_the_artery_in_general(results: StudyResults) -> None:
    run = replace(results.evidence[0], laterality="unknown", key_frames=())
    (group,) = groups_of(measurements(replace(results, evidence=(run,)), MEASUREMENTS_3D))
    assert group.finding_sites[0].value.value == "41801008"
    assert group.get_measurements() == []
    assert (
        group.roi.ContentSequence[0].ReferencedSOPSequence[0].ReferencedFrameNumber == (run.number_of_frames + 1) // 2
    )


def test_a_report_is_partial_preliminary_unverified_and_says_so_in_words(results: StudyResults) -> None:
    made = measurements(results, MEASUREMENTS_3D)
    status = (made.CompletionFlag, made.PreliminaryFlag, made.VerificationFlag)
    assert status == ("PARTIAL", "PRELIMINARY", "UNVERIFIED")
    assert results.notice in comments_of(made)
    assert "PredecessorDocumentsSequence" not in made


def test_both_sop_classes_hold_the_same_content_under_uids_of_their_own(results: StudyResults) -> None:
    made_3d, made = measurements(results, MEASUREMENTS_3D), measurements(results, MEASUREMENTS)
    assert (made_3d.SOPClassUID, made.SOPClassUID) == (MEASUREMENTS_3D.sop_class_uid, MEASUREMENTS.sop_class_uid)
    assert made_3d.ContentSequence == made.ContentSequence
    assert made_3d.SOPInstanceUID != made.SOPInstanceUID


@pytest.mark.parametrize("what", ["accepted", "corrected", "rejected"])
def test_a_decision_is_a_new_report_that_says_so_and_names_the_one_before(results: StudyResults, what: Any) -> None:
    before = measurements(results, MEASUREMENTS_3D)
    decision = Decision(what, "Dr. 山田", datetime(2026, 12, 1, 9, 30, tzinfo=UTC), "left main")
    after = measurements(results.decided(decision), MEASUREMENTS_3D)
    assert after.SOPInstanceUID != before.SOPInstanceUID
    (study,) = after.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (named,) = series.ReferencedSOPSequence
    assert study.StudyInstanceUID == before.StudyInstanceUID
    assert series.SeriesInstanceUID == before.SeriesInstanceUID
    assert (named.ReferencedSOPClassUID, named.ReferencedSOPInstanceUID) == (before.SOPClassUID, before.SOPInstanceUID)
    assert f"{what.upper()} by Dr. 山田 at 2026-12-01T09:30:00+00:00: left main" in comments_of(after)
    assert what.upper() in after.SeriesDescription
    assert after.VerificationFlag == "UNVERIFIED"


def test_a_late_runs_report_names_the_report_of_the_revision_before(tmp_path: Path) -> None:
    study = generated_study(tmp_path, 6, "second revision", CHARACTER_SETS[0])
    made = measurements(study.results, MEASUREMENTS_3D)
    (named,) = made.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert named.ReferencedSOPInstanceUID != made.SOPInstanceUID
    assert "Revision 2. Takes the place of revision 1." in comments_of(made)


def test_a_reading_of_the_study_gives_percent_and_probability_on_the_artery_they_are_of(tmp_path: Path) -> None:
    results = generated_study(tmp_path, 5, "read", CHARACTER_SETS[4]).results
    made = reading(results, results.readings[0], READING_3D)
    told = {}
    for group in groups_of(made):
        (one,) = group.get_measurements()
        told[group.tracking_identifier] = (
            one.name.meaning,
            one.value,
            one.unit.value,
            group.finding_sites[0].value.value,
        )
    assert told == {
        "lad_mid_stenosis": ("Lumen Diameter Stenosis", 71.25, "%", "59438005"),
        "lad_mid_cto": ("Probability", 0.12, "1", "59438005"),
        "dominance": ("Probability", 0.8, "1", "41801008"),
    }
    assert made.SOPInstanceUID != measurements(results, MEASUREMENTS_3D).SOPInstanceUID


def test_a_reading_names_the_reading_of_the_same_model_before_it(tmp_path: Path) -> None:
    study = generated_study(tmp_path, 5, "read", CHARACTER_SETS[4])
    (first,) = study.results.readings
    other = replace(first, id="of another model", reading=replace(first.reading, bundle="another"))
    end = next(record for record in study.records if isinstance(record, StudyEnded))
    again = replace(end, id="again", revision=2)
    second = replace(first, id="second reading", revision=2, ended=2)
    results = results_from([*study.records, first, again, second, replace(other, ended=2)], study.store)
    before = reading(results_from([*study.records, first], study.store), first, READING_3D)
    made, first_of_its_model = (reading(results, one, READING_3D) for one in results.readings)
    (named,) = made.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert named.ReferencedSOPInstanceUID == before.SOPInstanceUID
    assert "PredecessorDocumentsSequence" not in first_of_its_model
