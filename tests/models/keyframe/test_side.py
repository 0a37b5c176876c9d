"""What a run shows: an angiogram, an artery, a side; and when the answer is unknown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cathrt.runtime.frame import Geometry
from cathrt.runtime.model_kind import Judged
from cathrt.runtime.models.keyframe.finding import KeyframeModel
from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig
from cathrt.runtime.models.keyframe.records import KeyframeFinding, Laterality
from cathrt.runtime.models.keyframe.section import KeyframeSection, section_of
from cathrt.runtime.models.keyframe.side import RunSide, laterality_mismatch, run_outside, run_side, vote_laterality
from tests.lines import MANIFEST

CONFIG = KeyframePolicyConfig()
SECTION = section_of(MANIFEST)  # visible from 0.3
LENIENT = replace(SECTION, run_visible_threshold=0.2)
STRICT = replace(SECTION, run_visible_threshold=0.6)
SPIDER, PLAIN_LAO = Geometry(45.0, -30.0), Geometry(50.0, 0.0)


def shown(visibility: float, left: float = 0.9, outside: str | None = None) -> KeyframeFinding:
    """A frame that shows so much of an artery, which is the left one with so much probability."""
    right = 1.0 - left
    classes = (left * visibility, 0.0, left * (1.0 - visibility), right * visibility, 0.0, right * (1.0 - visibility))
    return KeyframeFinding("unknown", max(left, right), classes, outside, engine="fake", score=visibility)


def side(
    frames: list[KeyframeFinding], section: KeyframeSection = SECTION, geometry: Geometry | None = None
) -> RunSide:
    judged = [Judged(index, index * 1000.0 / 15.0, f"v{index}", found) for index, found in enumerate(frames)]
    return run_side(judged, KeyframeModel(section), section, CONFIG, geometry or Geometry())


def test_a_run_shows_an_artery_if_enough_frames_do() -> None:
    dark = [shown(0.1)] * 50
    assert side([*dark, *[shown(0.9)] * 3]).voted == "left"
    too_few = side([*dark, *[shown(0.9)] * 2])
    assert (too_few.shows_artery, too_few.laterality) == (False, "unknown")
    assert not side(dark).shows_artery
    assert not side([]).shows_artery


@pytest.mark.parametrize(("section", "voted"), [(LENIENT, "left"), (SECTION, "unknown"), (STRICT, "unknown")])
def test_the_run_has_a_visible_threshold_of_its_own(section: KeyframeSection, voted: Laterality) -> None:
    found = side([shown(0.25)] * 20, section)
    assert (found.voted, found.shows_artery) == (voted, voted != "unknown")


def test_a_threshold_above_that_of_a_frame_keeps_a_run_unknown_that_has_frames_of_a_side() -> None:
    assert side([shown(0.5)] * 20, SECTION).laterality == "left"
    assert side([shown(0.5)] * 20, STRICT).shows_artery is False


def test_frames_outside_show_nothing_and_have_no_vote() -> None:
    wrong = [shown(0.9, left=0.0, outside="bars")] * 9
    assert side([*wrong, *[shown(0.9)] * 10]).laterality == "left"
    assert not side([*wrong, *[shown(0.1)] * 10]).shows_artery


def test_undecided_frames_have_no_vote_and_leave_a_run_that_shows_an_artery_of_unknown_side() -> None:
    found = side([shown(0.9, left=0.55)] * 20)
    assert (found.shows_artery, found.laterality, found.score) == (True, "unknown", 0.0)


def test_of_a_run_of_fewer_frames_than_a_side_needs_all_must_show_an_artery() -> None:
    found = side([shown(0.9)])
    assert (found.shows_artery, found.laterality) == (True, "left")
    assert not side([shown(0.9), shown(0.1)]).shows_artery


@pytest.mark.parametrize(("left", "geometry", "voted"), [(0.1, SPIDER, "right"), (0.9, PLAIN_LAO, "left")])
def test_an_unusual_angle_makes_the_side_unknown(left: float, geometry: Geometry, voted: Laterality) -> None:
    found = side([shown(0.9, left)] * 20, geometry=geometry)
    assert (found.laterality, found.voted, found.mismatch) == ("unknown", voted, True)
    assert found.score == pytest.approx(0.9)
    assert found.shows_artery


@pytest.mark.parametrize("left", [0.02, 0.98])
def test_an_overwhelming_vote_stands_against_the_angle(left: float) -> None:
    geometry = SPIDER if left < 0.5 else PLAIN_LAO
    found = side([shown(0.9, left)] * 20, geometry=geometry)
    assert found.laterality == found.voted == ("left" if left >= 0.5 else "right")
    assert found.mismatch is True


def test_the_angle_never_names_a_side() -> None:
    for geometry in (SPIDER, PLAIN_LAO, Geometry(-30.0, 25.0)):
        assert side([shown(0.1)] * 20, geometry=geometry).laterality == "unknown"
        assert side([shown(0.9)] * 20, geometry=geometry).laterality in ("left", "unknown")


def test_a_run_is_outside_if_half_of_its_frames_are_for_the_commonest_reason() -> None:
    inside, bars, light = shown(0.9), shown(0.9, outside="bars"), shown(0.9, outside="light")
    assert run_outside([inside] * 5 + [bars] * 5) == "bars"
    assert run_outside([inside] * 5 + [bars] * 4) is None
    assert run_outside([inside] * 5 + [bars] * 2 + [light] * 3) == "light"
    assert run_outside([bars]) == "bars"
    assert run_outside([inside]) is None
    assert run_outside([]) is None


def test_the_vote_weighs_frames_by_what_they_show() -> None:
    faint = [(0.9, 0.05)] * 20
    clear = [(0.1, 0.95)] * 10
    voted, score = vote_laterality(faint + clear, CONFIG, frames=30)
    assert voted == "right"
    assert score > 0.8


def test_a_run_in_which_too_few_frames_vote_has_an_unknown_side() -> None:
    enough = CONFIG.min_visible_frames
    assert vote_laterality([(0.99, 0.9)] * enough, CONFIG, frames=60)[0] == "left"
    assert vote_laterality([(0.99, 0.9)] * (enough - 1), CONFIG, frames=60)[0] == "unknown"
    assert vote_laterality([], CONFIG, frames=60) == ("unknown", 0.0)


def test_of_a_run_shorter_than_that_all_frames_must_vote() -> None:
    shorter = CONFIG.min_visible_frames - 1
    assert vote_laterality([(0.99, 0.9)] * shorter, CONFIG, frames=shorter)[0] == "left"
    assert vote_laterality([(0.99, 0.9)] * (shorter - 1), CONFIG, frames=shorter)[0] == "unknown"
    assert vote_laterality([(0.99, 0.9)], CONFIG, frames=1)[0] == "left", "a still"


def test_an_even_vote_is_unknown_whatever_its_weight() -> None:
    assert vote_laterality([(0.55, 0.9)] * 60, CONFIG, frames=60)[0] == "unknown"


def test_mismatch_is_about_views_that_are_chosen_for_the_other_side() -> None:
    assert laterality_mismatch("right", 45.0, -30.0) is True  # spider view
    assert laterality_mismatch("right", 50.0, 0.0) is False
    assert laterality_mismatch("left", 50.0, 0.0) is True  # plain LAO
    assert laterality_mismatch("left", -35.0, -35.0) is False
    assert laterality_mismatch("left", 40.0, 30.0) is False  # LAO cranial serves both
    assert laterality_mismatch("left", 90.0, 0.0) is False  # so does the lateral view
    assert laterality_mismatch("unknown", 50.0, 0.0) is None
    assert laterality_mismatch("left", None, 0.0) is None


@pytest.mark.parametrize(("asked", "voted"), [(None, "left"), (0.4, "left"), (0.5, "unknown")])
def test_a_run_that_does_not_stand_out_has_no_side(asked: float | None, voted: str) -> None:
    steady = side([shown(0.9)] * 30, replace(SECTION, run_evidence=asked))  # stands out by 0.9 - 0.45
    assert steady.voted == steady.laterality == voted
    assert steady.shows_artery == (voted == "left")
