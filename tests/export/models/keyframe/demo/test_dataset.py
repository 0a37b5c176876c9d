"""Phantom frames as training data: targets by the rule, frames as the runtime makes them, the cache as good as new."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cathrt.export.models.keyframe.demo.dataset import (
    IMAGE_SIDE,
    LABELS,
    PREPROCESSING,
    Rendering,
    join,
    load_scenes,
    rate_of,
    render_scene,
    target_of,
)
from cathrt.export.models.keyframe.demo.network import network_input
from cathrt.export.models.keyframe.demo.train_keyframe import training_frames
from cathrt.runtime.phantom import FrameLabel, PhantomSource, sample_scene
from cathrt.runtime.preprocess import Preprocessor
from tests.export.made_up import frames_of

SMALL = Rendering(frames_per_scene=5, matrix=128)
CORONARY_SEED = next(seed for seed in range(100) if sample_scene(seed, kind=None).kind == "coronary")


def some_label() -> FrameLabel:
    return PhantomSource(sample_scene(CORONARY_SEED, kind=None, matrix=64)).labels[0]


def test_a_frame_that_shows_a_side_has_one_label() -> None:
    target = target_of(replace(some_label(), laterality="right", contrast=0.9, quality="better"))
    assert [label.name for label, share in zip(LABELS, target, strict=True) if share] == ["RCA-better"]
    assert target.sum() == 1.0


def test_a_frame_without_coronary_is_half_and_half_over_the_two_others() -> None:
    target = target_of(replace(some_label(), laterality=None, contrast=0.0, quality="others"))
    assert {label.name: share for label, share in zip(LABELS, target, strict=True) if share} == {
        "LCA-others": 0.5,
        "RCA-others": 0.5,
    }


def test_stored_frames_are_what_the_runtime_feeds_the_network_within_half_a_grey_level() -> None:
    frames = render_scene(CORONARY_SEED, SMALL)
    source = PhantomSource(sample_scene(CORONARY_SEED, kind=None, matrix=SMALL.matrix))
    tensor = np.empty((1, 3, IMAGE_SIDE, IMAGE_SIDE), np.float32)
    Preprocessor(source.run, PREPROCESSING)(source.render(int(frames.frame[2])), tensor)
    half_a_level = 0.5 / 255.0 / PREPROCESSING.std[0]
    assert np.abs(network_input(frames.images[2:3]) - tensor).max() <= half_a_level * 1.01


def test_every_quality_of_a_run_is_among_its_drawn_frames() -> None:
    source = PhantomSource(sample_scene(CORONARY_SEED, kind=None, matrix=SMALL.matrix))
    frames = render_scene(CORONARY_SEED, SMALL)
    assert len(frames) == 5
    assert {LABELS[column].quality for column in frames.targets.argmax(axis=1)} == {
        label.quality for label in source.labels
    }


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frames")
    list(load_scenes(range(2), folder, SMALL, workers=1))
    return folder


def test_frames_from_the_cache_are_those_of_a_fresh_rendering(cache: Path) -> None:
    stamps = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    cached = join(load_scenes(range(2), cache, SMALL, workers=1))
    fresh = join(render_scene(seed, SMALL) for seed in range(2))
    assert np.array_equal(cached.images, fresh.images)
    assert np.array_equal(cached.targets, fresh.targets)
    assert np.array_equal(cached.readability, fresh.readability)
    assert stamps == {path: path.stat().st_mtime_ns for path in cache.iterdir()}


def test_another_rendering_does_not_take_the_cached_frames(cache: Path) -> None:
    (other,) = load_scenes(range(1), cache, Rendering(frames_per_scene=2, matrix=128), workers=1)
    assert len(other) == 2


def test_a_scene_that_fails_ends_the_loading_with_its_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="seed -1"):
        list(load_scenes([-1], tmp_path, SMALL, workers=1))
    assert not list(tmp_path.glob("*.npz"))


def test_frames_carry_the_readability_of_the_phantom() -> None:
    frames = render_scene(CORONARY_SEED, SMALL)
    labels = PhantomSource(sample_scene(CORONARY_SEED, kind=None, matrix=SMALL.matrix)).labels
    assert frames.readability.dtype == np.float32
    assert frames.readability == pytest.approx([labels[index].readability for index in frames.frame], abs=1e-6)
    assert frames.readability.max() > 0.2


def test_the_rate_of_a_run_is_that_of_its_scene_and_of_two_runs_there_is_none() -> None:
    one, other = (frames_of([None] * 3) for _ in range(2))
    one.scene[:], other.scene[:] = CORONARY_SEED, CORONARY_SEED + 1
    assert rate_of(one) == sample_scene(CORONARY_SEED, kind=None).frame_rate_hz
    with pytest.raises(ValueError, match="too many values"):
        rate_of(join([one, other]))


def test_training_frames_know_their_runs_and_the_reasons_of_outsiders() -> None:
    runs = [frames_of(["LCA-better", None, "LCA-bad"]), frames_of(["RCA-others", "RCA-better"])]
    runs[1].scene[:] = 7
    images, reasons = np.zeros((2, 1, 1), np.uint8), np.array([0, 3])
    frames = training_frames(join(runs), images, reasons)
    assert frames.runs.tolist() == [[0, 3]] * 3 + [[3, 2]] * 2
    assert frames.reasons.tolist() == [1, 4], "0 is an angiogram"
    assert frames.readability.tolist() == pytest.approx([0.8, 0.0, 0.4, 0.0, 0.8])
    assert frames.side.tolist()[3:] == [1, 1]


def test_pools_hold_every_frame_once_and_keep_the_sideless_apart(cache: Path) -> None:
    frames = join(load_scenes(range(2), cache, SMALL, workers=1))
    pools = training_frames(frames, np.zeros((1, 1, 1), np.uint8), np.zeros(1, np.int64)).pools
    assert sorted(int(index) for pool in pools for index in pool) == list(range(len(frames)))
    for pool in pools:
        assert len(np.unique(frames.targets[pool.numpy()], axis=0)) == 1
