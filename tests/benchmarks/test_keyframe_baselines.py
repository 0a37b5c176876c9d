"""What the classical rules choose, on runs made so that the right answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.judged_runs import judge
from benchmarks.keyframe_baselines import (
    APART_MS,
    ClassicalScores,
    Observed,
    best_frames,
    choices,
    due_ms,
    frangi_sum,
    judge_beside_baselines,
)
from cathrt.runtime.frame import Frame, Grayscale, LostFrame, Run, VoiWindow
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from tests.lines import MANIFEST, ArraySource, line, picture

SIDE = 128
SPEC = MANIFEST.network(CLASSIFIER).preprocessing[0]
NOISE = np.random.default_rng(0).normal(0.0, 4.0, (SIDE, SIDE))


def with_vessels(count: int, *, background: float = 160.0) -> np.ndarray:
    """A noisy picture with so many dark lines, 4 pixels wide."""
    pixels = background + NOISE
    for number in range(count):
        pixels[:, 12 + 14 * number : 16 + 14 * number] -= 50.0
    return np.clip(pixels, 0, 255).astype(np.uint8)


def run_of(frames: int, **changes: object) -> Run:
    grayscale = Grayscale(8, voi=VoiWindow(128.0, 255.0, "LINEAR_EXACT"))
    run = replace(ArraySource([0.1] * frames).run, rows=SIDE, columns=SIDE, grayscale=grayscale)
    return replace(run, **changes)


def scored(run: Run, *pictures: np.ndarray) -> ClassicalScores:
    scores = ClassicalScores(run, SPEC)
    for index, pixels in enumerate(pictures):
        scores.observe(Frame(pixels, index, 0))
    return scores


def test_frangi_finds_the_fullest_tree_and_the_least_mean_the_darkest_frame() -> None:
    dark = with_vessels(0, background=60.0)
    pictures = [with_vessels(0), with_vessels(2), with_vessels(6), with_vessels(3), dark]
    courses = scored(run_of(5), *pictures).courses
    assert int(np.argmax(courses["frangi"])) == 2
    assert int(np.argmax(courses["vesselness"])) == 2
    assert int(np.argmax(courses["least_mean"])) == 4
    assert courses["least_mean"][4] == pytest.approx(-60.0 / 255.0, abs=0.02)


def test_bright_ridges_are_no_vessels_whatever_way_the_grey_scale_goes() -> None:
    dark = with_vessels(1)
    bright = 255 - dark
    upright = run_of(2)
    inverted = run_of(2, grayscale=replace(upright.grayscale, photometric_interpretation="MONOCHROME1"))
    for name in ("frangi", "vesselness"):
        assert int(np.argmax(scored(upright, dark, bright).courses[name])) == 0
        assert int(np.argmax(scored(inverted, dark, bright).courses[name])) == 1


def test_what_the_collimator_covers_takes_no_part() -> None:
    exposed = np.tile(np.array([[0, SIDE // 2]], np.int32), (SIDE, 1))
    grayscale = replace(run_of(1).grayscale, exposed=exposed)
    left, both = with_vessels(2), with_vessels(8)
    both[:, : SIDE // 2] = left[:, : SIDE // 2]
    courses = scored(run_of(2, grayscale=grayscale), left, both).courses
    for course in courses.values():
        assert course[0] == pytest.approx(course[1], rel=1e-5)
    covered = replace(grayscale, exposed=np.zeros((SIDE, 2), np.int32))
    assert np.isnan(scored(run_of(1, grayscale=covered), left).courses["frangi"]).all()


def test_the_border_of_the_field_is_no_ridge() -> None:
    field = np.zeros((64, 64), bool)
    field[16:48, 16:48] = True
    grey = np.where(field, 0.6, 0.0).astype(np.float32)
    assert frangi_sum(grey, field) == pytest.approx(0.0, abs=1e-6)


def test_best_frames_lie_apart_and_lost_ones_are_never_chosen() -> None:
    due = tuple(100.0 * index for index in range(12))
    course = np.array([0, 1, 5, 9, 8, 7, 6, 4, np.nan, 3, 2, 2], float)
    assert best_frames(course, due) == (3, 7, 11), "4, 5, 6 lie within APART_MS of 3; of 10 and 11 one is too near 7"
    assert due[7] - due[3] >= APART_MS
    assert best_frames(np.full(4, np.nan), due) == ()
    assert best_frames(np.zeros(3), due) == (0,), "the earlier of equals"


def test_every_method_says_what_it_would_keep() -> None:
    source = ArraySource([0.1, 0.8, 0.85, 0.9, 0.95, 0.9, 0.85, 0.8, 0.75, 0.1])
    judged = judge(source, line())
    due = due_ms(source.run)
    found = choices(judged, {"frangi": np.arange(10.0)}, due)
    ranked = tuple(judged.result.marked_frames)
    assert found["ours"] == ranked[:1] != ()
    assert found["ours3"] == ranked
    assert found["frangi"] == (9,)
    assert found["frangi3"] == (9, 4), "15 frames/s: five frames are 333 ms; the next would lie before the run"
    assert (found["half"], found["share_06"]) == ((5,), (6,))
    quiet = choices(judge(ArraySource([0.1] * 5), line()), {"frangi": np.full(5, np.nan)}, due[:5])
    assert quiet["frangi"] == quiet["frangi3"] == ()


def test_line_and_baselines_see_the_same_frames_once_and_the_source_is_closed() -> None:
    lost = LostFrame(2, 0, "broken", failed=True)
    source = ArraySource([0.1, 0.2, lost, 0.9, 0.8, 0.7, 0.6])
    judged, found = judge_beside_baselines(source, line())
    assert source.closed
    assert len(judged.frames) == 7
    assert judged.frames[2].finding is None
    assert found["p_better"] == (3,)
    assert found["least_mean"] == (0,)
    assert 2 not in {frame for frames in found.values() for frame in frames if len(frames) == 3}
    seen: list[int] = []
    watched = Observed(ArraySource([picture(0.1), lost, picture(0.3)]), lambda frame: seen.append(frame.index))
    handed_on = list(watched.frames())
    assert seen == [0, 2]
    assert [item.index for item in handed_on] == [0, 2, 2]
