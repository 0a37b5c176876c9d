"""Chords through tubes against closed forms: diameters, volumes, bends and crossings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cathrt.runtime.phantom.carm import CArm
from cathrt.runtime.phantom.tubes import TubeBundle, chord_map


def carm(primary_deg: float = 0.0, secondary_deg: float = 0.0, matrix: int = 256) -> CArm:
    return CArm(primary_deg, secondary_deg, 750.0, 1050.0, matrix, matrix, 200.0 / matrix)


def straight_tube(direction: np.ndarray, radius_mm: float, length_mm: float = 60.0) -> TubeBundle:
    along = np.linspace(-0.5 * length_mm, 0.5 * length_mm, 41)[:, None]
    points = along * direction / np.linalg.norm(direction)
    return TubeBundle.from_polylines([points], [np.full(41, radius_mm)])


@pytest.mark.parametrize("radius_mm", [1.5, 2.0, 6.0])
def test_the_chord_across_a_cylinder_is_its_diameter_within_two_percent(radius_mm: float) -> None:
    view = carm(matrix=512)
    image = chord_map(view, straight_tube(np.array([0.0, 1.0, 0.0]), radius_mm))
    offset_mm = (np.arange(512) - 255.5) * view.pixel_mm / view.magnification
    row = image[250]
    assert row.max() == pytest.approx(2 * radius_mm, rel=0.02)
    off = np.abs(offset_mm) < 0.6 * radius_mm
    assert row[off] == pytest.approx(2 * np.sqrt(radius_mm**2 - offset_mm[off] ** 2), rel=0.02)


@pytest.mark.parametrize("radius_mm", [0.15, 0.4, 1.5, 5.0])
@pytest.mark.parametrize("slant_deg", [0.0, 30.0, 60.0])
@pytest.mark.parametrize("turn_deg", [0.0, 17.0, 45.0])
def test_the_integral_over_a_tube_is_its_volume(radius_mm: float, slant_deg: float, turn_deg: float) -> None:
    slant, turn = np.radians([slant_deg, turn_deg])
    heading = np.array([np.cos(slant) * np.cos(turn), np.cos(slant) * np.sin(turn), np.sin(slant)])
    view = replace(carm(matrix=512), source_to_isocentre_mm=1e6, source_to_detector_mm=1e6)  # parallel beam
    image = chord_map(view, straight_tube(heading, radius_mm))
    volume_mm3 = float(image.sum()) * view.pixel_mm**2
    assert volume_mm3 == pytest.approx(np.pi * radius_mm**2 * 60.0, rel=0.02)


def test_motion_blur_widens_a_tube_and_keeps_its_volume() -> None:
    tube = straight_tube(np.array([0.0, 1.0, 0.0]), 1.0)
    sharp, blurred = chord_map(carm(), tube), chord_map(carm(), tube, blur_variance=4.0)
    assert blurred.sum() == pytest.approx(sharp.sum(), rel=0.02)
    assert blurred.max() < 0.7 * sharp.max()


def test_bends_leave_no_gap_and_no_seam() -> None:
    angle = np.linspace(0.0, 2 * np.pi, 90)
    ring = np.column_stack([30.0 * np.cos(angle), 30.0 * np.sin(angle), np.zeros(90)])
    image = chord_map(carm(matrix=512), TubeBundle.from_polylines([ring], [np.full(90, 3.0)]))
    row, column = np.indices(image.shape) - 255.5
    along_the_middle = (
        np.abs(np.hypot(row, column) - 30.0 * carm(matrix=512).magnification / carm(matrix=512).pixel_mm) < 1
    )
    assert image[along_the_middle] == pytest.approx(6.0, rel=0.03)


def test_crossing_tubes_add_and_separate_polylines_are_not_joined() -> None:
    one = straight_tube(np.array([0.0, 1.0, 0.0]), 2.0)
    other = straight_tube(np.array([1.0, 0.0, 0.0]), 2.0)
    both = TubeBundle.from_polylines([one.points, other.points], [one.radii, other.radii])
    assert chord_map(carm(), both) == pytest.approx(chord_map(carm(), one) + chord_map(carm(), other), abs=1e-4)
