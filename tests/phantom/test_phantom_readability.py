"""How much can be read: the formula on straight arteries made by hand, and its course over generated runs."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.runtime.phantom import Scene, SceneKind, sample_scene
from cathrt.runtime.phantom.anatomy import Side
from cathrt.runtime.phantom.branches import STEP_MM
from cathrt.runtime.phantom.labels import FrameLabel, label_frames
from cathrt.runtime.phantom.readability import TreeView, readability

SEEDS = (3, 4, 6, 11)  # left and right, with and without hardships
LONG_PULSE_MS = 40.0


@cache
def scene_of(seed: int) -> Scene:
    return sample_scene(seed, matrix=64)


@cache
def labels_of(seed: int) -> tuple[FrameLabel, ...]:
    return label_frames(scene_of(seed))


def course(scene: Scene) -> NDArray[np.float64]:
    return np.array([label.readability for label in label_frames(scene)])


def short(scene: Scene, **other: object) -> Scene:
    """The scene with other parts, without its last frames: enough to fill, and a third of the work."""
    return replace(scene, **{"frame_count": 12, "frame_rate_hz": 4.0, **other})  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", SEEDS)
def test_it_lies_between_0_and_1_and_is_0_without_contrast(seed: int) -> None:
    for label in labels_of(seed):
        assert 0.0 <= label.readability <= 1.0
        if not any(segment.contrast for segment in label.segments):
            assert label.readability < 0.01
    assert labels_of(seed)[0].readability == 0.0


@pytest.mark.parametrize("kind", [kind for kind in get_args(SceneKind) if kind != "coronary"])
def test_nothing_can_be_read_in_a_run_without_coronaries(kind: SceneKind) -> None:
    assert set(course(sample_scene(12, kind=kind, matrix=64))) == {0.0}


@pytest.mark.parametrize("seed", SEEDS)
def test_the_most_can_be_read_while_the_tree_is_full(seed: int) -> None:
    labels = labels_of(seed)
    best = max(labels, key=lambda label: label.readability)
    fullest = max(label.contrast for label in labels)
    assert best.contrast >= 0.9 * fullest
    filled, filling = (
        np.mean([label.readability for label in labels if low <= label.contrast / fullest < high])
        for low, high in ((0.9, 1.1), (0.1, 0.6))
    )
    assert filled > 1.5 * filling


def test_it_falls_with_the_length_of_the_pulse_and_more_where_the_heart_moves_fast() -> None:
    scene = short(scene_of(4), exposure_ms=0.01)
    sharp, blurred, long = (
        label_frames(replace(scene, exposure_ms=pulse_ms)) for pulse_ms in (0.01, 8.0, LONG_PULSE_MS)
    )
    seen = [index for index, label in enumerate(sharp) if label.readability > 0.1]
    assert len(seen) >= 4
    for index in seen:
        # Between two beats nothing is lost, and the middle of a longer pulse lies elsewhere by a hair.
        assert sharp[index].readability > blurred[index].readability - 0.001 > long[index].readability - 0.002
    kept = [long[index].readability / sharp[index].readability for index in seen]
    speed = [long[index].motion_mm_s for index in seen]
    assert kept[int(np.argmax(speed))] < kept[int(np.argmin(speed))] - 0.1


def test_it_falls_with_a_narrowed_field_and_is_0_behind_closed_blades() -> None:
    scene = short(scene_of(4))
    open_field = replace(scene.field, left=-0.1, right=1.1, top=-0.1, bottom=1.1, round_radius=None)
    opened, narrow, shut = (
        course(replace(scene, field=field))
        for field in (
            open_field,
            replace(open_field, left=0.35, right=0.65, top=0.35, bottom=0.65),
            replace(open_field, left=0.5, right=0.5),
        )
    )
    assert opened.max() > 0.2
    assert (narrow[opened > 0.1] < 0.8 * opened[opened > 0.1]).all()
    assert shut.max() == 0.0


def test_it_falls_with_the_concentration_of_the_contrast() -> None:
    scene = short(scene_of(4))
    assert scene.bolus is not None
    best = [course(replace(scene, bolus=replace(scene.bolus, peak=peak))).max() for peak in (1.0, 0.4, 0.1, 0.02)]
    assert best == sorted(best, reverse=True)
    assert best[-1] < 0.1 < best[0]


@pytest.mark.parametrize("side", ["left", "right"])
def test_no_view_along_a_tree_reads_as_much_as_the_best_view_of_it(side: Side) -> None:
    scene = short(sample_scene(9, side=side, matrix=64), exposure_ms=0.01)
    wide = replace(scene.field, left=-0.1, right=1.1, top=-0.1, bottom=1.1, round_radius=None)
    best = [
        course(replace(scene, field=wide, carm=replace(scene.carm, primary_angle_deg=angle, pixel_mm=6.0))).max()
        for angle in (-40.0, -5.0, 30.0, 65.0)
    ]
    assert max(best) > 1.15 * min(best)


# Straight arteries made by hand, in the middle of the picture, full of contrast, in a heart that stands still.


@pytest.fixture(scope="module")
def still() -> Scene:
    """Seen from the front, in an open field, at a moment when all is at its plateau."""
    scene = sample_scene(4, matrix=512)
    assert scene.bolus is not None
    return replace(
        scene,
        carm=replace(scene.carm, primary_angle_deg=0.0, secondary_angle_deg=0.0),
        field=replace(scene.field, left=-0.1, right=1.1, top=-0.1, bottom=1.1, round_radius=None),
        bolus=replace(scene.bolus, start_s=0.0, duration_s=1e3, fill_s=1e-3, peak=1.0),
        motion=replace(scene.motion, breath_mm=0.0),
        table_mm=np.zeros(3),
        pan_mm=np.zeros(3),
    )


def tree_of(*lines: NDArray[np.float64], diameter_mm: float | tuple[float, ...] = 4.0) -> TreeView:
    """A view of arteries of one weight that run along these (P, 3) lines."""
    diameters = diameter_mm if isinstance(diameter_mm, tuple) else (diameter_mm,) * len(lines)
    points, counts = np.concatenate(lines), [len(line) for line in lines]
    return TreeView(
        points_mm=points,
        arc_mm=np.zeros(len(points)),
        patency=np.ones(len(points)),
        weight=np.ones(len(points)),
        artery=np.repeat(np.arange(len(lines)), counts),
        diameter_mm=np.repeat(np.array(diameters), counts),
        fills=np.ones(len(points), dtype=bool),
        freedom=np.zeros(len(points)),
    )


def straight(start: tuple[float, float, float], towards: tuple[float, float, float]) -> NDArray[np.float64]:
    """40 mm from start, a point every two of the tree's steps."""
    along = np.arange(0.0, 40.0, 2.0 * STEP_MM)[:, None]
    return np.array(start) + along * np.array(towards) / np.linalg.norm(towards)


