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
    PhantomFrames,
    Rendering,
    join,
    load_scenes,
    rate_of,
    render_scene,
    target_of,
)
from cathrt.export.models.keyframe.demo.network import input_of
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


@pytest.fixture(scope="module")
def drawn() -> PhantomFrames:
    return render_scene(CORONARY_SEED, SMALL)


def test_stored_frames_are_what_the_runtime_feeds_the_network_within_half_a_grey_level(drawn: PhantomFrames) -> None:
    """Of the frame itself; of its differences, whose two terms are rounded each, within one."""
    source = PhantomSource(sample_scene(CORONARY_SEED, kind=None, matrix=SMALL.matrix))
    tensor = np.empty((1, 3, IMAGE_SIDE, IMAGE_SIDE), np.float32)
    preprocess, stored = Preprocessor(source.run, PREPROCESSING), input_of(drawn.images).numpy()
    row_of = {int(frame): row for row, frame in enumerate(drawn.frame)}
    for index in range(max(row_of) + 1):
        preprocess(source.render(index), tensor)
        if (row := row_of.get(index)) is None:
            continue
        apart = np.abs(stored[row] - tensor[0]).max(axis=(1, 2))
        levels = apart * np.array(PREPROCESSING.std) * 255.0
        assert (levels <= np.array([0.5, 1.0, 1.0]) + 0.01).all(), f"frame {index}"
    assert np.abs(stored[-1, 1:]).max() > 1.0, "the last frame shows more than a tenth of grey that is new"


def test_what_a_frame_shows_does_not_depend_on_the_other_frames_that_were_drawn(drawn: PhantomFrames) -> None:
    fewer = render_scene(CORONARY_SEED, replace(SMALL, frames_per_scene=2))
    row_of = {int(frame): row for row, frame in enumerate(drawn.frame)}
    assert set(fewer.frame.tolist()) < set(row_of)
    for frame, image in zip(fewer.frame, fewer.images, strict=True):
        assert np.array_equal(image, drawn.images[row_of[int(frame)]])


def test_the_first_frame_of_a_run_is_its_own_background_and_recent_mean() -> None:
    frames = render_scene(CORONARY_SEED, replace(SMALL, frames_per_scene=None))
    assert frames.frame[0] == 0
    assert frames.images[0].std() > 1.0
    assert all(np.array_equal(plane, frames.images[0, 0]) for plane in frames.images[0])
    assert not np.any(input_of(frames.images[:1]).numpy()[0, 1:]), "no difference, to the last bit"
    assert all(np.any(frames.images[1, 0] != plane) for plane in frames.images[1, 1:])


def test_every_quality_of_a_run_is_among_its_drawn_frames(drawn: PhantomFrames) -> None:
    source = PhantomSource(sample_scene(CORONARY_SEED, kind=None, matrix=SMALL.matrix))
    assert len(drawn) == 5
    assert {LABELS[column].quality for column in drawn.targets.argmax(axis=1)} == {
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


def test_frames_carry_the_readability_of_the_phantom(drawn: PhantomFrames) -> None:
    labels = PhantomSource(sample_scene(CORONARY_SEED, kind=None, matrix=SMALL.matrix)).labels
    assert drawn.readability.dtype == np.float32
    assert drawn.readability == pytest.approx([labels[index].readability for index in drawn.frame], abs=1e-6)
    assert drawn.readability.max() > 0.2


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
