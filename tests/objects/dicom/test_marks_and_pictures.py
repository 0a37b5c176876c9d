"""Presentation states and Secondary Captures: of which frame they are, what is written on it, what stays as it was."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from cathrt.runtime.objects.dicom.marks import marks
from cathrt.runtime.objects.dicom.pictures import BANNER, BANNER_JA, bannered, picture
from cathrt.runtime.objects.results import Decision, KeyFrame, RunEvidence, StudyResults
from tests.objects.dicom.generated_studies import CHARACTER_SETS, generated_study, ramp


@pytest.fixture
def results(tmp_path: Path) -> StudyResults:
    return generated_study(tmp_path, 3, "ended", CHARACTER_SETS[4]).results


@pytest.fixture
def run(results: StudyResults) -> RunEvidence:
    return replace(results.evidence[0], key_frames=(KeyFrame(2, 0.9, 0.9), KeyFrame(1, 0.7, 0.7)), laterality="right")


def test_each_key_frame_has_its_own_mark_with_rank_score_and_notice(results: StudyResults, run: RunEvidence) -> None:
    made = marks(results, run, 1)
    told = [
        (item.ReferencedImageSequence[0].ReferencedFrameNumber, item.TextObjectSequence[0].UnformattedTextValue)
        for item in made.GraphicAnnotationSequence
    ]
    assert told == [
        (2, "AI key frame 1 of 2, score 0.90\r\nRESEARCH USE ONLY"),
        (1, "AI key frame 2 of 2, score 0.70\r\nRESEARCH USE ONLY"),
    ]
    (image,) = made.ReferencedSeriesSequence[0].ReferencedImageSequence
    assert image.ReferencedSOPInstanceUID == run.sop_instance_uid
    assert "ReferencedFrameNumber" not in image  # the state is of the whole run


def test_marks_lie_inside_the_picture_and_the_window_stays_that_of_the_run(
    results: StudyResults, run: RunEvidence
) -> None:
    made = marks(results, run, 1)
    points = np.reshape(made.GraphicAnnotationSequence[0].GraphicObjectSequence[0].GraphicData, (-1, 2))
    assert points.min() >= 1
    assert (points.max(axis=0) <= (run.columns, run.rows)).all()
    (window,) = made.SoftcopyVOILUTSequence
    assert (window.WindowCenter, window.WindowWidth) == (128, 256)
    assert made.PresentationLUTShape == "IDENTITY"


def test_a_run_whose_low_values_are_bright_is_shown_as_it_was(results: StudyResults, run: RunEvidence) -> None:
    run.header.PhotometricInterpretation = "MONOCHROME1"
    assert marks(results, run, 1).PresentationLUTShape == "INVERSE"
    del run.header.WindowCenter
    assert "SoftcopyVOILUTSequence" not in marks(results, run, 1)


def test_a_picture_holds_the_frame_untouched_between_its_banners(results: StudyResults, run: RunEvidence) -> None:
    grey = ramp(run, 2)
    made = picture(results, run, run.key_frames[0], 1, 1, grey)
    pixels = made.pixel_array
    left = (pixels.shape[1] - run.columns) // 2
    whole = [
        row
        for row in range(pixels.shape[0] - run.rows)
        if (pixels[row : row + run.rows, left : left + run.columns] == grey).all()
    ]
    assert len(whole) == 1
    assert whole[0] > 30  # below the lines
    assert (pixels[: whole[0]] > 200).any()
    assert (pixels[whole[0] + run.rows :] > 200).any()


def test_a_picture_says_that_text_is_burned_in_and_of_which_frame_it_is(
    results: StudyResults, run: RunEvidence
) -> None:
    made = picture(results, run, run.key_frames[0], 1, 1, ramp(run, 2))
    (source,) = made.SourceImageSequence
    assert (source.ReferencedSOPInstanceUID, source.ReferencedFrameNumber) == (run.sop_instance_uid, 2)
    assert (made.BurnedInAnnotation, list(made.ImageType)) == ("YES", ["DERIVED", "SECONDARY"])
    assert made.LossyImageCompression == "00"
    assert "PixelSpacing" not in made  # nothing is to be measured on it


def test_what_was_lost_before_stays_told(results: StudyResults, run: RunEvidence) -> None:
    run.header.LossyImageCompression, run.header.LossyImageCompressionRatio = "01", 10.0
    made = picture(results, run, run.key_frames[0], 1, 1, ramp(run, 2))
    assert (made.LossyImageCompression, made.LossyImageCompressionRatio) == ("01", 10.0)


def test_a_banner_is_drawn_in_both_languages_and_no_character_is_a_box() -> None:
    grey = np.zeros((64, 512), np.uint8)

    def ink(line: str) -> np.ndarray:
        return bannered(grey, (line,))[:30]

    for character in BANNER_JA:
        assert (ink(character) != ink("\ue000")).any()
    assert (ink(BANNER) > 200).any()
    assert bannered(grey, ("a",)).shape[1] == 512
    assert bannered(np.zeros((64, 64), np.uint8), ("a",)).shape[1] == 384  # a narrow one gets black sides


def test_a_decision_is_burned_in_and_marked(results: StudyResults, run: RunEvidence) -> None:
    grey = ramp(run, 2)
    decided = results.decided(Decision("rejected", "Dr. A", datetime(2026, 12, 1, tzinfo=UTC)))
    before, after = (picture(one, run, run.key_frames[0], 1, 1, grey) for one in (results, decided))
    assert before.SOPInstanceUID != after.SOPInstanceUID
    assert before.PixelData != after.PixelData
    assert "REJECTED" in marks(decided, run, 1).GraphicAnnotationSequence[0].TextObjectSequence[0].UnformattedTextValue
