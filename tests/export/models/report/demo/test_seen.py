"""What a picture shows, from the truth of its scene: opacified, inside the field, and worth naming."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cathrt.export.models.report.demo.seen import (
    LesionInView,
    as_stated,
    best_frame,
    facts_in_view,
    grade_of,
    lesions_in_view,
    points_in_view,
)
from cathrt.runtime.models.report.facts import Facts, Lesion
from cathrt.runtime.models.report.schema import facts_faults
from cathrt.runtime.phantom import PhantomSource, Scene, sample_scene

MATRIX = 128
NARROWED = LesionInView("lad", "6", 75.0, occluded=False, row=0.5, column=0.5, contrast=1.0, inside=True)


def scene_with(seed_from: int, *, lesions: int) -> Scene:
    """The first scene from this seed on whose best frame shows so many narrowings."""
    for seed in range(seed_from, seed_from + 200):
        scene = sample_scene(seed, matrix=MATRIX)
        if len(facts_in_view(scene, best_frame(scene)).lesions) == lesions:
            return scene
    raise AssertionError("no such scene")


@pytest.mark.parametrize(
    ("percent", "grade"), [(40.0, 50), (62.0, 50), (63.0, 75), (94.4, 90), (94.6, 99), (100.0, 100)]
)
def test_a_percentage_becomes_the_nearest_grade(percent: float, grade: int) -> None:
    assert grade_of(percent) == grade


@pytest.mark.parametrize("change", [{"inside": False}, {"contrast": 0.4}, {"percent": 37.0}])
def test_a_narrowing_that_cannot_be_seen_is_not_stated(change: dict[str, float]) -> None:
    assert NARROWED.seen
    assert not replace(NARROWED, **change).seen  # type: ignore[arg-type]


def test_of_two_narrowings_of_one_place_the_worse_is_stated() -> None:
    stated = as_stated([NARROWED, replace(NARROWED, percent=91.0), replace(NARROWED, artery="left_main", segment="5")])
    assert stated == (Lesion("left_main", "5", 75), Lesion("lad", "6", 90))


def test_an_occlusion_of_the_phantom_is_a_chronic_one() -> None:
    assert as_stated([replace(NARROWED, percent=100.0, occluded=True)]) == (
        Lesion("lad", "6", 100, occluded=True, chronic=True),
    )


def test_the_best_frame_is_the_most_readable_of_every_second_one() -> None:
    scene = sample_scene(5, matrix=MATRIX)
    labels = PhantomSource(scene).labels
    best = best_frame(scene)
    assert best % 2 == 0
    assert labels[best].readability == max(label.readability for label in labels[::2])


def test_facts_of_many_scenes_hold_together_and_are_of_the_filled_side() -> None:
    for seed in range(12):
        scene = sample_scene(seed, matrix=MATRIX)
        facts = facts_in_view(scene, best_frame(scene))
        assert facts.sides == (scene.side,)
        assert facts_faults(facts) == ()


def test_before_the_contrast_comes_nothing_is_stated_but_the_side() -> None:
    scene = scene_with(0, lesions=1)
    assert facts_in_view(scene, 0) == Facts((scene.tree.side,))  # type: ignore[union-attr]


def test_a_narrowing_lies_on_its_artery_in_the_picture() -> None:
    scene = scene_with(20, lesions=1)
    index = best_frame(scene)
    (lesion,) = (one for one in lesions_in_view(scene, index) if one.seen)
    points = points_in_view(scene, index)
    here = points.segment == int(lesion.segment or 0)
    away = abs(points.row[here] - lesion.row) + abs(points.column[here] - lesion.column)
    assert float(away.min()) < 0.01


def test_a_scene_without_coronaries_is_refused() -> None:
    with pytest.raises(ValueError, match="give a coronary scene"):
        best_frame(sample_scene(0, kind="lv_gram", matrix=MATRIX))
