"""Neighbours in a run are alike, stills of different scenes are not: generated runs, and real stills where they are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.runtime.frame import Frame
from cathrt.runtime.phantom import PhantomSource, SceneKind, sample_scene
from cathrt.runtime.phantom.hardship import HARDSHIPS, Hardship
from cathrt.runtime.sources.discover import Input, discover
from cathrt.runtime.sources.likeness import LEAST, SIDE, correlation, thumbnail
from tests.sources.reading import read_input_here

# Seeds that nothing else draws.
FIRST_SEED, MATRIX = 84_000_000, 128
KINDS: tuple[SceneKind, ...] = (
    "coronary", "no_contrast", "lv_gram", "other_vessels", "aortogram", "empty", "panning", "saturated",
    "closed_collimator",
)  # fmt: skip

Thumbnails = Sequence[NDArray[np.float64]]


def least(pairs: Any) -> float:
    """The lowest correlation of these pairs; 1 where none says anything."""
    return min((found for one, other in pairs if (found := correlation(one, other)) is not None), default=1.0)


def phantom_run(seed: int, kind: SceneKind, hardship: Hardship | None = None, frames: int | None = None) -> Thumbnails:
    source = PhantomSource(sample_scene(seed, kind=kind, matrix=MATRIX, hardship=hardship))
    count = source.scene.frame_count
    first = 0 if frames is None else (count - frames) // 2
    return [thumbnail(source.render(index)) for index in range(first, count if frames is None else first + frames)]


def test_a_thumbnail_holds_mean_values_whatever_the_size() -> None:
    assert thumbnail(np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)).shape == (SIDE, SIDE)
    assert thumbnail(np.full((1000, 37), 9, np.uint8)).tolist() == [[9.0] * SIDE] * SIDE
    assert thumbnail(np.array([[1, 2, 3], [4, 5, 6]], np.uint8)).tolist() == [[1, 2, 3], [4, 5, 6]]
    assert thumbnail(np.full((64, 64), 65535, np.uint16)).max() == 65535.0


def test_brightness_and_contrast_do_not_matter_and_a_flat_picture_says_nothing() -> None:
    picture = np.random.default_rng(1).normal(size=(8, 8))
    assert correlation(picture, 3.0 * picture + 5.0) == pytest.approx(1.0)
    assert correlation(picture, -picture) == pytest.approx(-1.0)
    assert correlation(picture, np.full((8, 8), 5.0)) is None


@pytest.mark.parametrize("kind", KINDS)
def test_neighbours_of_a_generated_run_are_alike(kind: SceneKind) -> None:
    assert least(pairwise(phantom_run(FIRST_SEED + KINDS.index(kind), kind, frames=12))) > LEAST


def test_generated_runs_of_different_scenes_are_unlike() -> None:
    stills = [phantom_run(FIRST_SEED + 100 + number, "coronary", frames=1)[0] for number in range(12)]
    found = [correlation(one, other) or 0.0 for one, other in combinations(stills, 2)]
    assert np.mean([value < LEAST for value in found]) > 0.95


@pytest.mark.slow
def test_every_neighbour_of_many_whole_generated_runs_is_alike() -> None:
    drawn: list[tuple[SceneKind, Hardship | None]] = [(kind, None) for kind in KINDS]
    drawn += [("coronary", hardship) for hardship in HARDSHIPS]
    found = {
        (kind, hardship, repeat): least(pairwise(phantom_run(FIRST_SEED + 1000 + 50 * repeat + place, kind, hardship)))
        for repeat in range(2)
        for place, (kind, hardship) in enumerate(drawn)
    }
    assert {key: value for key, value in found.items() if value <= LEAST} == {}


def real_thumbnails(inputs: Sequence[Input]) -> Thumbnails:
    items = [item for input_ in inputs for item in read_input_here(input_)[1]]
    return [thumbnail(item.pixels) for item in items if isinstance(item, Frame)]


def test_frames_of_real_runs_are_alike(data_dir: Path) -> None:
    for folder in ("xa_cine", "danilov_lca_sequence"):
        if not (data_dir / folder).is_dir():
            pytest.skip(f"no real runs: looked for {data_dir / folder}")
        (input_,) = discover([data_dir / folder]).inputs
        assert least(pairwise(real_thumbnails([input_]))) > 0.98


def test_real_stills_of_different_patients_are_no_run(data_dir: Path) -> None:
    folder = data_dir / "arcade_syntax" / "images"
    if not folder.is_dir():
        pytest.skip(f"no real stills: looked for {folder}")
    stills = real_thumbnails(discover([folder], stills_are="separate").inputs)
    found = np.array([correlation(one, other) or 0.0 for one, other in combinations(stills, 2)])
    assert np.mean(found < LEAST) > 0.95
    rng = np.random.default_rng(5)
    guesses = [[stills[index] for index in rng.permutation(len(stills))[:5]] for _ in range(200)]
    assert max(least(pairwise(guess)) for guess in guesses) < LEAST
