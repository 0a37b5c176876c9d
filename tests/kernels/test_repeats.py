"""The repeat test against kernels/reference/repeats.py, and the decision on frames that are alike and are not.

Tolerance: none. Everything is an integer, and every instruction set must give the same bits.
"""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cathrt.kernels._kernels import compare_frames, same_pixels
from cathrt.kernels.reference import repeats as reference

SHAPES = [(1, 1), (1, 7), (7, 1), (5, 3), (97, 31), (3, 2048), (2, 2049), (3, 4099), (513, 512), (1024, 1024)]


def noise(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Every bit set at random, those beyond bits_stored too."""
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def altered(rng: np.random.Generator, frame: NDArray[Any], share: float) -> NDArray[Any]:
    return np.where(rng.random(frame.shape) < share, noise(rng, frame.shape, frame.dtype), frame)


def assert_parity(previous: NDArray[Any], current: NDArray[Any], bits: int, limit: int) -> None:
    expected = reference.compare_frames(previous, current, bits, limit)
    assert compare_frames(previous, current, bits, limit) == astuple(expected)
    assert same_pixels(previous, current, bits) == (expected.difference_max == 0)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("dtype", "bits"), [(np.uint8, 8), (np.uint8, 5), (np.uint16, 10), (np.uint16, 16)])
def test_any_size_and_depth_agrees_with_the_reference(shape, dtype, bits):
    rng = np.random.default_rng(sum(shape) + bits)
    frame = noise(rng, shape, dtype)
    for share in (0.0, 0.1, 1.0):
        assert_parity(frame, altered(rng, frame, share), bits, limit=2)


def test_the_largest_differences_there_can_be_are_summed_in_full():
    black, white = np.zeros((1024, 1024), dtype=np.uint16), np.full((1024, 1024), 65535, dtype=np.uint16)
    stripes = np.tile(np.array([0, 65535], dtype=np.uint16), (1024, 512))
    assert_parity(black, white, 16, limit=65534)
    assert_parity(white, stripes, 16, limit=65535)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_frames_any_strides_agree_with_the_reference(data):
    rows, columns = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 90))
    bits = data.draw(st.integers(1, 16))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    dtype = np.uint8 if bits <= 8 and data.draw(st.booleans()) else np.uint16
    whole = noise(rng, (2, 3 * rows, columns + 5), dtype)
    previous, current = (
        frame[:: data.draw(st.sampled_from([1, -1, 3, -3]))][:rows, 2 : columns + 2] for frame in whole
    )
    current = current.copy() if data.draw(st.booleans()) else current
    assert_parity(previous, current, bits, data.draw(st.integers(0, 65535)))


# --- the hash -----------------------------------------------------------------------------------------------------


def hash_of(frame: NDArray[Any], bits: int = 16) -> int:
    return compare_frames(frame, frame, bits, 0)[0]


def test_the_hash_of_a_known_frame_stays_what_it_was():
    assert hash_of(np.arange(35, dtype=np.uint16).reshape(5, 7)) == 0xB8C112613F6CE83F


def test_the_hash_is_of_values_not_of_bytes_or_strides():
    frame = noise(np.random.default_rng(1), (67, 131), np.uint8)
    assert hash_of(frame.astype(np.uint16)) == hash_of(frame, 8)
    assert hash_of(np.flipud(np.flipud(frame).copy()), 8) == hash_of(frame, 8)
    assert hash_of(frame.astype(np.uint16) | 0xFF80, 7) == hash_of(frame & 0x7F, 8)


def test_every_single_bit_and_every_move_changes_the_hash():
    frame = noise(np.random.default_rng(2), (6, 9), np.uint16)
    variants = {hash_of(frame)}
    for y, x in np.ndindex(frame.shape):
        for bit in range(16):
            changed = frame.copy()
            changed[y, x] ^= 1 << bit
            variants.add(hash_of(changed))
    assert len(variants) == 1 + 6 * 9 * 16
    moved = [np.roll(frame, k, axis) for axis in (0, 1) for k in range(1, frame.shape[axis])]
    moved += [frame[[1, 0, 2, 3, 4, 5]], frame[::-1], frame[:, ::-1]]
    moved += [frame.reshape(9, 6), frame.reshape(54, 1), frame[:, :8], frame[:5], np.pad(frame, ((0, 0), (0, 1)))]
    variants |= {hash_of(np.ascontiguousarray(frame)) for frame in moved}
    assert len(variants) == 1 + 6 * 9 * 16 + len(moved)


def test_each_bit_of_a_word_moves_half_of_the_hash():
    words = np.random.default_rng(3).integers(0, 2**64, 4096, dtype=np.uint64)
    for bit in range(64):
        moved = reference.mix(words) ^ reference.mix(words ^ np.uint64(1 << bit))
        flips = np.unpackbits(moved.view(np.uint8).reshape(-1, 8), axis=1).mean(axis=0)
        assert np.abs(flips - 0.5).max() < 0.05, f"bit {bit}: {flips}"


def test_a_hundred_thousand_pictures_that_differ_little_have_as_many_hashes():
    frame = np.zeros((4, 64), dtype=np.uint16)
    seen = set()
    for value in range(100_000):
        frame[0, 0], frame[3, 63] = value % 317, value // 317
        seen.add(hash_of(frame, 12))
    assert len(seen) == 100_000


# --- the decision -------------------------------------------------------------------------------------------------


def decide(previous: NDArray[Any], current: NDArray[Any], bits: int) -> reference.Repeat:
    comparison = reference.Comparison(*compare_frames(previous, current, bits, reference.HOLD_LIMIT))
    return reference.repeat_of(hash_of(previous, bits), comparison)


def anatomy(shape: tuple[int, int], amplitude: float) -> NDArray[np.float64]:
    """Smooth, with edges and burned-in text: what inflates the texture without being noise."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]] / shape[0]
    picture = 100 + amplitude * (np.sin(7 * x) + np.cos(5 * y) + (np.abs(y - 0.3 - 0.2 * x) < 0.01))
    picture[: shape[0] // 20, ::3] += amplitude
    return picture


def live(rng: np.random.Generator, noise_sd: float, recursion: float, amplitude: float) -> list[NDArray[np.uint8]]:
    """Two successive frames of a still object. noise_sd: in the frame, after y += recursion * (x - y) smoothed it."""
    shape = (256, 256)
    picture = anatomy(shape, amplitude)
    quantum_sd = noise_sd / np.sqrt(recursion / (2 - recursion))
    smoothed = picture + rng.normal(0, noise_sd, shape)
    frames = []
    for _ in range(2):
        frames.append(np.rint(smoothed).clip(0, 255).astype(np.uint8))
        smoothed = smoothed + recursion * (picture + rng.normal(0, quantum_sd, shape) - smoothed)
    return frames


# Down to a quarter of a stored value: a feed digitised more coarsely than its noise would show false contours.
@pytest.mark.parametrize("noise_sd", [0.25, 0.5, 1.0, 2.0, 8.0])
@pytest.mark.parametrize("recursion", [1.0, 0.4, 0.1])
@pytest.mark.parametrize("amplitude", [0.0, 5.0, 60.0])
@pytest.mark.parametrize("exposed", [1.0, 0.2])
def test_two_live_frames_of_a_still_object_are_never_the_same(noise_sd, recursion, amplitude, exposed):
    rng = np.random.default_rng(int(100 * noise_sd) + int(10 * recursion))
    previous, current = live(rng, noise_sd, recursion, amplitude)
    for frame in (previous, current):
        frame[:, int(exposed * frame.shape[1]) :] = 12  # a shutter
    assert decide(previous, current, 8) == "new"


def test_a_held_image_is_exact_and_one_that_was_encoded_again_is_a_hold():
    rng = np.random.default_rng(4)
    frame = live(rng, 2.0, 1.0, 60.0)[0]
    assert decide(frame, frame.copy(), 8) == "exact"
    again = frame.copy()
    again[(rng.random(frame.shape) < 0.01) & (frame < 255)] += 1
    assert decide(frame, again, 8) == "hold"
    more = np.where((rng.random(frame.shape) < 0.1) & (frame < 255), frame + 1, frame).astype(np.uint8)
    assert decide(frame, more, 8) == "new"


def test_one_pixel_beyond_the_limit_makes_a_frame_new():
    frame = live(np.random.default_rng(5), 2.0, 1.0, 60.0)[0]
    for change, repeat in ((reference.HOLD_LIMIT, "hold"), (reference.HOLD_LIMIT + 1, "new")):
        other = frame.copy()
        other[100, 100] = frame[100, 100] - change
        assert decide(frame, other, 8) == repeat


def test_a_flat_frame_is_only_ever_exact_or_new():
    flat = np.full((64, 64), 40, dtype=np.uint8)
    other = flat.copy()
    other[3, 3] += 1
    assert decide(flat, flat, 8) == "exact"
    assert decide(np.full_like(flat, 41), flat, 8) == "new"
    assert decide(other, flat, 8) == "new"


def test_a_frame_compared_with_its_own_memory_is_new():
    """A grabber's ring came round: what was hashed as the previous frame has been overwritten by the current one."""
    previous, current = live(np.random.default_rng(6), 2.0, 1.0, 60.0)
    remembered = hash_of(previous, 8)
    comparison = reference.Comparison(*compare_frames(current, current, 8, reference.HOLD_LIMIT))
    assert reference.repeat_of(remembered, comparison) == "new"
    assert reference.repeat_of(hash_of(current, 8), comparison) == "exact"


# --- refusals -----------------------------------------------------------------------------------------------------

FRAME = np.zeros((4, 6), dtype=np.uint16)


@pytest.mark.parametrize(
    ("previous", "current", "bits", "message"),
    [
        (FRAME, FRAME[:3], 12, r"previous is uint16 \(4, 6\), current is uint16 \(3, 6\)"),
        (FRAME, FRAME[:, :5], 12, "two frames of one shape and type"),
        (FRAME.astype(np.uint8), FRAME, 8, "two frames of one shape and type"),
        (FRAME, FRAME.astype(np.int16), 12, "int16"),
        (FRAME[0], FRAME[0], 12, r"expected uint8 or uint16 \(rows, columns\)"),
        (FRAME[:, ::2], FRAME[:, ::2], 12, "2 elements apart"),
        (FRAME, FRAME, 17, "bits_stored is 17"),
    ],
)
def test_frames_that_cannot_be_compared_raise(previous, current, bits, message):
    with pytest.raises(ValueError, match=message):
        compare_frames(previous, current, bits, 2)
    with pytest.raises(ValueError, match=message):
        same_pixels(previous, current, bits)


@pytest.mark.parametrize("limit", [-1, 65536])
def test_a_limit_no_stored_value_can_have_raises(limit):
    with pytest.raises(ValueError, match=f"limit is {limit}: expected 0 to 65535"):
        compare_frames(FRAME, FRAME, 12, limit)
