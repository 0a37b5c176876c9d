"""The phantom's labels against its own rule, over every kind of scene."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest

from cathrt.runtime.phantom import PhantomSource, SceneKind, sample_scene
from cathrt.runtime.phantom.labels import BETTER_FROM, BETTER_SHARE, OTHERS_BELOW, VISIBLE_FROM, label_frames

NEGATIVES = [kind for kind in get_args(SceneKind) if kind != "coronary"]


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
    best = max(label.readability for label in labels)
    for label in labels:
        assert 0.0 <= label.contrast <= 1.0
        assert label.laterality == (scene.side if label.contrast >= VISIBLE_FROM else None)
        if label.readability < OTHERS_BELOW:
            assert label.quality == "others"
        else:
            enough = label.readability >= BETTER_FROM and label.readability >= BETTER_SHARE * best
            assert label.quality == ("better" if enough else "bad")
    assert labels[int(np.argmax([label.readability for label in labels]))].quality == "better"


def test_a_run_in_which_little_can_be_read_has_no_better_frame() -> None:
    scene = sample_scene(4, matrix=64)
    assert scene.bolus is not None
    pale = label_frames(replace(scene, bolus=replace(scene.bolus, peak=0.04)))
    best = max(label.readability for label in pale)
    assert OTHERS_BELOW < best < BETTER_FROM
    assert {label.quality for label in pale} == {"bad", "others"}


def test_most_coronary_runs_have_frames_of_every_quality() -> None:
    seen = [{label.quality for label in label_frames(sample_scene(seed, matrix=64))} for seed in range(20)]
    assert sum(qualities == {"better", "bad", "others"} for qualities in seen) >= 15


@pytest.mark.parametrize("kind", NEGATIVES)
def test_a_negative_has_no_coronary_contrast_in_any_frame(kind: SceneKind) -> None:
    source = PhantomSource(sample_scene(11, kind=kind, matrix=64))
    assert all(label.quality == "others" and label.laterality is None for label in source.labels)
    assert source.scene.tree is None
    deepest = max(float(source.iodine_path(index).max()) for index in range(0, source.scene.frame_count, 5))
    assert (deepest > 3.0) == (kind in ("lv_gram", "aortogram", "other_vessels"))


def test_frames_differ_where_the_labels_say_contrast_came() -> None:
    source = PhantomSource(sample_scene(4, matrix=128))
    fullest = int(np.argmax([label.contrast for label in source.labels]))
    assert source.iodine_path(0).max() == 0.0
    path = source.iodine_path(fullest)
    assert 0.005 < float((path > 1.0).mean()) < 0.2


def test_of_a_long_pulse_only_the_frames_at_rest_are_better() -> None:
    scene = sample_scene(4, matrix=64)
    short, long = (label_frames(replace(scene, exposure_ms=pulse_ms)) for pulse_ms in (0.5, 30.0))
    better = [[index for index, label in enumerate(run) if label.quality == "better"] for run in (short, long)]
    assert len(better[0]) > len(better[1]) > 0
    moving, resting = (np.mean([short[index].motion_mm_s for index in chosen]) for chosen in better)
    assert resting < moving


def test_the_phases_of_a_run_come_in_their_order() -> None:
    order = ("none", "filling", "full", "washout")
    for seed in range(20, 32):
        phases = [label.contrast_phase for label in label_frames(sample_scene(seed, matrix=64))]
        first = [phases.index(phase) for phase in order if phase in phases]
        assert first == sorted(first), phases
        assert all(0.0 <= label.heart_phase < 1.0 for label in label_frames(sample_scene(seed, matrix=64)))


def test_segments_fill_from_the_ostium_on() -> None:
    scene = sample_scene(5, side="right", matrix=64)
    assert scene.tree is not None
    scene = replace(scene, tree=replace(scene.tree, patency=np.ones_like(scene.tree.patency)))
    for label in label_frames(scene):
        contrast = {view.segment: view.contrast for view in label.segments}
        assert {1, 2, 3} <= set(contrast)
        if label.contrast_phase == "filling":
            assert contrast[1] >= contrast[2] >= contrast[3]


def test_what_spoils_a_frame_is_named() -> None:
    scene = sample_scene(4, matrix=64)
    assert all("motion_blur" in label.degradations for label in label_frames(replace(scene, exposure_ms=400.0))[1:4])
    thin = label_frames(replace(scene, bolus=replace(scene.bolus, peak=0.3)))  # type: ignore[type-var]
    assert all("thin_contrast" in label.degradations for label in thin)
    faint = replace(scene, detector=replace(scene.detector, dose_ugy=0.02))
    assert all("low_dose" in label.degradations for label in label_frames(faint))
    assert any("table_moving" in label.degradations for label in label_frames(sample_scene(4, kind="panning")))
    assert all("overexposed" in label.degradations for label in label_frames(sample_scene(4, kind="saturated")))


def test_what_an_occlusion_hides_is_not_asked_of_the_key_frame() -> None:
    seeds = (seed for seed in range(2000) if _occluded(seed))
    scene = sample_scene(next(seeds), matrix=64)
    assert scene.tree is not None
    dry = replace(scene.tree, patency=np.where(scene.tree.patency < 1.0, 0.0, 1.0))
    full = max(label.contrast for label in label_frames(replace(scene, tree=dry)))
    assert full == pytest.approx(max(label.contrast for label in label_frames(scene)))
    assert full > 0.5


def _occluded(seed: int) -> bool:
    tree = sample_scene(seed, matrix=64).tree
    return tree is not None and tree.occlusion is not None
