"""Calibration sets: the same frames for the same words, spread over what there is, and nothing left out in silence."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cathrt.export.models.keyframe.demo.dataset import PREPROCESSING
from cathrt.export.quantize.calibration import FIRST_SEED, CalibrationSet, calibration_frames
from cathrt.export.quantize.calibration_folder import even_shares
from cathrt.runtime.bundle.manifest import History, Preprocessing
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Run
from cathrt.runtime.phantom import PhantomSource, sample_scene
from cathrt.runtime.preprocess import Preprocessor
from tests.sources.dicom_bytes import pictures, xa_file
from tests.sources.reading import LIMITS, read_here

SPEC = replace(PREPROCESSING, height=32, width=64, history=None)
HISTORY = History(("grey", "contrast", "change"), rise_s=0.4, fall_s=3.0, recent_s=0.2)
REMEMBERING = replace(SPEC, history=HISTORY)


def stills(folder: Path, name: str, frames: int) -> list[NDArray[np.uint8]]:
    """A numbered sequence of pictures, all of them different."""
    images = [picture.astype(np.uint8) for picture in pictures(frames, 40, 50, 8)]
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{name}{index:03d}.png")
    return images


def from_folder(folder: Path, frames: int) -> CalibrationSet:
    return calibration_frames(SPEC, frames, folder=folder, limits=LIMITS)


@pytest.fixture(scope="module")
def phantom_set() -> CalibrationSet:
    return calibration_frames(SPEC, 24)


@pytest.fixture(scope="module")
def remembering_set() -> CalibrationSet:
    return calibration_frames(REMEMBERING, 5)


def test_phantom_frames_are_those_the_runtime_preprocesses(phantom_set: CalibrationSet) -> None:
    assert phantom_set.tensors.shape == (24, 1, 3, 32, 64)
    assert phantom_set.tensors.dtype == np.float32
    expected = np.empty((1, 3, 32, 64), np.float32)
    tensors = iter(phantom_set.tensors)
    for run in phantom_set.description["runs"]:
        source = PhantomSource(sample_scene(run["seed"], kind=run["kind"], side=run["side"], matrix=512))
        for index in run["frames"]:
            assert Preprocessor(source.run, SPEC)(source.render(index), expected)
            assert np.array_equal(next(tensors), expected)
    assert next(tensors, None) is None


def test_phantom_frames_are_spread_over_kinds_sides_and_contrast_phases(phantom_set: CalibrationSet) -> None:
    runs = phantom_set.description["runs"]
    assert [run["seed"] for run in runs] == list(range(FIRST_SEED, FIRST_SEED + len(runs)))
    assert len({run["kind"] for run in runs}) == 9
    sides: Counter[str] = Counter()
    phases: Counter[str] = Counter()
    for run in runs:
        if run["kind"] == "coronary":
            labels = PhantomSource(sample_scene(run["seed"], side=run["side"], matrix=512)).labels
            sides[run["side"]] += len(run["frames"])
            phases.update(labels[index].contrast_phase for index in run["frames"])
    assert min(sides["left"], sides["right"]) >= 6
    assert set(phases) == {"none", "filling", "full", "washout"}


def test_the_same_words_give_the_same_set_and_other_seeds_another() -> None:
    first, again, other = (calibration_frames(SPEC, 3, first_seed=seed) for seed in (8, 8, 9))
    assert np.array_equal(first.tensors, again.tensors)
    assert (first.sha256, first.description) == (again.sha256, again.description)
    assert other.sha256 != first.sha256


def test_a_set_is_named_by_its_bytes_and_says_what_it_was_made_of(phantom_set: CalibrationSet) -> None:
    assert phantom_set.sha256 == hashlib.sha256(phantom_set.tensors.tobytes()).hexdigest()
    description = json.loads(json.dumps(phantom_set.description))
    assert description["source"] == "phantom"
    assert description["frames"] == len(phantom_set) == 24
    assert description["preprocessing"]["percentiles"] == list(SPEC.percentiles)
    with pytest.raises(ValueError, match="read-only"):
        phantom_set.tensors[0] = 0.0


def test_channels_last_preprocessing_gives_channels_last_tensors() -> None:
    first = calibration_frames(SPEC, 1)
    last = calibration_frames(replace(SPEC, layout="NHWC"), 1)
    assert np.array_equal(last.tensors[0].transpose(0, 3, 1, 2), first.tensors[0])


def test_a_folder_gives_its_own_frames_spread_over_runs_and_time(tmp_path: Path) -> None:
    images = stills(tmp_path, "run_a_", 12)
    data = xa_file()
    (tmp_path / "b.dcm").write_bytes(data)
    made = from_folder(tmp_path, 6)
    by_sha = {run["sha256"]: run["frames"] for run in made.description["runs"]}
    files = b"".join(path.read_bytes() for path in sorted(tmp_path.glob("*.png")))
    assert by_sha == {hashlib.sha256(data).hexdigest(): [0, 1, 2], hashlib.sha256(files).hexdigest(): [2, 6, 10]}
    run, _ = read_here(tmp_path / "run_a_000.png")
    expected = np.empty((1, 3, 32, 64), np.float32)
    Preprocessor(run, SPEC)(images[6], expected)
    assert any(np.array_equal(tensor, expected) for tensor in made.tensors)
    assert made.sha256 == from_folder(tmp_path, 6).sha256


def test_the_description_of_a_folder_names_no_file(tmp_path: Path) -> None:
    stills(tmp_path, "TANAKA_HANAKO_", 2)
    text = json.dumps(from_folder(tmp_path, 2).description)
    assert "TANAKA" not in text
    assert str(tmp_path) not in text


def as_the_runtime_sees(run: Run, frames: list[NDArray[Any]], spec: Preprocessing) -> list[NDArray[np.float32]]:
    """The tensor of each frame of a run, every one of which is prepared in turn."""
    preprocess, tensors = Preprocessor(run, spec), []
    for pixels in frames:
        tensors.append(np.empty(spec.shape, np.float32))
        assert preprocess(pixels, tensors[-1])
    return tensors


def test_phantom_frames_with_a_history_have_seen_every_frame_before(remembering_set: CalibrationSet) -> None:
    tensors = iter(remembering_set.tensors)
    for run in remembering_set.description["runs"]:
        assert run["frames"] == sorted(run["frames"])
        source = PhantomSource(sample_scene(run["seed"], kind=run["kind"], side=run["side"], matrix=512))
        shown = [source.render(index) for index in range(max(run["frames"]) + 1)]
        expected = as_the_runtime_sees(source.run, shown, REMEMBERING)
        for index in run["frames"]:
            tensor = next(tensors)
            assert np.array_equal(tensor, expected[index])
            assert tensor[0, 1].any() == (index > 0)
    assert next(tensors, None) is None
    assert remembering_set.description["preprocessing"]["history"]["channels"] == ("grey", "contrast", "change")


def test_a_history_changes_neither_the_runs_of_a_set_nor_the_frames_of_a_whole_run(
    phantom_set: CalibrationSet, remembering_set: CalibrationSet
) -> None:
    whole = remembering_set.description["runs"][:-1]
    assert whole
    for with_history, without in zip(whole, phantom_set.description["runs"], strict=False):
        assert {**with_history, "frames": set(with_history["frames"])} == {**without, "frames": set(without["frames"])}


def test_frames_of_a_folder_with_a_history_have_seen_every_frame_before(tmp_path: Path) -> None:
    images = stills(tmp_path, "run_", 8)
    (tmp_path / "run_003.png").unlink()
    made = calibration_frames(REMEMBERING, 2, folder=tmp_path, limits=LIMITS)
    assert made.description["runs"][0]["frames"] == [2, 6]
    run, _ = read_here(tmp_path / "run_000.png")
    expected = as_the_runtime_sees(run, [image for index, image in enumerate(images) if index != 3], REMEMBERING)
    assert np.array_equal(made.tensors[0], expected[2])
    assert np.array_equal(made.tensors[1], expected[5])
    assert made.tensors[1][0, 1].any()


def test_a_missing_still_is_passed_over_for_the_next_one(tmp_path: Path) -> None:
    stills(tmp_path, "run_", 6)
    (tmp_path / "run_003.png").unlink()
    assert from_folder(tmp_path, 1).description["runs"][0]["frames"] == [4]


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to see")
    with pytest.raises(SourceError, match="no run in this folder, 1 other files"):
        from_folder(tmp_path, 1)
    with pytest.raises(SourceError, match="no such file or folder"):
        from_folder(tmp_path / "elsewhere", 1)


def test_every_unreadable_file_is_named_and_refuses_the_folder(tmp_path: Path) -> None:
    stills(tmp_path, "run_", 4)
    (tmp_path / "broken.dcm").write_bytes(b"no DICOM at all")
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(SourceError, match="2 of 3 runs cannot be read") as caught:
        from_folder(tmp_path, 1)
    assert "broken.dcm: " in str(caught.value)
    assert "empty.png: " in str(caught.value)


def test_a_broken_frame_refuses_its_run_by_name(tmp_path: Path) -> None:
    stills(tmp_path, "run_", 4)
    Image.fromarray(np.zeros((7, 9), np.uint8)).save(tmp_path / "run_001.png")
    with pytest.raises(SourceError, match=r"run_\[0-3\]\.png: frame 1 is broken"):
        from_folder(tmp_path, 3)


def test_more_frames_than_there_are_are_refused_with_both_numbers(tmp_path: Path) -> None:
    stills(tmp_path, "run_", 4)
    with pytest.raises(SourceError, match="found 4 usable frames in 1 runs, expected 5"):
        from_folder(tmp_path, 5)
    (tmp_path / "run_001.png").unlink()
    with pytest.raises(SourceError, match="found 3 usable frames in 1 runs, expected 4"):
        from_folder(tmp_path, 4)
    with pytest.raises(ValueError, match="at least 1"):
        from_folder(tmp_path, 0)


@pytest.mark.parametrize(
    ("available", "wanted", "shares"),
    [
        ([10, 10, 10], 6, [2, 2, 2]),
        ([1, 10, 10], 9, [1, 4, 4]),
        ([5, 5, 5, 5], 2, [0, 1, 0, 1]),
        ([1, 1, 1], 3, [1, 1, 1]),
        ([0, 3], 2, [0, 2]),
    ],
)
def test_shares_are_as_even_as_the_runs_allow(available: list[int], wanted: int, shares: list[int]) -> None:
    assert even_shares(available, wanted) == shares
