"""Pictures of scenes: the best frame as the runtime windows it, its truth beside it, and a cache as good as new."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cathrt.export.models.report.demo.pictures import (
    PICTURE,
    STORED_SIDE,
    Picture,
    as_taken,
    load_pictures,
    render_picture,
    rendered_pictures,
)
from cathrt.export.models.report.demo.seen import best_frame, facts_in_view
from cathrt.kernels.reference.ingest import resize
from cathrt.runtime.phantom import sample_scene

MATRIX, SEED = 128, 3


@pytest.fixture(scope="module")
def picture() -> Picture:
    return render_picture(SEED, matrix=MATRIX)


def test_a_picture_is_the_best_frame_and_states_what_it_shows(picture: Picture) -> None:
    scene = sample_scene(SEED, matrix=MATRIX)
    assert picture.frame == best_frame(scene)
    assert picture.facts == facts_in_view(scene, picture.frame)


def test_the_arteries_are_darker_than_what_is_beside_them(picture: Picture) -> None:
    row, column, _, contrast = picture.points.T
    shown = (contrast > 0.8) & (row > 0.05) & (row < 0.95) & (column > 0.05) & (column < 0.95)
    at = [np.floor(one[shown] * STORED_SIDE).astype(int) for one in (row, column)]
    assert picture.image[at[0], at[1]].mean() < picture.image.mean() - 20.0


def test_the_cache_is_as_good_as_new(picture: Picture, tmp_path: Path) -> None:
    (first,) = load_pictures([SEED], tmp_path, MATRIX)
    (again,) = load_pictures([SEED], tmp_path, MATRIX)
    for found in (first, again):
        assert np.array_equal(found.image, picture.image)
        assert np.array_equal(found.points, picture.points)
        assert found.facts == picture.facts
    assert [path.suffix for path in tmp_path.iterdir()] == [".npz"]


def test_only_what_is_rendered_already_is_read_where_nothing_shall_be_rendered(tmp_path: Path) -> None:
    list(load_pictures([SEED], tmp_path, MATRIX))
    assert [picture.seed for picture in rendered_pictures(range(10), tmp_path, MATRIX)] == [SEED]


def test_pictures_are_taken_at_the_networks_size(picture: Picture) -> None:
    taken = as_taken([picture.image, picture.image])
    assert taken.shape == (2, PICTURE.side, PICTURE.side)
    expected = resize(picture.image.astype(np.float64), PICTURE.side, PICTURE.side)
    assert float(np.abs(taken[0] - expected).max()) <= 0.51
    assert as_taken([]).shape == (0, PICTURE.side, PICTURE.side)
