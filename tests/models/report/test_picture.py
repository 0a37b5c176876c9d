"""A key frame as the vision network's input."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cathrt.runtime.models.report.picture import pixels, resized
from cathrt.runtime.models.report.section import ReportPicture
from tests.models.report.tiny_model import grey


@pytest.mark.parametrize("shape", [(512, 512), (100, 37), (33, 200), (64, 64), (1, 1), (5, 1024)], ids=str)
@pytest.mark.parametrize("side", [1, 31, 64, 448])
def test_the_resized_picture_is_pillows(shape: tuple[int, int], side: int) -> None:
    picture = grey(1, *shape)
    theirs = np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BILINEAR))
    # Pillow rounds to float32 between the two directions too.
    np.testing.assert_allclose(resized(picture, side), theirs, rtol=0, atol=2e-6)


def test_a_picture_of_the_right_size_is_left_as_it_is() -> None:
    picture = grey(2, 64, 64)
    np.testing.assert_array_equal(resized(picture, 64), picture)


def test_three_channels_hold_the_same_grey_each_with_its_own_mean_and_std() -> None:
    spec = ReportPicture(8, (0.5, 99.5), (0.5, 0.4, 0.3), (0.5, 0.25, 0.125), 4)
    made = pixels(np.full((10, 20), 0.75, np.float32), spec)
    assert (made.shape, made.dtype) == ((1, 3, 8, 8), np.float32)
    for channel, expected in enumerate((0.5, 1.4, 3.6)):
        np.testing.assert_allclose(made[0, channel], expected, rtol=1e-6)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (5,), (1, 5, 5)], ids=str)
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected \\(rows, columns\\)"):
        resized(np.zeros(shape, np.float32), 8)
