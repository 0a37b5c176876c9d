"""The device plan of equalisation: what it refuses, and frames that lie anywhere in memory.

What the kernels compute is compared in tests/emulation/exercise_clahe.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from cathrt.kernels.cuda.clahe import DeviceClahe
from cathrt.kernels.cuda.stream import Stream
from cathrt.kernels.reference.clahe import clahe
from tests.emulation.placed import fetched, placed
from tests.emulation.stream import emulated


@pytest.fixture(scope="module")
def stream() -> Iterator[Stream]:
    with emulated("plain") as opened:
        yield opened


@pytest.mark.parametrize(
    ("shape", "bits", "tiles", "clip_limit", "said"),
    [
        ((0, 5), 8, (8, 8), 2.0, "rows is 0"),
        ((5, 5), 17, (8, 8), 2.0, "bits_stored is 17"),
        ((5, 5), 8, (8, 65), 2.0, r"tiles are \(8, 65\): expected 1 to 64"),
        ((5, 5), 8, (8, 8), float("nan"), "clip_limit is nan"),
        ((60000, 60000), 8, (1, 1), 2.0, "ask for more tiles"),
    ],
)
def test_an_equalisation_that_cannot_be_says_why(stream, shape, bits, tiles, clip_limit, said):
    with pytest.raises(ValueError, match=said):
        DeviceClahe(stream, shape, bits, tiles, clip_limit)


def test_frames_of_another_kind_than_the_plans_are_refused(stream):
    equalise = DeviceClahe(stream, (20, 30), 12, (2, 2), 2.0)
    frame = placed(stream, np.zeros((20, 30), np.uint16))
    narrow, other = placed(stream, np.zeros((20, 30), np.uint8)), placed(stream, np.zeros((20, 31), np.uint16))
    with pytest.raises(ValueError, match="uint8 but bits_stored is 12"):
        equalise(narrow, frame)
    with pytest.raises(ValueError, match=r"the frame is \(20, 31\): this plan was made for \(20, 30\)"):
        equalise(other, frame)
    with pytest.raises(ValueError, match="out is uint8"):
        equalise(frame, narrow)
    with pytest.raises(ValueError, match="out shares memory"):
        equalise(frame, frame)


def test_a_frame_may_begin_at_any_pixel_of_its_memory(stream):
    pixels = np.random.default_rng(1).integers(0, 4096, (40, 48)).astype(np.uint16)
    frame, out = placed(stream, pixels, offset=6), placed(stream, np.zeros_like(pixels))
    equalise = DeviceClahe(stream, pixels.shape, 12, (2, 2), 2.0)
    equalise(frame, out)
    equalised = fetched(stream, out).astype(int)
    assert np.abs(equalised - clahe(pixels, 12, (2, 2), 2.0)).max() <= 1
