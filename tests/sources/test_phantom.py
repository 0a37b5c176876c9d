"""The phantom's physics against closed forms and published figures, its labels against its own rule, and its port."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest

from cathrt.runtime.sources.phantom import PhantomSource, Scene, SceneKind, sample_scene
from cathrt.runtime.sources.phantom.anatomy import RIGHT_OSTIUM_MM, STEP_MM, Vessel, sample_tree
from cathrt.runtime.sources.phantom.background import chord_through_ellipsoid, shifted
from cathrt.runtime.sources.phantom.carm import CArm
from cathrt.runtime.sources.phantom.contrast import iodine_transmission
from cathrt.runtime.sources.phantom.detector import Detector, LowPass, expose
from cathrt.runtime.sources.phantom.labels import BETTER_FROM, BLUR_LIMIT_MM, OTHERS_BELOW, label_frames
from cathrt.runtime.sources.phantom.motion import freedom_by_arc
from cathrt.runtime.sources.phantom.skeleton import MIDLINE_X_MM, SPINE_Z_MM
from cathrt.runtime.sources.phantom.tubes import TubeBundle, chord_map

NEGATIVES = [kind for kind in get_args(SceneKind) if kind != "coronary"]


def carm(primary_deg: float = 0.0, secondary_deg: float = 0.0, matrix: int = 256) -> CArm:
    return CArm(primary_deg, secondary_deg, 750.0, 1050.0, matrix, matrix, 200.0 / matrix)


def straight_tube(direction: np.ndarray, radius_mm: float, length_mm: float = 60.0) -> TubeBundle:
    along = np.linspace(-0.5 * length_mm, 0.5 * length_mm, 41)[:, None]
    points = along * direction / np.linalg.norm(direction)
    return TubeBundle.from_polylines([points], [np.full(41, radius_mm)])


def trunk(tree_vessels: tuple[Vessel, ...], name: str) -> Vessel:
    return next(vessel for vessel in tree_vessels if vessel.name == name)


# --- geometry --------------------------------------------------------------------------------------------------------


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


# --- anatomy ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("seed", range(6))
def test_every_vessel_starts_on_its_ostium_or_another_vessel(side: str, seed: int) -> None:
    tree = sample_tree(np.random.default_rng(seed), side)  # type: ignore[arg-type]
    for index, vessel in enumerate(tree.vessels):
        others = [tree.ostium[None]] + [other.points for k, other in enumerate(tree.vessels) if k != index]
        gap = np.linalg.norm(np.concatenate(others) - vessel.points[0], axis=1).min()
        assert gap < 3 * STEP_MM, vessel.name
        assert (np.diff(vessel.arc_mm) > 0).all()


def test_the_mean_tree_has_the_published_proximal_diameters() -> None:
    left = sample_tree(np.random.default_rng(0), "left", spread=0.0)
    right = sample_tree(np.random.default_rng(0), "right", spread=0.0)
    assert 2 * trunk(left.vessels, "LM").radii.max() == pytest.approx(4.5, abs=0.1)
    assert 2 * trunk(left.vessels, "LAD").radii[8] == pytest.approx(3.7, abs=0.3)
    assert 2 * trunk(right.vessels, "R").radii[8] == pytest.approx(3.95, abs=0.1)
    assert right.ostium == pytest.approx(RIGHT_OSTIUM_MM)


def test_a_stenosis_narrows_the_lumen_by_its_stated_percentage() -> None:
    checked = 0
    for seed in range(100, 145):
        tree = sample_tree(np.random.default_rng(seed), "right")
        if len(tree.stenoses) != 1 or tree.stenoses[0].length_mm < 12.0:
            continue
        stenosis = tree.stenoses[0]
        vessel = trunk(tree.vessels, stenosis.vessel)
        half = 0.5 * stenosis.length_mm + 1.0
        if not vessel.arc_mm[0] + half + 3 < stenosis.arc_mm < vessel.arc_mm[-1] - half - 3:
            continue
        at = np.interp(stenosis.arc_mm + np.array([-half, 0.0, half]), vessel.arc_mm, vessel.radii)
        lost = 100.0 * (1.0 - at[1] / (0.5 * (at[0] + at[2])))
        assert lost == pytest.approx(stenosis.diameter_stenosis_percent, abs=8.0)
        checked += 1
    assert checked >= 3


def test_the_arteries_move_at_the_published_speeds_and_the_right_one_fastest() -> None:
    peaks: dict[str, list[float]] = {"LAD": [], "LCx": [], "R": []}
    for seed in range(12):
        for side in ("left", "right"):
            scene = sample_scene(seed, side=side, matrix=64)  # type: ignore[arg-type]
            assert scene.tree is not None
            for vessel in scene.tree.vessels:
                if vessel.name in peaks:
                    freedom = freedom_by_arc(vessel.arc_mm)
                    speeds = [
                        np.linalg.norm(scene.motion.velocity_mm_s(vessel.points, freedom, t), axis=1).mean()
                        for t in np.arange(0.0, 1.2, 0.03)
                    ]
                    peaks[vessel.name].append(max(speeds))
    medians = {name: float(np.median(values)) for name, values in peaks.items()}
    assert medians["R"] > medians["LAD"]
    assert medians["LCx"] > medians["LAD"]
    assert all(22.0 < value < 109.0 for value in medians.values())


def test_a_beat_returns_to_where_it_began() -> None:
    motion = replace(sample_scene(3, matrix=64).motion, breath_mm=0.0)
    points = np.random.default_rng(1).normal(0.0, 30.0, (20, 3))
    period = 60.0 / motion.heart_rate_bpm
    free = np.ones(20)
    assert motion.displace(points, free, 0.4) == pytest.approx(motion.displace(points, free, 0.4 + period), abs=1e-6)
    assert motion.contraction(0.0) >= 0.0


# --- chords and attenuation ------------------------------------------------------------------------------------------


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


def test_the_chord_through_an_ellipsoid_is_its_axis_along_the_central_ray() -> None:
    view = carm(30.0, matrix=256)
    chord = chord_through_ellipsoid(view, np.zeros(3), np.array([20.0, 30.0, 40.0]), None)
    depth = view.axes()[2]
    expected = 2.0 / np.sqrt(((depth / [20.0, 30.0, 40.0]) ** 2).sum())
    assert chord[127:129, 127:129] == pytest.approx(expected, rel=0.01)
    assert chord[0, 0] == 0.0


def test_the_contrast_of_a_four_millimetre_artery_is_that_of_real_angiograms() -> None:
    """-ln of the ratio artery to surroundings is 0.25-0.53 at the trunk of two real data sets."""
    for dilution, scatter in ((1.0, 1.0), (0.5, 1.0), (0.75, 0.7)):
        left = float(iodine_transmission(np.array([4.0 * dilution], dtype=np.float32))[0])
        assert 0.25 < -np.log((left + scatter) / (1.0 + scatter)) < 0.53


def test_iodine_hardens_the_beam_and_no_iodine_leaves_it_alone() -> None:
    path = np.array([0.0, 1.0, 2.0, 8.0], dtype=np.float32)
    left = iodine_transmission(path)
    assert left[0] == pytest.approx(1.0)
    effective = -np.log(left[1:]) / path[1:]
    assert (np.diff(effective) < 0).all()


# --- detector --------------------------------------------------------------------------------------------------------


def detector(dose_ugy: float) -> Detector:
    return Detector(dose_ugy, 0.7, 0.6, 30.0, 0.0, 0.0)


def test_noise_variance_falls_with_dose_as_counting_demands() -> None:
    flat = np.ones((256, 256), dtype=np.float32)
    scatter = LowPass(256, 256, 40.0)
    for dose_ugy in (0.02, 0.1, 0.4):
        signal = expose(flat, detector(dose_ugy), scatter, 0.4, 1 / 1.6, 1.0, np.random.default_rng(0))
        photons = dose_ugy * 30_000 * 0.4**2 * 0.7
        assert signal.mean() == pytest.approx(1.0, abs=0.01)
        assert signal.var() == pytest.approx(1.0 / photons, rel=0.05)


def test_without_a_generator_the_expectation_is_returned() -> None:
    flat = np.ones((64, 64), dtype=np.float32)
    assert expose(flat, detector(0.1), LowPass(64, 64, 20.0), 0.4, 1 / 1.6, 1.0, None) == pytest.approx(1.0)


@pytest.mark.parametrize(("rows", "columns"), [(64, 64), (65, 127), (512, 500)])
def test_the_low_pass_keeps_a_constant_and_the_mean_at_odd_sizes(rows: int, columns: int) -> None:
    low_pass = LowPass(rows, columns, 30.0)
    assert low_pass(np.full((rows, columns), 3.0, dtype=np.float32)) == pytest.approx(3.0, rel=1e-5)
    assert low_pass(np.zeros((rows, columns), dtype=np.float32)).shape == (rows, columns)


def test_a_layer_shifts_by_whole_and_by_part_pixels() -> None:
    ramp = np.add.outer(2.0 * np.arange(40), np.arange(40)).astype(np.float32)
    still = shifted(ramp, 8, 0.0, 0.0)
    assert (still == ramp[8:-8, 8:-8]).all()
    assert (shifted(ramp, 8, 3.0, -2.0) == ramp[5:29, 10:34]).all()
    assert shifted(ramp, 8, 1.25, 2.5) == pytest.approx(still - 2.0 * 1.25 - 2.5)


# --- labels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_a_coronary_run_starts_without_contrast_fills_steadily_and_obeys_its_rule(seed: int) -> None:
    scene = sample_scene(seed, matrix=64)
    labels = label_frames(scene)
    assert len(labels) == scene.frame_count
    assert labels[0].quality == "others"
    assert labels[0].contrast == 0.0
    peak = int(np.argmax([label.contrast for label in labels]))
    rising = [label.contrast for label in labels[: peak + 1]]
    assert all(later >= earlier for earlier, later in pairwise(rising))
    for label in labels:
        assert 0.0 <= label.contrast <= 1.0
        if label.quality == "others":
            assert label.contrast < OTHERS_BELOW
        else:
            assert label.laterality == scene.side
        if label.quality == "better":
            assert label.contrast >= BETTER_FROM
            assert label.motion_mm_s * scene.exposure_ms * 1e-3 <= BLUR_LIMIT_MM


def test_most_coronary_runs_have_frames_of_every_quality() -> None:
    seen = [{label.quality for label in label_frames(sample_scene(seed, matrix=64))} for seed in range(20)]
    assert sum(qualities == {"better", "bad", "others"} for qualities in seen) >= 15


@pytest.mark.parametrize("kind", NEGATIVES)
def test_a_negative_has_no_coronary_contrast_in_any_frame(kind: SceneKind) -> None:
    source = PhantomSource(sample_scene(11, kind=kind, matrix=64))
    assert all(label.quality == "others" and label.laterality is None for label in source.labels)
    assert source.scene.tree is None
    deepest = max(float(source.iodine_path(index).max()) for index in range(0, source.scene.frame_count, 5))
    assert (deepest > 3.0) == (kind in ("lv_gram", "aortogram"))


def test_frames_differ_where_the_labels_say_contrast_came() -> None:
    source = PhantomSource(sample_scene(4, matrix=128))
    fullest = int(np.argmax([label.contrast for label in source.labels]))
    assert source.iodine_path(0).max() == 0.0
    path = source.iodine_path(fullest)
    assert 0.005 < float((path > 1.0).mean()) < 0.2


def test_blurred_frames_are_bad_only_for_long_pulses() -> None:
    scene = sample_scene(4, matrix=64)
    short = label_frames(replace(scene, exposure_ms=0.5))
    long = label_frames(replace(scene, exposure_ms=30.0))
    assert sum(label.quality == "better" for label in short) > sum(label.quality == "better" for label in long)


# --- the port --------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_pixels_in_any_order() -> None:
    once, again = (PhantomSource(sample_scene(21, matrix=96)) for _ in range(2))
    indices = [30, 2, 44, 0]
    there = {index: once.render(index) for index in indices}
    for index in sorted(indices):
        assert (again.render(index) == there[index]).all()
    assert (once.render(2) == there[2]).all()
    assert (there[0] != there[2]).any()


def test_walking_the_frames_gives_what_render_gives() -> None:
    source = PhantomSource(replace(sample_scene(22, matrix=64), frame_count=5), clock=iter(range(100, 200)).__next__)
    frames = list(source.frames())
    assert [frame.index for frame in frames] == list(range(5)) == list(range(source.run.frame_count or 0))
    assert [frame.acquired_ns for frame in frames] == [100, 101, 102, 103, 104]
    for frame in frames:
        assert (frame.pixels == source.render(frame.index)).all()
        assert not frame.pixels.flags.writeable
        assert frame.pixels.flags.c_contiguous
        assert frame.pixels.shape == (source.run.rows, source.run.columns)


def test_the_run_is_named_by_what_it_shows() -> None:
    first = PhantomSource(sample_scene(1, matrix=64)).run
    assert first.run_id == PhantomSource(sample_scene(1, matrix=64)).run.run_id
    others = [sample_scene(2, matrix=64), sample_scene(1, kind="no_contrast", matrix=64), sample_scene(1, matrix=96)]
    assert len({first.run_id, *(PhantomSource(scene).run.run_id for scene in others)}) == 4


@pytest.mark.parametrize("bits_stored", [8, 10, 12])
@pytest.mark.parametrize("relationship", ["LIN", "LOG", "DISP"])
def test_stored_values_keep_to_their_bits(bits_stored: int, relationship: str) -> None:
    scene = sample_scene(7, matrix=96)
    display = replace(scene.display, bits_stored=bits_stored, relationship=relationship)  # type: ignore[arg-type]
    source = PhantomSource(replace(scene, display=display))
    pixels = source.render(30)
    assert pixels.dtype == (np.uint8 if bits_stored == 8 else np.uint16)
    assert pixels.max() < 1 << bits_stored
    assert len(np.unique(pixels)) > 30
    grayscale = source.run.grayscale
    assert (grayscale.bits_stored, grayscale.pixel_intensity_relationship) == (bits_stored, relationship)
    assert (grayscale.voi is None) == (relationship == "DISP")


def test_arteries_are_darker_than_their_surroundings() -> None:
    scene = sample_scene(9, matrix=256)
    source = PhantomSource(scene)
    fullest = int(np.argmax([label.contrast for label in source.labels]))
    emptied = replace(scene, bolus=None)
    with_contrast, without = source.render(fullest), PhantomSource(emptied).render(fullest)
    trunk_pixels = source.iodine_path(fullest) > 1.5
    assert with_contrast[trunk_pixels].mean() < 0.9 * without[trunk_pixels].mean()


def test_the_exposed_columns_are_those_at_least_half_open() -> None:
    for seed in range(10):
        scene: Scene = sample_scene(seed, matrix=128)
        opened = scene.field.openness(128, 128) >= 0.5
        bounds = scene.field.exposed_columns(128, 128)
        for row in range(128):
            assert opened[row, bounds[row, 0] : bounds[row, 1]].all()
            assert opened[row].sum() == bounds[row, 1] - bounds[row, 0]


def test_a_frame_outside_the_run_raises() -> None:
    source = PhantomSource(sample_scene(1, matrix=64))
    with pytest.raises(IndexError, match="frames 0 to"):
        source.render(source.scene.frame_count)


@pytest.mark.parametrize(
    "wrong", [{"seed": -1}, {"kind": "venogram"}, {"side": "both"}, {"matrix": 32}, {"matrix": 4096}]
)
def test_a_scene_nobody_can_draw_raises(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        sample_scene(**{"seed": 1, **wrong})  # type: ignore[arg-type]


def test_a_random_mix_holds_negatives_and_both_sides() -> None:
    scenes = [sample_scene(seed, kind=None, matrix=64) for seed in range(60)]
    negatives = sum(scene.tree is None for scene in scenes)
    assert 9 <= negatives <= 28
    assert {scene.side for scene in scenes} == {"left", "right", None}
    assert {scene.display.bits_stored for scene in scenes} == {8, 10, 12}
    assert all(45 <= scene.frame_count <= 110 for scene in scenes)
