"""Contrast-limited adaptive histogram equalisation: reference against OpenCV, C++ against reference.

Tolerance 1 stored value: the reference rounds in float64, OpenCV and the C++ in float32, which tips a value that lies
within a hundredth of the middle between two.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cathrt.kernels._kernels import Clahe
from cathrt.kernels.reference.clahe import clahe, redistribute

SHAPES = [(1, 1), (1, 9), (9, 1), (8, 8), (97, 31), (96, 31), (31, 96), (128, 256), (131, 300)]


def textured(rng: np.random.Generator, shape: tuple[int, int], dtype: Any, bits: int) -> NDArray[Any]:
    """A shaded frame with noise, over nearly the whole range of `bits`."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    level = 0.5 + 0.3 * np.sin(x / 40 + 1) * np.cos(y / 30) + rng.normal(0, 0.05, shape)
    return (level.clip(0, 1) * ((1 << bits) - 1)).astype(dtype)


def equalised(pixels: NDArray[Any], bits: int, tiles: tuple[int, int], clip_limit: float) -> NDArray[Any]:
    out = np.zeros_like(pixels)
    Clahe(pixels.shape, bits, tiles, clip_limit)(pixels, out)
    return out


def assert_close(found: NDArray[Any], expected: NDArray[Any]) -> None:
    assert np.abs(found.astype(np.int64) - expected.astype(np.int64)).max() <= 1


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("tiles", [(8, 8), (3, 5), (1, 1)], ids=str)
@pytest.mark.parametrize("clip_limit", [0.0, 0.01, 2.0, 40.0])
@pytest.mark.parametrize(("dtype", "bits"), [(np.uint8, 8), (np.uint16, 16)], ids=["u8", "u16"])
def test_the_reference_is_what_opencv_computes(shape, tiles, clip_limit, dtype, bits):
    pixels = textured(np.random.default_rng(1), shape, dtype, bits)
    expected = cv2.createCLAHE(clip_limit, tiles[::-1]).apply(pixels)
    # OpenCV has as many bins as a uint16 has values.
    assert_close(clahe(pixels, bits, tiles, clip_limit, most_bins=65536), expected)


@pytest.mark.parametrize("shape", [*SHAPES, (509, 1021)], ids=str)
@pytest.mark.parametrize("tiles", [(8, 8), (3, 5), (1, 1), (64, 1)], ids=str)
@pytest.mark.parametrize("clip_limit", [0.0, 0.01, 2.0, 40.0])
def test_any_size_in_any_tiles_agrees_with_the_reference(shape, tiles, clip_limit):
    pixels = textured(np.random.default_rng(2), shape, np.uint16, 12)
    assert_close(equalised(pixels, 12, tiles, clip_limit), clahe(pixels, 12, tiles, clip_limit))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("clip_limit", [0.0, 1.0, 1.5])
def test_tiles_of_powers_of_two_are_the_references_to_the_bit(bits, clip_limit):
    """float32 holds every sum and product of these exactly, and ties go to the even value."""
    pixels = np.random.default_rng(bits).integers(0, 1 << bits, (64, 64)).astype(np.uint16)
    pixels[:, :24] //= 2  # more of the dark ones, so that there is something to cut
    for tiles in ((16, 16), (8, 4)):
        np.testing.assert_array_equal(
            equalised(pixels, bits, tiles, clip_limit), clahe(pixels, bits, tiles, clip_limit)
        )


@pytest.mark.parametrize("bits", range(1, 17))
def test_every_depth_keeps_its_range_and_ignores_dirty_high_bits(bits):
    rng = np.random.default_rng(bits)
    clean = textured(rng, (150, 211), np.uint16, bits)
    dirty = clean | rng.integers(0, 1 << 16, clean.shape).astype(np.uint16) & np.uint16(~((1 << bits) - 1) & 0xFFFF)
    found = equalised(dirty, bits, (4, 4), 3.0)
    np.testing.assert_array_equal(found, equalised(clean, bits, (4, 4), 3.0))
    assert found.max() < 1 << bits
    assert_close(found, clahe(clean, bits, (4, 4), 3.0))


@pytest.mark.parametrize("bits", [1, 5, 8])
def test_eight_bit_pixels_give_what_sixteen_bit_pixels_give(bits):
    pixels = textured(np.random.default_rng(bits), (203, 517), np.uint8, bits)
    np.testing.assert_array_equal(
        equalised(pixels, bits, (8, 8), 2.0), equalised(pixels.astype(np.uint16), bits, (8, 8), 2.0)
    )


def test_joining_values_beyond_twelve_bits_moves_them_no_further_than_stated():
    pixels = textured(np.random.default_rng(3), (256, 256), np.uint16, 16)
    clip_limit = 2.0
    ramp = np.sort(pixels.ravel()).reshape(pixels.shape)
    one_tile = clahe(ramp, 16, (1, 1), clip_limit).ravel()
    # Neighbours in value lie in one bin or in adjacent ones.
    jump = np.diff(one_tile)[np.diff(ramp.ravel().astype(int)) <= 16].max()
    assert 0 < jump <= (clip_limit + 2) / 4096 * 65536


