"""How much a picture moves: measured from frame to frame, and what the ranking makes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.runtime.frame import Frame, Grayscale, Run, Timing
from cathrt.runtime.model_kind import Judged
from cathrt.runtime.models.keyframe.motion import Motion, motion_at
from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig
from cathrt.runtime.models.keyframe.ranking import rank_key_frames
from cathrt.runtime.models.keyframe.records import keyframe_of
from cathrt.runtime.models.keyframe.run import KeyframeOnFrames
from tests.models.keyframe.courses import CONFIG, frames
from tests.models.keyframe.test_cross_check import BUNDLE

STILL = replace(CONFIG, vessel_filter=False, ranking_smoothing_s=0.0)


def run_of(rows: int, columns: int, exposed: NDArray[np.int32] | None = None) -> Run:
    return Run("r", "made up", None, rows, columns, Grayscale(bits_stored=12, exposed=exposed), Timing(15.0, "default"))


def lined(column: int, shape: tuple[int, int] = (300, 512)) -> NDArray[np.uint16]:
    """A dark line, 8 pixels wide, from top to bottom."""
    pixels = np.full(shape, 2000, np.uint16)
    pixels[:, column : column + 8] = 800
    return pixels


def moving(changes: list[float | None], scores: list[float]) -> list[Judged]:
    return [
        replace(frame, finding=replace(keyframe_of(frame), change=change))
        for frame, change in zip(frames(scores), changes, strict=True)
    ]


@pytest.mark.parametrize("shape", [(300, 512), (1024, 1000), (97, 61)])
def test_a_line_that_moves_changes_as_much_as_it_moves(shape: tuple[int, int]) -> None:
    motion = Motion(run_of(*shape))
    places = [20, 20, 24, 32]
    changes = [motion(lined(column, shape)) for column in places]
    per_pixel = 2 * 1200.0 / shape[1]  # what a column on either side of the line changes by
    assert changes[0] is None
    assert changes[1:] == pytest.approx([0.0, 4 * per_pixel, 8 * per_pixel], rel=0.02)


def test_what_the_shutter_covers_does_not_move() -> None:
    exposed = np.tile(np.array([[0, 256]], np.int32), (300, 1))
    motion = Motion(run_of(300, 512, exposed))
    motion(lined(400))
    assert motion(lined(420)) == 0.0
    covered = Motion(run_of(300, 512, np.zeros((300, 2), np.int32)))
    covered(lined(0))
    assert covered(lined(10)) == 0.0


def test_a_frame_on_a_device_is_not_looked_at_nor_compared_with() -> None:
    motion = Motion(run_of(300, 512))
    found = [motion(pixels) for pixels in (lined(0), object(), lined(0), lined(0))]
    assert found == [None, None, None, 0.0]


def test_the_lent_frame_may_be_written_over() -> None:
    motion, pixels = Motion(run_of(300, 512)), lined(20)
    motion(pixels)
    pixels[:] = lined(40)
    assert motion(lined(20)) == 0.0


def test_a_frame_moves_as_the_changes_before_and_after_it() -> None:
    assert motion_at([None, 1.0, 3.0, 5.0]) == pytest.approx([1.0, 2.0, 4.0, 5.0])
    assert motion_at([None, 1.0, None, None, None, 4.0]) == pytest.approx([1.0, 1.0, 2.5, 2.5, 4.0, 4.0])
    assert motion_at([None, None]) is None
    assert motion_at([]) is None


@pytest.mark.parametrize(
    ("changes", "stillness", "first"),
    [
        ([None, 2.0, 2.0, 2.0, 0.1, 0.1], 1.0, 4),  # still at frame 4
        ([None, 2.0, 2.0, 2.0, 0.1, 0.1], 0.0, 2),
        ([None] * 6, 1.0, 2),  # nothing was measured
        ([None, 2.0, 2.0, 2.0, 2.0, 2.0], 1.0, 2),  # it moves alike all the time
    ],
)
def test_of_frames_of_like_score_the_still_one_comes_first(
    changes: list[float | None], stillness: float, first: int
) -> None:
    run = moving(changes, [0.1, 0.1, 0.90, 0.88, 0.87, 0.1])
    assert rank_key_frames(run, 0.5, replace(STILL, stillness=stillness))[0].index == first


def test_a_still_frame_without_a_score_is_no_key_frame() -> None:
    run = moving([None, 9.0, 9.0, 0.0, 0.0, 0.0], [0.1, 0.9, 0.9, 0.2, 0.2, 0.2])
    assert rank_key_frames(run, 0.5, replace(STILL, stillness=5.0))[0].index in (1, 2)


@pytest.mark.parametrize("stillness", [0.0, 0.4])
def test_a_finding_has_a_change_where_it_was_asked_for(stillness: float) -> None:
    run = KeyframeOnFrames(BUNDLE, KeyframePolicyConfig(stillness=stillness)).begin(run_of(300, 512))
    section = KeyframeOnFrames(BUNDLE, None).section
    outputs: dict[str, Any] = {section.output: np.zeros((1, len(section.labels)), np.float32)}
    changes = [run.finding(outputs, "fake", Frame(lined(column), 0, 0)).change for column in (0, 40)]
    assert changes[0] is None
    assert (changes[1] is not None) == (stillness > 0.0)


def test_a_frame_that_an_earlier_process_judged_is_one_to_be_compared_with() -> None:
    run = KeyframeOnFrames(BUNDLE, None).begin(run_of(300, 512))
    section = KeyframeOnFrames(BUNDLE, None).section
    outputs: dict[str, Any] = {section.output: np.zeros((1, len(section.labels)), np.float32)}
    run.remember(Frame(lined(40), 0, 0))
    assert run.finding(outputs, "fake", Frame(lined(40), 0, 0)).change == 0.0
