"""A patient: one dominance and one disease in all runs of a study, as told, and the same again from the same seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cathrt.runtime.phantom import PhantomSource
from cathrt.runtime.phantom.anatomy import Side, sample_tree
from cathrt.runtime.phantom.devices import calcium_in
from cathrt.runtime.phantom.disease import Calcium, Closure, Disease, Narrowing, place_in
from cathrt.runtime.phantom.patient import VIEWS, Patient, sample_patient, scene_of, study_views


@pytest.fixture(scope="module")
def patients() -> list[Patient]:
    return [sample_patient(seed) for seed in range(24)]


def tree_with(disease: Disease, side: Side = "left", seed: int = 3):  # type: ignore[no-untyped-def]
    return sample_tree(np.random.default_rng(seed), side, dominance="right", disease=disease)


def test_a_narrowing_lies_in_its_segment_and_takes_its_percentage() -> None:
    free, narrowed = tree_with(Disease()), tree_with(Disease((Narrowing(7, 0.5, 14.0, 80.0),)))
    (stenosis,) = narrowed.stenoses
    assert (stenosis.vessel, stenosis.segment, stenosis.diameter_stenosis_percent) == ("LAD", 7, 80.0)
    lad = next(place for place, vessel in enumerate(free.vessels) if vessel.name == "LAD")
    share = narrowed.vessels[lad].radii / free.vessels[lad].radii
    assert share.min() == pytest.approx(0.2, abs=0.02)
    assert free.vessels[lad].segment[int(share.argmin())] == 7
    assert (share[np.abs(free.vessels[lad].arc_mm - stenosis.arc_mm) > 7.0] == 1.0).all()


def test_a_closure_lets_nothing_but_collaterals_beyond_it() -> None:
    tree = tree_with(Disease(closure=Closure(6, 0.5, 0.2)))
    assert tree.occlusion is not None
    assert (tree.occlusion.vessel, tree.occlusion.segment) == ("LAD", 6)
    assert set(tree.patency) == {1.0, 0.2}
    assert (tree.patency[tree.segment == 7] == 0.2).all()
    assert (tree.patency[tree.segment == 11] == 1.0).all()


def test_calcium_lies_on_the_wall_of_its_segment() -> None:
    tree = tree_with(Disease())
    plaque = calcium_in(tree, Calcium(7, 0.5, 12.0, rods=3, turn=0.3, radius_mm=0.6, per_mm=0.05))
    assert plaque is not None
    assert (plaque.name, len(set(plaque.per_mm))) == ("calcification", 1)
    middle = next(vessel.points for vessel in tree.vessels if vessel.name == "LAD")
    away = np.linalg.norm(plaque.tubes.points[:, None] - middle[None], axis=2).min(axis=1)
    wall = np.percentile(tree.tubes.radii[tree.segment == 7], 75) + 0.25
    assert (np.abs(away - wall) < 0.6).all()
    assert len(plaque.freedom) == len(plaque.tubes.points)


def test_what_lies_in_a_segment_that_is_not_there_is_left_out() -> None:
    tree = tree_with(Disease((Narrowing(2, 0.5, 10.0, 90.0),), Closure(1, 0.5, 0.0)))
    assert (tree.stenoses, tree.occlusion) == ((), None)
    assert calcium_in(tree, Calcium(1, 0.5, 10.0, 2, 0.0, 0.5, 0.05)) is None
    assert place_in((), 6, 0.5) is None


def test_both_trees_have_the_patients_dominance(patients: list[Patient]) -> None:
    for patient in patients:
        assert {tree.dominance for tree in patient.trees.values()} == {patient.dominance}
        assert {side: tree.side for side, tree in patient.trees.items()} == {"left": "left", "right": "right"}
    assert {patient.dominance for patient in patients} == {"left", "right"}


def test_truth_is_what_the_trees_have(patients: list[Patient]) -> None:
    assert all(set(patient.truth) == {1, 2, 6, 7, 11, 13} for patient in patients)
    for patient in patients:
        for segment, truth in patient.truth.items():
            tree = patient.trees["right" if segment < 5 else "left"]
            stated = {one.segment: one.diameter_stenosis_percent for one in tree.stenoses}
            closed = tree.occlusion is not None and tree.occlusion.segment == segment
            assert truth.occluded == closed
            assert truth.diameter_stenosis_percent == (100.0 if closed else stated.get(segment, 0.0))
            assert truth.calcified == (segment in {where for where, _ in patient.calcium})
    every = [truth for patient in patients for truth in patient.truth.values()]
    assert any(truth.occluded for truth in every)
    assert any(truth.calcified for truth in every)
    assert any(0.0 < truth.diameter_stenosis_percent < 70.0 for truth in every)


def test_a_study_has_four_to_seven_runs_from_working_views(patients: list[Patient]) -> None:
    for patient in patients:
        views = study_views(patient)
        assert 4 <= len(views) <= 7
        for side in VIEWS:
            names = [view.name for view in views if view.side == side]
            assert names[0] == VIEWS[side][0][0]
            assert len(set(names)) == len(names)
        for view in views:
            angles = next((a, b) for name, a, b in VIEWS[view.side] if name == view.name)
            assert abs(view.primary_angle_deg - angles[0]) < 20.0


def test_runs_of_a_study_show_the_same_patient_and_are_unlike_each_other() -> None:
    patient = sample_patient(5)
    scenes = [scene_of(patient, number, view, 64) for number, view in enumerate(study_views(patient))]
    assert len({scene.seed for scene in scenes}) == len(scenes)
    for scene in scenes:
        assert scene.tree is patient.trees[scene.side or "left"]
        assert scene.chest is patient.chest
        assert [one.name for one in scene.implants] == ["calcification"] * len(patient.calcium)
    sources = [PhantomSource(scene) for scene in scenes[:2]]
    assert len({source.run.run_id for source in sources}) == 2
    assert (sources[0].render(20) != sources[1].render(20)).any()


def test_the_same_seed_gives_the_same_patient_and_pixels() -> None:
    once, again = sample_patient(7), sample_patient(7)
    assert (once.truth, once.dominance) == (again.truth, again.dominance)
    view = study_views(once)[0]
    pixels = [PhantomSource(scene_of(one, 0, view, 64)).render(15) for one in (once, again)]
    assert (pixels[0] == pixels[1]).all()
    assert sample_patient(7, "left").dominance == "left"


def test_calcium_takes_signal_in_every_run() -> None:
    patient = next(one for one in map(sample_patient, range(40)) if one.calcium)
    view = study_views(patient)[0]
    scene = scene_of(patient, 0, view, 128)
    quiet = replace(scene, detector=replace(scene.detector, dose_ugy=1e6))
    free = PhantomSource(replace(quiet, implants=()))
    with_calcium = PhantomSource(quiet)
    assert np.abs(with_calcium.render(0).astype(float) - free.render(0)).max() > 2.0


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_that_is_none_is_refused(seed: int) -> None:
    with pytest.raises(ValueError, match="expected 0 <= seed"):
        sample_patient(seed)
