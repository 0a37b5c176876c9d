"""Key Object Selection documents: the frames they name, their titles, and those they never have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from cathrt.runtime.objects.dicom.key_images import key_images
from cathrt.runtime.objects.results import StudyResults
from tests.objects.dicom.generated_studies import CHARACTER_SETS, generated_study

REJECTIONS = {"113001", "113037", "113038", "113039"}


@pytest.fixture
def results(tmp_path: Path) -> StudyResults:
    return generated_study(tmp_path, 3, "ended", CHARACTER_SETS[4]).results


def title_of(made: Dataset) -> str:
    return str(made.ConceptNameCodeSequence[0].CodeValue)


def modifier_of(made: Dataset) -> list[str]:
    return [
        str(item.ConceptCodeSequence[0].CodeValue)
        for item in made.ContentSequence
        if item.ValueType == "CODE" and item.ConceptNameCodeSequence[0].CodeValue == "113011"
    ]


def frames_of(made: Dataset) -> dict[str, list[int]]:
    found = {}
    for item in made.ContentSequence:
        if item.ValueType == "IMAGE":
            (one,) = item.ReferencedSOPSequence
            numbers = one.ReferencedFrameNumber
            found[str(one.ReferencedSOPInstanceUID)] = (
                [int(n) for n in numbers] if one["ReferencedFrameNumber"].VM > 1 else [int(numbers)]
            )
    return found


def of_title(made: Sequence[Dataset], title: str) -> list[Dataset]:
    return [one for one in made if title_of(one) == title]


def test_all_key_frames_of_all_runs_are_of_interest_by_frame_number(results: StudyResults) -> None:
    (all_,) = of_title(key_images(results, best_of_series=False), "113000")
    assert frames_of(all_) == {
        run.sop_instance_uid: sorted(key.frame_number for key in run.key_frames) for run in results.evidence
    }


def test_the_best_frame_of_the_study_is_alone_in_a_document_that_says_so(results: StudyResults) -> None:
    (best,) = of_title(key_images(results, best_of_series=False), "113013")
    assert modifier_of(best) == ["113014"]
    ((uid, frames),) = frames_of(best).items()
    run = max(results.evidence, key=lambda one: one.key_frames[0].score)
    assert (uid, frames) == (run.sop_instance_uid, [run.key_frames[0].frame_number])


def test_each_series_has_its_best_frame_where_that_is_wanted(results: StudyResults) -> None:
    best = of_title(key_images(results, best_of_series=True), "113013")
    assert [modifier_of(one) for one in best] == [["113015"]] * len(
        {run.series_instance_uid for run in results.evidence}
    )
    assert all(len(frames_of(one)) == 1 for one in best)
    assert len({one.SOPInstanceUID for one in best}) == len(best)


def test_a_run_without_key_frames_is_in_no_document_and_a_study_without_has_none(results: StudyResults) -> None:
    first, *others = results.evidence
    some = replace(results, evidence=(replace(first, key_frames=()), *others))
    assert first.sop_instance_uid not in frames_of(key_images(some, best_of_series=False)[0])
    assert (
        key_images(
            replace(results, evidence=tuple(replace(run, key_frames=()) for run in results.evidence)),
            best_of_series=False,
        )
        == ()
    )


def test_no_document_ever_has_a_title_that_rejects_images() -> None:
    source = (Path(__file__).parents[3] / "runtime" / "objects" / "dicom").rglob("*.py")
    assert not [path for path in source if any(code in path.read_text(encoding="utf-8") for code in REJECTIONS)]


def test_the_description_begins_with_the_notice(results: StudyResults) -> None:
    for made in key_images(results, best_of_series=False):
        (description,) = [
            item
            for item in made.ContentSequence
            if item.ValueType == "TEXT" and item.ConceptNameCodeSequence[0].CodeValue == "113012"
        ]
        assert description.TextValue.startswith(results.notice)
        assert made.SeriesDescription.startswith("RESEARCH USE ONLY")