@pytest.mark.parametrize("name", ["every third row", "a crop", "bottom up", "one row repeated"])
def test_rows_may_have_any_stride(name):
    whole = textured(np.random.default_rng(4), (300, 400), np.uint16, 12)
    repeated = np.broadcast_to(whole[:1], (50, 400))
    views = {
        "every third row": whole[::3],
        "a crop": whole[5:133, 17:300],
        "bottom up": whole[::-1],
        "one row repeated": repeated,
    }
    view = views[name]
    out = np.full((2 * view.shape[0], view.shape[1] + 3), 7, dtype=np.uint16)
    into = out[::-2, 1:-2]
    Clahe(view.shape, 12, (4, 4), 2.0)(view, into)
    np.testing.assert_array_equal(into, equalised(np.ascontiguousarray(view), 12, (4, 4), 2.0))
    into[...] = 7
    assert (out == 7).all(), "wrote beside the output"


def test_a_frame_may_be_equalised_in_place():
    pixels = textured(np.random.default_rng(5), (256, 300), np.uint16, 12)
    expected = equalised(pixels, 12, (8, 8), 2.0)
    Clahe(pixels.shape, 12, (8, 8), 2.0)(pixels, pixels)
    np.testing.assert_array_equal(pixels, expected)


def test_a_plan_used_again_remembers_nothing_of_the_frame_before():
    rng = np.random.default_rng(6)
    plan = Clahe((200, 200), 12, (8, 8), 2.0)
    frames = [textured(rng, (200, 200), np.uint16, bits) for bits in (12, 9)]
    first, again = (np.zeros((200, 200), dtype=np.uint16) for _ in range(2))
    plan(frames[0], first)
    plan(frames[1], again)
    plan(frames[0], again)
    np.testing.assert_array_equal(first, again)


def test_a_long_tile_does_not_overflow_its_counters():
    pixels = np.full((40, 65535), 9, dtype=np.uint8)
    pixels[:, ::1000] = 200
    assert_close(equalised(pixels, 8, (1, 1), 0.0), clahe(pixels, 8, (1, 1), 0.0))
    tall = np.ascontiguousarray(pixels.T)
    assert_close(equalised(tall, 8, (1, 1), 0.0), clahe(tall, 8, (1, 1), 0.0))


def test_contrast_grows_where_there_was_little():
    pixels = textured(np.random.default_rng(7), (256, 256), np.uint16, 12) // 8 + 1500
    assert equalised(pixels, 12, (8, 8), 8.0).std() > 3 * pixels.std()


def test_what_is_cut_is_handed_out_again():
    counts = np.array([100, 0, 3, 0, 41, 0, 0, 0])
    np.testing.assert_array_equal(redistribute(counts, 10), [10 + 15 + 1, 15, 3 + 15, 15, 10 + 15, 15, 15, 15])


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_any_frame_agrees_with_the_reference(data):
    shape = data.draw(st.tuples(st.integers(1, 70), st.integers(1, 70)))
    bits = data.draw(st.integers(1, 16))
    tiles = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    clip_limit = data.draw(st.one_of(st.just(0.0), st.floats(0.001, 100.0)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    dtype = np.uint8 if bits <= 8 and data.draw(st.booleans()) else np.uint16
    pixels = rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)
    pixels &= dtype(data.draw(st.integers(0, int(np.iinfo(dtype).max))))
    assert_close(equalised(pixels, bits, tiles, clip_limit), clahe(pixels, bits, tiles, clip_limit))


@pytest.mark.parametrize(
    ("shape", "bits", "tiles", "clip_limit", "said"),
    [
        ((0, 5), 8, (8, 8), 2.0, "rows is 0: expected 1 to 65535"),
        ((5, 70000), 8, (8, 8), 2.0, "columns is 70000"),
        ((5, 5), 17, (8, 8), 2.0, "bits_stored is 17"),
        ((5, 5), 8, (0, 8), 2.0, r"tiles are \(0, 8\): expected 1 to 64"),
        ((5, 5), 8, (8, 65), 2.0, r"tiles are \(8, 65\)"),
        ((5, 5), 8, (8, 8), -1.0, "clip_limit is -1"),
        ((5, 5), 8, (8, 8), float("nan"), "clip_limit is nan"),
        ((60000, 60000), 8, (1, 1), 2.0, "ask for more tiles"),
    ],
)
def test_a_plan_that_cannot_be_says_why(shape, bits, tiles, clip_limit, said):
    with pytest.raises(ValueError, match=said):
        Clahe(shape, bits, tiles, clip_limit)


def test_frames_that_do_not_fit_the_plan_are_refused():
    plan = Clahe((20, 30), 12, (2, 2), 2.0)
    pixels = np.zeros((20, 30), dtype=np.uint16)
    with pytest.raises(ValueError, match=r"this plan was made for \(20, 30\)"):
        plan(pixels[:19], pixels[:19].copy())
    with pytest.raises(ValueError, match="bits_stored is 12"):
        plan(pixels.astype(np.uint8), pixels.astype(np.uint8))
    with pytest.raises(ValueError, match=r"out is uint16 \(20, 29\): expected uint16 \(20, 30\)"):
        plan(pixels, pixels[:, :29].copy())
    with pytest.raises(ValueError, match=r"out is uint8"):
        plan(pixels, np.zeros((20, 30), dtype=np.uint8))
    with pytest.raises(ValueError, match="ascontiguousarray"):
        plan(pixels, np.zeros((20, 60), dtype=np.uint16)[:, ::2])
    read_only = np.zeros_like(pixels)
    read_only.flags.writeable = False
    with pytest.raises(TypeError):
        plan(pixels, read_only)
