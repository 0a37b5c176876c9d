"""Chord maps: the native projector against its reference in numpy, and what it refuses.

Not for: whether the reference is right (tests/phantom/test_phantom.py measures chords against cylinders).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.runtime.phantom._projector import add_chords
from cathrt.runtime.phantom.carm import CArm
from cathrt.runtime.phantom.tubes import TubeBundle, chord_map
from tests.phantom import phantom_reference as reference

# float32 positions within a patch, and areas of up to 25,000 pixel² of which the chord is a small difference
TOLERANCE = {"atol": 1e-4, "rtol": 1e-4}
VIEW = CArm(25.0, -15.0, 765.0, 1100.0, 160, 200, 0.6)


def winding(rng: np.random.Generator, points: int, radius_mm: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A tube that wanders through the field and out of it, its radius changing on the way."""
    steps = rng.normal(0.0, 1.0, (points, 3)).cumsum(axis=0) * 0.3 + rng.normal(0.0, 1.5, 3)
    return steps.cumsum(axis=0) + rng.normal(0.0, 25.0, 3), radius_mm * rng.uniform(0.5, 1.5, points)


def bundle(seed: int, tubes: int, points: int, radius_mm: float) -> TubeBundle:
    rng = np.random.default_rng(seed)
    return TubeBundle.from_polylines(*zip(*(winding(rng, points, radius_mm) for _ in range(tubes)), strict=True))


@pytest.mark.parametrize("radius_mm", [0.05, 0.3, 1.5, 8.0, 25.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 97), (61, 1), (160, 200), (211, 173)])
@pytest.mark.parametrize("margin", [0, 9])
def test_the_chords_are_those_of_the_reference(radius_mm: float, shape: tuple[int, int], margin: int) -> None:
    view = replace(VIEW, rows=shape[0], columns=shape[1])
    tubes = bundle(7, 12, 40, radius_mm)
    image = chord_map(view, tubes, margin=margin)
    assert image.shape == (shape[0] + 2 * margin, shape[1] + 2 * margin)
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, reference.chord_map(view, tubes, margin=margin), **TOLERANCE)
    if min(image.shape) > 60:
        assert image.max() > radius_mm


@pytest.mark.parametrize("seed", range(6))
def test_weights_and_blur_are_those_of_the_reference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tubes = bundle(seed, 20, 30, 0.9)
    count = len(tubes.points)
    weight = np.where(rng.random(count) < 0.4, 0.0, rng.random(count))
    variance = rng.exponential(2.0, count)
    image = chord_map(VIEW, tubes, weight=weight, blur_variance=variance)
    expected = reference.chord_map(VIEW, tubes, weight=weight, blur_variance=variance)
    np.testing.assert_allclose(image, expected, **TOLERANCE)
    assert expected.max() > 0.3


def test_hairpins_end_on_tubes_and_points_on_each_other_are_those_of_the_reference() -> None:
    view = replace(VIEW, primary_angle_deg=0.0, secondary_angle_deg=0.0)
    hairpin = np.array([[0.0, 0, 0], [20, 0, 0], [20, 0.2, 0], [0, 0.3, 0]])
    end_on = np.array([[-20.0, 10, -30], [-20, 10, 0], [-20.5, 10, 30]])
    still = np.array([[10.0, -20, 0], [10, -20, 0], [14, -24, 0]])
    lines = [hairpin, end_on, still]
    tubes = TubeBundle.from_polylines(lines, [np.full(len(line), 1.5) for line in lines])
    image = chord_map(view, tubes)
    np.testing.assert_allclose(image, reference.chord_map(view, tubes), **TOLERANCE)
    assert image.max() > 3.0


def test_no_tubes_and_a_single_point_give_a_blank_image() -> None:
    nothing = TubeBundle.from_polylines([], [])
    alone = TubeBundle(np.zeros((1, 3)), np.ones(1), np.zeros(0, dtype=bool))
    for tubes in (nothing, alone):
        image = chord_map(VIEW, tubes, margin=3)
        assert image.shape == (166, 206)
        assert not image.any()


@pytest.mark.parametrize("aside_mm", [[400.0, 0, 0], [-400, 0, 0], [0, 400, 0], [0, -400, 0], [9e5, 9e5, 0]])
def test_tubes_wholly_outside_leave_the_image_blank(aside_mm: list[float]) -> None:
    view = replace(VIEW, primary_angle_deg=0.0, secondary_angle_deg=0.0)
    tubes = bundle(3, 4, 20, 1.0)
    moved = TubeBundle(tubes.points - tubes.points.mean(axis=0) + aside_mm, tubes.radii, tubes.joined)
    assert not chord_map(view, moved).any()


