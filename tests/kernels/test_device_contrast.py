"""Device plans of equalisation and of the collimator's sums: what they refuse, and frames that lie anywhere in memory.

What the kernels compute is compared in tests/emulation/exercise_clahe.py and exercise_collimator.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from cathrt.kernels.cuda.clahe import Clahe
from cathrt.kernels.cuda.collimator import ProfileSums
from cathrt.kernels.cuda.stream import Stream
from cathrt.kernels.reference.clahe import clahe
from cathrt.kernels.reference.collimator import profile_sums
from tests.emulation.stream import emulated


@pytest.fixture(scope="module")
def stream() -> Iterator[Stream]:
    with emulated("plain") as opened:
        yield opened


@pytest.mark.parametrize(
    ("shape", "dtype", "bits", "tiles", "clip_limit", "said"),
    [
        ((0, 5), np.uint8, 8, (8, 8), 2.0, "rows is 0"),
        ((5, 5), np.uint8, 9, (8, 8), 2.0, "bits_stored is 9"),
        ((5, 5), np.float32, 8, (8, 8), 2.0, "pixels are float32"),
        ((5, 5), np.uint8, 8, (8, 65), 2.0, r"tiles are \(8, 65\): expected 1 to 64"),
        ((5, 5), np.uint8, 8, (8, 8), float("nan"), "clip_limit is nan"),
        ((60000, 60000), np.uint8, 8, (1, 1), 2.0, "ask for more tiles"),
    ],
)
def test_an_equalisation_that_cannot_be_says_why(stream, shape, dtype, bits, tiles, clip_limit, said):
    with pytest.raises(ValueError, match=said):
        Clahe(stream, shape, dtype, bits, tiles, clip_limit)


def test_frames_that_do_not_fit_their_memory_are_refused(stream):
    equalise = Clahe(stream, (20, 30), np.uint16, 12, (2, 2), 2.0)
    add_up = ProfileSums(stream, (20, 30), np.uint16, 12)
    frame, short = stream.allocate(1200), stream.allocate(1199)
    with pytest.raises(ValueError, match="pixels has 1199 bytes: expected 1200"):
        equalise(short, 60, frame, 60)
    with pytest.raises(ValueError, match="out has 1199 bytes"):
        equalise(frame, 60, short, 60)
    with pytest.raises(ValueError, match="out shares memory"):
        equalise(frame, 60, frame, 60)
    with pytest.raises(ValueError, match="rows 58 bytes apart"):
        add_up(frame, 58)


def test_a_frame_may_begin_at_any_pixel_of_its_memory(stream):
    pixels = np.random.default_rng(1).integers(0, 4096, (40, 48)).astype(np.uint16)
    whole = np.concatenate([np.full(3, 9, dtype=np.uint16), pixels.ravel()])
    memory, out = stream.allocate(whole.nbytes), stream.allocate(pixels.nbytes)
    stream.upload(whole, memory)
    frame = memory.part(6, pixels.nbytes)
    equalise = Clahe(stream, pixels.shape, np.uint16, 12, (2, 2), 2.0)
    add_up = ProfileSums(stream, pixels.shape, np.uint16, 12)
    equalise(frame, 96, out, 96)
    add_up(frame, 96)
    equalised, sums = np.zeros_like(pixels), np.zeros(88, dtype=np.uint32)
    stream.download(out, equalised)
    stream.download(add_up.sums, sums)
    stream.synchronise()
    assert np.abs(equalised - clahe(pixels, 12, (2, 2), 2.0)).max() <= 1
    np.testing.assert_array_equal(sums, np.concatenate(profile_sums(pixels, 12)))