ACROSS = straight((-20.0, 0.3, 0.0), (1.0, 0.0, 0.0))


def read(scene: Scene, view: TreeView) -> float:
    return readability(scene, scene.field.exposed_columns(512, 512), view, 20)


def shown_of(scene: Scene, diameter_mm: float, peak: float = 1.0) -> float:
    """How well an artery shows, as the module says it."""
    taken = 0.31 * diameter_mm * peak / (1.0 + scene.detector.scatter_to_primary)
    return taken**2 / (taken**2 + 0.06**2)


def test_one_full_sharp_artery_across_the_beam_is_read_in_full(still: Scene) -> None:
    assert read(still, tree_of(ACROSS)) == 1.0


def test_half_of_what_lies_aslant_to_the_beam_is_read_by_its_length_in_the_picture(still: Scene) -> None:
    aslant = straight((-5.0, 0.3, 0.0), (0.4, 0.0, np.sqrt(1.0 - 0.4**2)))
    assert read(still, tree_of(aslant)) == pytest.approx(0.4 / 0.6 * shown_of(still, 4.0), rel=1e-6)
    assert read(still, tree_of(straight((0.0, 0.3, -20.0), (0.0, 0.0, 1.0)))) == pytest.approx(0.0, abs=1e-9)


def test_pale_contrast_is_read_by_what_it_takes_from_the_signal(still: Scene) -> None:
    assert still.bolus is not None
    pale = replace(still, bolus=replace(still.bolus, peak=0.05))
    shown = shown_of(still, 2.0, 0.05)
    assert 0.05 < shown < 0.5
    assert read(pale, tree_of(ACROSS, diameter_mm=2.0)) == pytest.approx(shown / 0.6, rel=1e-3)


