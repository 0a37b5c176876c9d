"""The temporal filter: the C++ twin against the reference, what the reference does clinically, and what is refused.

Tolerance: tests/kernels/temporal_agreement.py; at most 1 stored value after rounding, 5e-7 of the full scale before it,
more only where a steep slope magnifies the rounding of the local mean.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cathrt.kernels._kernels import TemporalFilter, TemporalSettings
from cathrt.kernels.reference import temporal as reference
from tests.kernels.temporal_agreement import (
    EXACT,
    assert_step_agrees,
    assert_step_is_exact,
    moving_scene,
    parameters,
    settings_for,
)


def assert_agrees(frames: list[NDArray[Any]], bits: int, chosen: TemporalSettings) -> None:
    twin = TemporalFilter(frames[0].shape, bits, chosen)
    before = None
    for pixels in frames:
        out = np.full(pixels.shape, 171, dtype=pixels.dtype)
        twin(pixels, out)
        state = twin.state
        assert_step_agrees(pixels, bits, before, state, out, chosen)
        before = state


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 2), (2, 1), (1, 7), (7, 1), (2, 2), (3, 3), (97, 31), (64, 1025), (1024, 1024)], ids=str
)
@pytest.mark.parametrize("bits", [8, 12])
def test_any_size_agrees_with_the_reference(shape, bits):
    rng = np.random.default_rng(sum(shape))
    assert_agrees(moving_scene(rng, shape, np.uint16, bits, 4), bits, settings_for(bits))


@pytest.mark.parametrize("bits", range(8, 17))
def test_dirty_high_bits_are_masked_at_every_depth(bits):
    assert_agrees(moving_scene(np.random.default_rng(bits), (83, 129), np.uint16, bits, 5), bits, settings_for(bits))


@pytest.mark.parametrize("bits", [1, 5, 8])
def test_eight_bit_pixels_agree_with_the_reference(bits):
    assert_agrees(moving_scene(np.random.default_rng(bits), (83, 129), np.uint8, bits, 5), bits, settings_for(bits))


@pytest.mark.parametrize(("dtype", "bits"), [(np.uint8, 8), (np.uint16, 10)])
def test_halves_go_up_and_nothing_else_is_rounded(dtype, bits):
    frames = moving_scene(np.random.default_rng(bits), (43, 61), dtype, bits, 4)
    twin = TemporalFilter(frames[0].shape, bits, EXACT)
    before, halves = None, 0
    for pixels in frames:
        out = np.full(pixels.shape, 171, dtype=dtype)
        twin(pixels, out)
        assert_step_is_exact(pixels, bits, before, twin.state, out, EXACT)
        before = twin.state.copy()
        halves += int((before % 1.0 == 0.5).sum())
    assert halves > 100


def strided_views() -> dict[str, NDArray[np.uint16]]:
    whole = moving_scene(np.random.default_rng(3), (150, 200), np.uint16, 12, 1)[0]
    repeated = np.broadcast_to(whole[:1], (50, 200))
    return {
        "every third row": whole[::3],
        "a crop": whole[5:133, 17:150],
        "bottom up": whole[::-1],
        "one row": repeated,
    }


@pytest.mark.parametrize("name", strided_views())
def test_rows_may_have_any_stride(name):
    view = strided_views()[name]
    moved = np.ascontiguousarray(np.roll(view, 2, axis=1))
    assert_agrees([view, moved, view], 12, settings_for(12))


@pytest.mark.parametrize(
    "changed",
    [
        {"slope": 0.0},
        {"still": 1e-4},
        {"threshold": 0.0},
        {"threshold": 1e6},
        {"ghosting_limit": 0.5},
        {"ghosting_limit": 1e9},
        {"noise_gain": 0.0},
        {"noise_offset": 1e9},
        {"noise_offset": 1.0, "noise_gain": 0.0, "slope": 0.05},
    ],
    ids=str,
)
def test_extreme_settings_agree_with_the_reference(changed):
    frames = moving_scene(np.random.default_rng(4), (61, 77), np.uint16, 12, 5)
    assert_agrees(frames, 12, settings_for(12, **changed))


@pytest.mark.parametrize(
    "changed", [{"still": 1.0}, {"ghosting_limit": 0.0}, {"threshold": 0.0, "slope": 1e6}], ids=str
)
def test_settings_that_leave_nothing_to_the_state_give_the_frame_itself(changed):
    frames = moving_scene(np.random.default_rng(5), (40, 50), np.uint16, 16, 3)
    twin = TemporalFilter((40, 50), 16, settings_for(16, **changed))
    for pixels in frames:
        out = np.zeros_like(pixels)
        twin(pixels, out)
        np.testing.assert_array_equal(out, pixels)


def test_the_state_stays_within_the_range_of_stored_values():
    rng = np.random.default_rng(6)
    twin = TemporalFilter((64, 64), 16, settings_for(16, still=0.01, ghosting_limit=1e9, slope=1e-3))
    out = np.zeros((64, 64), np.uint16)
    for _ in range(30):
        twin(rng.choice(np.array([0, 1, 65534, 65535], np.uint16), (64, 64)), out)
        assert twin.state.min() >= 0.0
        assert twin.state.max() <= 65535.0


def test_after_a_reset_the_frame_comes_out_as_it_is():
    frames = moving_scene(np.random.default_rng(7), (33, 45), np.uint16, 12, 4)
    twin, anew = (TemporalFilter((33, 45), 12, settings_for(12)) for _ in range(2))
    out, expected = np.zeros((33, 45), np.uint16), np.zeros((33, 45), np.uint16)
    for pixels in frames[:2]:
        twin(pixels, out)
    twin.reset()
    for pixels in frames[2:]:
        twin(pixels, out)
        anew(pixels, expected)
        np.testing.assert_array_equal(out, expected)


def test_state_is_a_copy():
    twin = TemporalFilter((4, 5), 12, settings_for(12))
    pixels = np.full((4, 5), 7, np.uint16)
    twin(pixels, np.zeros((4, 5), np.uint16))
    twin.state[...] = 99.0
    np.testing.assert_array_equal(twin.state, 7.0)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_frames_and_settings_agree_with_the_reference(data):
    shape = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 70)))
    bits = data.draw(st.integers(1, 16))
    dtype = np.uint8 if bits <= 8 and data.draw(st.booleans()) else np.uint16
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    frames = moving_scene(rng, shape, dtype, bits, 3)
    if data.draw(st.booleans()):
        frames.append(rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True))
    chosen = settings_for(
        bits,
        noise_offset=data.draw(st.floats(1.0, 1e4)),
        noise_gain=data.draw(st.floats(0.0, 50.0)),
        still=data.draw(st.floats(0.01, 1.0)),
        threshold=data.draw(st.floats(0.0, 5.0)),
        slope=data.draw(st.floats(0.0, 2.0)),
        ghosting_limit=data.draw(st.floats(0.0, 50.0)),
    )
    assert_agrees(frames, bits, chosen)


# The reference itself.


def test_the_local_mean_counts_only_neighbours_in_the_frame():
    rng = np.random.default_rng(8)
    for shape in [(1, 1), (1, 4), (4, 1), (5, 6)]:
        values = rng.normal(size=shape)
        expected = [
            [values[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].mean() for x in range(shape[1])]
            for y in range(shape[0])
        ]
        np.testing.assert_allclose(reference.local_mean(values), expected, rtol=1e-12)


def test_noise_on_still_tissue_falls_as_recursive_averaging_promises():
    rng = np.random.default_rng(9)
    chosen = parameters(settings_for(12, noise_offset=400.0, noise_gain=0.0))
    state = None
    for _ in range(60):
        state = reference.temporal(np.rint(rng.normal(2000, 20, (200, 200))), state, **chosen)
    # The variance of s' = s + k (x - s) tends to k / (2 - k) of the frame's.
    assert state.std() / 20.0 == pytest.approx(np.sqrt(0.2 / 1.8), rel=0.05)
    assert state.mean() == pytest.approx(2000, abs=0.5)


def test_a_moved_object_leaves_no_trail_above_the_ghosting_limit():
    frames = moving_scene(np.random.default_rng(10), (80, 90), np.uint16, 12, 12)
    chosen = settings_for(12, slope=0.0, ghosting_limit=3.0)  # the limit alone
    twin = TemporalFilter((80, 90), 12, chosen)
    out = np.zeros((80, 90), np.uint16)
    for pixels in frames:
        twin(pixels, out)
        stored = (pixels & 4095).astype(np.float64)
        reach = 3.0 * reference.noise_sigma(stored, chosen.noise_offset, chosen.noise_gain)
        assert (np.abs(twin.state - stored) <= reach + 5e-7 * 4096).all()


def test_motion_comes_through_at_once_and_a_single_noisy_pixel_does_not():
    chosen = settings_for(12, noise_offset=400.0, noise_gain=0.0, threshold=1.0)
    twin = TemporalFilter((40, 40), 12, chosen)
    tissue, out = np.full((40, 40), 2000, np.uint16), np.zeros((40, 40), np.uint16)
    twin(tissue, out)
    changed = tissue.copy()
    changed[10:20, 10:20] = 500  # a catheter
    changed[30, 30] = 2060  # three sigma
    twin(changed, out)
    assert (out[11:19, 11:19] == 500).all()
    assert out[30, 30] == 2012  # a fifth of the difference


# What is refused.


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"noise_offset": 0.0}, "noise_offset is 0.0"),
        ({"noise_gain": -1.0}, "noise_gain is -1.0"),
        ({"still": 0.0}, "still is 0.0.* to 1.0"),
        ({"still": 1.5}, "still is 1.5"),
        ({"threshold": -0.1}, "threshold is -0.1"),
        ({"slope": float("inf")}, "slope is inf"),
        ({"ghosting_limit": float("nan")}, "ghosting_limit is nan"),
    ],
    ids=str,
)
def test_settings_out_of_range_raise(changed, message):
    with pytest.raises(ValueError, match=message):
        settings_for(12, **changed)


@pytest.mark.parametrize(
    ("shape", "bits", "message"),
    [((0, 5), 12, "rows is 0"), ((5, 65536), 12, "columns is 65536"), ((5, 5), 17, "bits_stored is 17")],
)
def test_a_plan_out_of_range_raises(shape, bits, message):
    with pytest.raises(ValueError, match=message):
        TemporalFilter(shape, bits, settings_for(12))


PIXELS = np.zeros((6, 8), dtype=np.uint16)


@pytest.mark.parametrize(
    ("pixels", "out", "message"),
    [
        (PIXELS[:5], PIXELS.copy(), r"\(5, 8\): this plan was made for \(6, 8\)"),
        (PIXELS.astype(np.uint8), np.zeros((6, 8), np.uint8), "uint8 but bits_stored is 12"),
        (PIXELS.astype(np.float32), PIXELS.copy(), "float32"),
        (PIXELS, np.zeros((6, 8), np.uint8), r"out is uint8 \(6, 8\): expected contiguous uint16 \(6, 8\)"),
        (PIXELS, np.zeros((6, 9), np.uint16), r"out is uint16 \(6, 9\)"),
        (PIXELS, np.zeros((6, 9), np.uint16)[:, :8], "expected contiguous"),
        (PIXELS, PIXELS, "out shares memory with pixels"),
    ],
    ids=["rows", "uint8", "float", "out type", "out shape", "out strides", "in place"],
)
def test_arrays_that_do_not_fit_the_plan_raise(pixels, out, message):
    with pytest.raises(ValueError, match=message):
        TemporalFilter((6, 8), 12, settings_for(12))(pixels, out)


def test_an_output_overlapping_a_strided_frame_raises():
    memory = np.zeros((12, 8), np.uint16)
    for pixels in (memory[::2], memory[10::-2]):
        with pytest.raises(ValueError, match="out shares memory with pixels"):
            TemporalFilter((6, 8), 12, settings_for(12))(pixels, memory[5:11])


def test_a_read_only_output_is_refused():
    locked = np.zeros((6, 8), np.uint16)
    locked.flags.writeable = False
    with pytest.raises(TypeError):
        TemporalFilter((6, 8), 12, settings_for(12))(PIXELS, locked)
