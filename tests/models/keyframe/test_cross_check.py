"""The classical filter beside the network: measured, ranked with, and told where it disagrees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cathrt.runtime.frame import Frame, Grayscale
from cathrt.runtime.model_kind import Judged
from cathrt.runtime.models.keyframe.cross_check import VesselFilter, preferred_frame
from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig
from cathrt.runtime.models.keyframe.ranking import rank_key_frames
from cathrt.runtime.models.keyframe.records import keyframe_of
from cathrt.runtime.models.keyframe.run import KeyframeOnFrames
from tests.lines import BUNDLE, ArraySource
from tests.models.keyframe.courses import CONFIG, frames

RUN = replace(ArraySource([]).run, rows=96, columns=96)
CHECKED = replace(CONFIG, vessel_filter=True, ranking_smoothing_s=0.0)


def measured(scores: list[float], vesselness: list[float | None]) -> list[Judged]:
    return [
        replace(frame, finding=replace(keyframe_of(frame), vesselness=value))
        for frame, value in zip(frames(scores), vesselness, strict=True)
    ]


def lined(rows: int = 96, columns: int = 96, depth: int = 60) -> np.ndarray:
    """A field that brightens from left to right, with a dark line across it."""
    picture = np.tile(np.linspace(90, 160, columns).astype(np.uint8), (rows, 1))
    picture[rows // 2 : rows // 2 + 4] -= depth
    return picture


@pytest.mark.parametrize(
    ("vesselness", "prefers"),
    [
        ([1.0, 2.0, 9.0, 3.0], 2),  # the chosen frame 1 lies in the lower half
        ([1.0, 5.0, 9.0, 3.0], None),  # in the middle of the range: no strong disagreement
        ([1.0, 9.0, 2.0, 3.0], None),
        ([4.0, 4.0, 4.0, 4.0], None),  # the filter sees no difference
        ([None, None, None, None], None),  # judged without a cross-check
    ],
)
def test_the_filter_is_heard_only_where_it_strongly_disagrees(
    vesselness: list[float | None], prefers: int | None
) -> None:
    run = measured([0.1, 0.9, 0.3, 0.2], vesselness)
    assert preferred_frame(run, 1, CHECKED) == prefers


def test_one_noisy_frame_does_not_make_the_filter_disagree() -> None:
    values: list[float | None] = [1.0, 1.0, 1.0, 4.0, 1.0, 1.0, 2.6, 2.6, 2.6, 2.6, 1.0]
    run = measured([0.1] * 7 + [0.9] + [0.1] * 3, values)
    assert preferred_frame(run, 7, CHECKED) is None
    assert preferred_frame(run, 7, replace(CHECKED, ranking_smoothing_s=0.2)) is None
    assert preferred_frame(run, 1, CHECKED) == 3


def test_a_dark_line_is_more_than_none_and_a_bright_one_is_for_monochrome1() -> None:
    darker, lighter = VesselFilter(RUN)(lined()), VesselFilter(RUN)(lined(depth=0))
    assert darker > 1.5 * lighter
    grayscale: Grayscale = replace(RUN.grayscale, photometric_interpretation="MONOCHROME1")
    inverted = VesselFilter(replace(RUN, grayscale=grayscale))
    assert inverted(255 - lined()) == pytest.approx(darker, rel=1e-5)


def test_frames_on_a_device_have_no_vesselness() -> None:
    assert VesselFilter(RUN)(object()) is None


@pytest.mark.parametrize("asked", [False, True])
def test_a_finding_has_a_vesselness_where_it_was_asked_for(asked: bool) -> None:
    run = KeyframeOnFrames(BUNDLE, KeyframePolicyConfig(vessel_filter=asked)).begin(RUN)
    section = KeyframeOnFrames(BUNDLE, None).section
    outputs = {section.output: np.zeros((1, len(section.labels)), np.float32)}
    finding = run.finding(outputs, "fake", Frame(lined(), 0, 0))
    assert (finding.vesselness is not None) == asked


@pytest.mark.parametrize(
    ("vesselness", "first"),
    [
        ([1.0, 1.0, 1.0, 1.1, 1.0, 1.0], 3),  # the filter sees what the scores do not tell apart
        ([1.0, 1.0, 1.0, 1.0, 1.0, 1.0], 2),  # it sees nothing: the scores alone
        ([1.0, 1.0, 1.0, 1.1, None, 1.0], 2),  # one frame was not measured: the scores alone
    ],
)
def test_frames_are_ranked_by_score_and_filter(vesselness: list[float | None], first: int) -> None:
    run = measured([0.1, 0.1, 0.90, 0.89, 0.1, 0.1], vesselness)
    ranked = rank_key_frames(run, 0.5, CHECKED)
    assert ranked[0].index == first


def test_the_filter_alone_makes_no_key_frame() -> None:
    run = measured([0.1, 0.1, 0.2, 0.1], [1.0, 9.0, 1.0, 1.0])
    assert rank_key_frames(run, 0.5, CHECKED) == []


def test_the_run_says_which_frame_the_filter_prefers_and_keeps_its_own() -> None:
    run = KeyframeOnFrames(BUNDLE, CHECKED).begin(RUN)
    for frame in measured([0.1, 0.95, 0.9, 0.85, 1e-4], [1.0, 1.0, 1.0, 1.0, 1.2]):
        run.observe(replace(frame, finding=replace(keyframe_of(frame), class_scores=(0.95, 0.0, 0.05, 0, 0, 0))))
    result = run.result("fake")
    assert result.marked_frames[0] == 1
    assert result.filter_prefers == 4
    assert "the vessel filter prefers frame 4" in result.text
    assert "フレーム4" in result.text_ja