def test_an_artery_that_lies_behind_another_is_read_by_half(still: Scene) -> None:
    behind = ACROSS + np.array([0.0, 0.0, 0.01])
    assert read(still, tree_of(ACROSS, behind)) == pytest.approx(0.5 / 0.6 * shown_of(still, 4.0), rel=1e-3)


def test_a_thin_artery_hides_nothing_and_is_hidden_itself(still: Scene) -> None:
    view = tree_of(ACROSS, ACROSS + np.array([0.0, 0.0, 0.01]), diameter_mm=(4.0, 0.8))
    expected = 0.5 * (shown_of(still, 4.0) + 0.5 * shown_of(still, 0.8)) / 0.6
    assert read(still, view) == pytest.approx(min(1.0, expected), rel=1e-3)


def test_arteries_that_cross_are_read_less_than_those_that_do_not(still: Scene) -> None:
    assert still.bolus is not None
    half = replace(still, bolus=replace(still.bolus, peak=0.03))  # pale, so that 1 is not reached
    meeting = ACROSS[8]  # they have a point in common; seen is a crossing where points share a square
    crossing = straight((meeting[0], meeting[1] - 8 * 2.0 * STEP_MM, 0.0), (0.0, 1.0, 0.0))
    apart, crossed = (read(half, tree_of(ACROSS, crossing + np.array([0.0, up, 0.0]))) for up in (30.0, 0.0))
    assert 0.5 * apart < crossed < apart < 1.0


def test_an_artery_leaves_the_field_by_its_share_of_length(still: Scene) -> None:
    column = still.carm.project(np.zeros(3))[0][0]
    covered = replace(still, field=replace(still.field, left=float(column + 0.5) / 512.0))
    assert read(covered, tree_of(ACROSS)) == pytest.approx(0.5 / 0.6 * shown_of(still, 4.0), rel=0.06)


def test_breath_during_the_pulse_blurs_thin_arteries_more_than_thick_ones(still: Scene) -> None:
    breathing = replace(
        still, motion=replace(still.motion, breath_mm=8.0, breath_period_s=2.8), exposure_ms=LONG_PULSE_MS
    )
    thick, thin = (
        read(breathing, tree_of(ACROSS, diameter_mm=d)) / min(1.0, shown_of(still, d) / 0.6) for d in (4.0, 0.8)
    )
    assert thin < thick <= 1.0
    assert thin < 0.95


def test_what_cannot_fill_is_not_asked_for(still: Scene) -> None:
    short_one, long_one = ACROSS[: len(ACROSS) // 4], ACROSS + np.array([0.0, 9.0, 0.0])
    view = tree_of(short_one, long_one)
    beyond = view.artery == 1
    occluded = replace(view, patency=np.where(beyond, 0.0, 1.0))
    assert read(still, occluded) < 0.5
    assert read(still, replace(occluded, fills=~beyond)) == 1.0


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_a_left_main_weighs_more_than_a_branch_without_a_name(seed: int) -> None:
    tree = sample_scene(seed, side="left", matrix=64).tree
    assert tree is not None
    view, segment = TreeView.of(tree), tree.segment[::2]
    assert len(view.weight) == len(segment)
    assert set(view.weight[segment == 0]) == {0.25}
    assert view.weight[segment == 5].min() >= np.sqrt(5.0)
    assert view.weight[segment > 0].min() >= 0.5
