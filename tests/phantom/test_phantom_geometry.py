"""The phantom's C-arm and bodies against closed forms, and that both coronary trees look as they should from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cathrt.runtime.phantom.anatomy import sample_tree
from cathrt.runtime.phantom.background import chord_through_ellipsoid
from cathrt.runtime.phantom.branches import Vessel
from cathrt.runtime.phantom.carm import CArm
from cathrt.runtime.phantom.field import Wedge, sample_field
from cathrt.runtime.phantom.scene import Scene, sample_scene
from cathrt.runtime.phantom.skeleton import MIDLINE_X_MM, SPINE_Z_MM


def carm(primary_deg: float = 0.0, secondary_deg: float = 0.0, matrix: int = 256) -> CArm:
    return CArm(primary_deg, secondary_deg, 750.0, 1050.0, matrix, matrix, 200.0 / matrix)


def trunk(tree_vessels: tuple[Vessel, ...], name: str) -> Vessel:
    return next(vessel for vessel in tree_vessels if vessel.name == name)


def test_laevocardia_lies_right_of_the_spine_and_the_spine_moves_with_the_view() -> None:
    spine = np.array([MIDLINE_X_MM, 0.0, SPINE_Z_MM])
    lao, rao = carm(45.0).project(spine)[0], carm(-30.0).project(spine)[0]
    assert lao[0] > 0.6 * 256
    assert rao[0] < 0.3 * 256


def test_a_point_mirrored_in_the_midline_is_seen_mirrored_in_the_opposite_view() -> None:
    points = np.random.default_rng(5).normal(0.0, 40.0, (50, 3))
    lao, lao_scale = carm(37.0, 18.0).project(points)
    rao, rao_scale = carm(-37.0, 18.0).project(points * [-1.0, 1.0, 1.0])
    assert lao[:, 0] == pytest.approx(255 - rao[:, 0])
    assert lao[:, 1] == pytest.approx(rao[:, 1])
    assert lao_scale == pytest.approx(rao_scale)


def test_cranial_angulation_lifts_what_is_anterior_towards_the_bottom_of_the_image() -> None:
    anterior = np.array([0.0, 0.0, 50.0])
    assert carm(0.0, 30.0).project(anterior)[0][1] > 127.5 > carm(0.0, -30.0).project(anterior)[0][1]


def test_a_point_nearer_the_source_is_magnified_more() -> None:
    near, far = (carm().project(np.array([0.0, 0.0, depth]))[1] for depth in (-60.0, 60.0))
    assert near == pytest.approx(1050.0 / (750.0 - 60.0) * 256 / 200.0)
    assert near > far


def test_the_rays_of_the_pixel_grid_pass_through_what_projects_there() -> None:
    view = carm(33.0, -21.0)
    point = np.array([17.0, -25.0, 31.0])
    (column, row), _ = view.project(point)
    source, direction = view.rays(np.array([column]), np.array([row]))
    along = (point - source) @ direction[0, 0]
    assert source + along * direction[0, 0] == pytest.approx(point, abs=1e-9)


def test_the_mean_right_coronary_is_c_shaped_in_lao_and_not_in_rao() -> None:
    vessel = trunk(sample_tree(np.random.default_rng(0), "right", spread=0.0).vessels, "R")

    def bulge(view: CArm) -> float:
        """How far the trunk swings to the left of the line from its start to its end, by that line's length."""
        pixels, _ = view.project(vessel.points)
        chord = pixels[-1] - pixels[0]
        off = (pixels - pixels[0]) @ np.array([-chord[1], chord[0]]) / (chord @ chord)
        return float(off.max())

    pixels, _ = carm(45.0).project(vessel.points)
    middle = int(pixels[:, 0].argmin())
    assert 0.2 * len(pixels) < middle < 0.8 * len(pixels)
    assert pixels[0, 0] - pixels[middle, 0] > 20
    assert pixels[-1, 0] - pixels[middle, 0] > 30
    assert bulge(carm(45.0)) > 0.35 > bulge(carm(-30.0))


def test_the_mean_left_coronary_runs_to_the_apex_on_the_image_right_in_rao() -> None:
    tree = sample_tree(np.random.default_rng(0), "left", spread=0.0)
    lad, _ = carm(-30.0).project(trunk(tree.vessels, "LAD").points)
    assert lad[-1, 0] > lad[0, 0] + 30
    assert lad[-1, 1] > lad[0, 1] + 30


def test_the_chord_through_an_ellipsoid_is_its_axis_along_the_central_ray() -> None:
    view = carm(30.0, matrix=256)
    chord = chord_through_ellipsoid(view, np.zeros(3), np.array([20.0, 30.0, 40.0]), None)
    depth = view.axes()[2]
    expected = 2.0 / np.sqrt(((depth / [20.0, 30.0, 40.0]) ** 2).sum())
    assert chord[127:129, 127:129] == pytest.approx(expected, rel=0.01)
    assert chord[0, 0] == 0.0


def test_the_exposed_columns_are_those_at_least_half_open() -> None:
    for seed in range(10):
        scene: Scene = sample_scene(seed, matrix=128)
        opened = scene.field.openness(128, 128) >= 0.5
        bounds = scene.field.exposed_columns(128, 128)
        for row in range(128):
            assert opened[row, bounds[row, 0] : bounds[row, 1]].all()
            assert opened[row].sum() == bounds[row, 1] - bounds[row, 0]


def test_a_wedge_takes_nothing_before_its_edge_and_all_its_depth_beyond_its_slope() -> None:
    field = replace(sample_field(np.random.default_rng(0), closed=False), wedges=(Wedge(0.0, 0.25, 0.25, 0.8),))
    taken = field.filtered(100, 200)
    assert taken[:, :125].max() == 0.0
    assert taken[:, 151:] == pytest.approx(0.8)
    assert (np.diff(taken, axis=1) >= 0.0).all()
    downwards = replace(field, wedges=(Wedge(90.0, 0.0, 0.1, 0.5),)).filtered(200, 200)
    assert downwards[:99].max() == pytest.approx(0.0, abs=1e-6)
    assert downwards[120:] == pytest.approx(0.5)
