"""The coronary trees: joined, of the published calibres and speeds, diseased by the stated amount."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cathrt.runtime.phantom import sample_scene
from cathrt.runtime.phantom.anatomy import RIGHT_OSTIUM_MM, Side, sample_tree
from cathrt.runtime.phantom.branches import STEP_MM, Vessel
from cathrt.runtime.phantom.motion import freedom_by_arc


def trunk(tree_vessels: tuple[Vessel, ...], name: str) -> Vessel:
    return next(vessel for vessel in tree_vessels if vessel.name == name)


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


@pytest.mark.parametrize(("side", "expected"), [("right", {1, 2, 3, 4, 16}), ("left", {5, 6, 7, 8, 9, 11, 12, 13})])
def test_the_mean_tree_has_the_syntax_segments_of_its_side(side: Side, expected: set[int]) -> None:
    tree = sample_tree(np.random.default_rng(0), side, spread=0.0)
    assert expected <= set(tree.segment[tree.named].tolist())
    assert set(tree.segment[~tree.named].tolist()) == {0}


def test_the_segments_of_an_artery_follow_each_other_from_the_ostium() -> None:
    for side, name, order in (("right", "R", [1, 2, 3]), ("left", "LAD", [6, 7, 8])):
        vessel = trunk(sample_tree(np.random.default_rng(0), side, spread=0.0).vessels, name)  # type: ignore[arg-type]
        changes = vessel.segment[np.flatnonzero(np.diff(vessel.segment, prepend=0))]
        assert changes.tolist() == order


def test_branches_are_thinner_than_what_they_leave() -> None:
    tree = sample_tree(np.random.default_rng(3), "left")
    grown = [vessel for vessel in tree.vessels if vessel.name == "twig"]
    assert len(grown) > 40
    for vessel in grown:
        parent = tree.vessels[vessel.parent]
        assert vessel.radii[0] <= parent.radii[vessel.joint]
        assert vessel.points[0] == pytest.approx(parent.points[vessel.joint])
        assert vessel.arc_mm[0] == pytest.approx(parent.arc_mm[vessel.joint])


@pytest.mark.slow
def test_nothing_but_collaterals_fills_what_lies_beyond_an_occlusion() -> None:
    found = 0
    for seed in range(400):
        tree = sample_tree(np.random.default_rng(seed), "left" if seed % 2 else "right")
        if tree.occlusion is None:
            assert (tree.patency == 1.0).all()
            continue
        found += 1
        start = 0
        beyond = np.zeros(len(tree.vessels), dtype=bool)
        for index, vessel in enumerate(tree.vessels):
            share = tree.patency[start : start + len(vessel.points)]
            start += len(vessel.points)
            leaves_late = vessel.parent >= 0 and (
                beyond[vessel.parent]
                or (
                    tree.vessels[vessel.parent].name == tree.occlusion.vessel
                    and tree.vessels[vessel.parent].arc_mm[vessel.joint] >= tree.occlusion.arc_mm
                )
            )
            beyond[index] = leaves_late
            if leaves_late:
                assert (share == tree.occlusion.collateral).all()
            elif vessel.name == tree.occlusion.vessel:
                assert ((share < 1.0) == (vessel.arc_mm >= tree.occlusion.arc_mm)).all()
        assert (tree.patency == tree.occlusion.collateral).any()
        assert tree.occlusion.segment > 0
    assert 8 <= found <= 40