def test_a_margin_shows_what_lies_beyond_the_edge_and_leaves_the_middle_alone() -> None:
    tubes = bundle(11, 12, 40, 2.0)
    plain, framed = chord_map(VIEW, tubes), chord_map(VIEW, tubes, margin=20)
    np.testing.assert_allclose(framed[20:-20, 20:-20], plain, **TOLERANCE)
    assert framed.sum() > plain.sum() * 1.02


def test_a_tube_without_radius_or_blur_has_no_chord() -> None:
    tubes = bundle(3, 4, 20, 1.0)
    assert not chord_map(VIEW, TubeBundle(tubes.points, np.zeros_like(tubes.radii), tubes.joined)).any()


def test_the_same_tubes_give_the_same_bytes() -> None:
    tubes = bundle(5, 30, 40, 1.0)
    first = chord_map(VIEW, tubes, blur_variance=0.4).tobytes()
    assert all(chord_map(VIEW, tubes, blur_variance=0.4).tobytes() == first for _ in range(3))


def test_views_into_larger_arrays_are_drawn_as_their_copies() -> None:
    tubes = bundle(5, 3, 20, 1.0)
    wide = np.zeros((len(tubes.points), 5))
    wide[:, 1:4] = tubes.points
    assert (
        chord_map(VIEW, TubeBundle(wide[:, 1:4], tubes.radii, tubes.joined)).tobytes()
        == chord_map(VIEW, tubes).tobytes()
    )


# --- refused ---------------------------------------------------------------------------------------------------------


def with_point(tubes: TubeBundle, value: object) -> TubeBundle:
    points = tubes.points.copy()
    points[4] = value
    return replace(tubes, points=points)


def with_radius(tubes: TubeBundle, value: float) -> TubeBundle:
    radii = tubes.radii.copy()
    radii[4] = value
    return replace(tubes, radii=radii)


# Behind the focus, on the axis of the beam.
BEHIND = -800.0 * VIEW.axes()[2]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda tubes: with_point(tubes, np.nan), r"points\[4\] holds nan"),
        (lambda tubes: with_point(tubes, np.inf), r"points\[4\] holds inf"),
        (lambda tubes: with_point(tubes, [0, -1e7, 0]), r"points\[4\] holds -1.*: expected -1e6 to 1e6"),
        (lambda tubes: with_point(tubes, BEHIND), r"points\[4\] is seen at .* expected a point in front of the source"),
        (lambda tubes: with_radius(tubes, np.nan), r"radii\[4\] holds nan: expected 0 to 1e6"),
        (lambda tubes: with_radius(tubes, np.inf), r"radii\[4\] holds inf"),
        (lambda tubes: with_radius(tubes, -0.1), r"radii\[4\] holds -0.1"),
        (lambda tubes: replace(tubes, radii=tubes.radii[1:]), r"radii is float64 \(19\): .* float64 \(20\)"),
        (lambda tubes: replace(tubes, joined=tubes.joined[1:]), r"joined is bool8 \(18\): .* \(19\)"),
        (lambda tubes: replace(tubes, joined=np.append(tubes.joined, True)), r"joined is bool8 \(20\): .* \(19\)"),
    ],
)
def test_tubes_that_cannot_be_drawn_raise(spoil: Callable[[TubeBundle], TubeBundle], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        chord_map(VIEW, spoil(bundle(1, 1, 20, 1.0)))


@pytest.mark.parametrize(
    ("weight", "blur_variance", "message"),
    [
        (np.ones(19), 0.0, r"weight is float64 \(19\): expected contiguous float64 \(20\)"),
        (np.full(20, np.nan), 0.0, r"weight\[0\] holds nan"),
        (None, np.ones(21), r"blur_variance is float64 \(21\)"),
        (None, np.full(20, np.inf), r"blur_variance\[0\] holds inf"),
        (None, -1.0, r"blur_variance\[0\] holds -1"),
        (None, np.nan, r"blur_variance\[0\] holds nan"),
    ],
)
def test_weights_and_blurs_that_do_not_fit_raise(
    weight: NDArray[np.float64] | None, blur_variance: NDArray[np.float64] | float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        chord_map(VIEW, bundle(1, 1, 20, 1.0), weight=weight, blur_variance=blur_variance)


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4)), np.zeros(4, dtype=np.float32), np.zeros((4, 8), dtype=np.float32)[:, ::2]]
)
def test_an_image_that_cannot_be_painted_on_raises(image: NDArray[np.float32]) -> None:
    points, one = np.zeros((2, 3)), np.ones(2)
    with pytest.raises(ValueError, match=r"image is float.*: expected contiguous float32 \(rows, columns\)"):
        add_chords(image, points, np.ones((2, 3)), one, np.ones(1, dtype=bool), None, one)


def test_a_read_only_image_raises() -> None:
    image = np.zeros((4, 4), dtype=np.float32)
    image.setflags(write=False)
    with pytest.raises(TypeError):
        add_chords(image, np.zeros((2, 3)), np.ones((2, 3)), np.ones(2), np.ones(1, dtype=bool), None, np.ones(2))
