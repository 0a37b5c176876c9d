"""Mask subtraction: the C++ twin against the reference, the reference against SciPy and DICOM's words, and refusals.

Tolerance: tests/kernels/subtraction_agreement.py; at most 1 stored value, and only where the exact value lies within
float32's rounding of a half.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from cathrt.kernels._kernels import MaskSubtraction, SubtractionSettings
from cathrt.kernels.reference import subtraction as reference
from tests.kernels.subtraction_agreement import (
    EXACT,
    EXACT_SHIFTS,
    angiogram,
    assert_agrees,
    assert_equal,
    settings_for,
    shifts_for,
)

RELATIONSHIPS = ["LIN", "LOG"]


def check(frames, bits, shifts, chosen):
    *masks, live = frames
    twin = MaskSubtraction(live.shape, bits, chosen)
    for frame in masks:
        twin.add_mask_frame(frame)
    for shift in shifts:
        out = np.full(live.shape, 43981, np.uint16)
        twin(live, out, shift)
        assert_agrees(masks, live, bits, shift, out, chosen)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (2, 2), (97, 31), (64, 1025), (512, 512)], ids=str)
@pytest.mark.parametrize("relationship", RELATIONSHIPS)
def test_any_size_and_shift_agrees_with_the_reference(shape, relationship):
    frames = angiogram(np.random.default_rng(sum(shape)), shape, np.uint16, 3)
    check(frames, 12, shifts_for(shape), settings_for(12, relationship))


@pytest.mark.parametrize("bits", range(8, 17))
@pytest.mark.parametrize("relationship", RELATIONSHIPS)
def test_dirty_high_bits_are_masked_at_every_depth(bits, relationship):
    frames = angiogram(np.random.default_rng(bits), (61, 77), np.uint16, 2)
    check(frames, bits, [(0.25, -0.5)], settings_for(bits, relationship, bits_out=bits))


@pytest.mark.parametrize("bits", [1, 5, 8])
@pytest.mark.parametrize("relationship", RELATIONSHIPS)
def test_eight_bit_pixels_agree_with_the_reference(bits, relationship):
    frames = angiogram(np.random.default_rng(bits), (61, 77), np.uint8, 2)
    check(frames, bits, [(0.25, -0.5)], settings_for(bits, relationship))


@pytest.mark.parametrize("relationship", RELATIONSHIPS)
def test_rows_may_have_any_stride(relationship):
    whole = angiogram(np.random.default_rng(3), (150, 200), np.uint16, 2)
    for cut in [np.s_[::3], np.s_[5:133, 17:150], np.s_[::-1]]:
        check([frame[cut] for frame in whole], 12, [(-1.5, 0.75)], settings_for(12, relationship))


@pytest.mark.parametrize(
    "chosen",
    [
        ("LOG", 0.0, 77.4, 8),
        ("LOG", -3.0, 500.0, 10),
        ("LIN", -1000.0, 2048.0, 12),
        ("LOG", 1000.0, -1e6, 16),
        ("LIN", 1.0, 0.0, 1),
    ],
    ids=["no gain", "negative", "negative logarithm", "steep", "one bit"],
)
def test_extreme_settings_agree_with_the_reference(chosen):
    frames = angiogram(np.random.default_rng(4), (50, 60), np.uint16, 3)
    check(frames, 10, [(0.3, 0.6)], SubtractionSettings(*chosen))


@pytest.mark.parametrize("shift", EXACT_SHIFTS, ids=str)
@pytest.mark.parametrize(("dtype", "bits"), [(np.uint8, 8), (np.uint16, 12)])
def test_halves_go_up_and_nothing_else_is_rounded(dtype, bits, shift):
    *masks, live = angiogram(np.random.default_rng(bits), (43, 61), dtype, 2)
    twin = MaskSubtraction(live.shape, bits, EXACT)
    for mask in masks:
        twin.add_mask_frame(mask)
    out = np.full(live.shape, 43981, np.uint16)
    twin(live, out, shift)
    assert_equal(masks, live, bits, shift, out, EXACT)
    assert bits < 12 or {0, 255} <= set(out.ravel().tolist())


def test_the_mean_of_256_frames_of_16_bits_is_exact():
    frames = [np.full((3, 4), value, np.uint16) for value in (*([65535] * 255), 65279)]
    twin = MaskSubtraction((3, 4), 16, SubtractionSettings("LOG", 1.0, 65534.0, 16))
    for frame in frames:
        twin.add_mask_frame(frame)
    out = np.zeros((3, 4), np.uint16)
    twin(np.full((3, 4), 1, np.uint16), out)
    assert (out == 1).all()  # the mean is 65534


def test_a_plan_used_again_remembers_nothing_of_the_mask_before():
    frames = angiogram(np.random.default_rng(5), (30, 40), np.uint16, 2)
    twin = MaskSubtraction((30, 40), 12, settings_for(12, "LIN"))
    twin.add_mask_frame(frames[0])
    twin.reset()
    with pytest.raises(ValueError, match=r"the mask has no frame: call add_mask_frame\(\)"):
        twin(frames[2], np.zeros((30, 40), np.uint16))
    twin.add_mask_frame(frames[1])
    out = np.zeros((30, 40), np.uint16)
    twin(frames[2], out)
    assert_agrees(frames[1:2], frames[2], 12, (0.0, 0.0), out, settings_for(12, "LIN"))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_frames_shifts_and_settings_agree_with_the_reference(data):
    shape = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 70)))
    bits = data.draw(st.integers(1, 16))
    dtype = np.uint8 if bits <= 8 and data.draw(st.booleans()) else np.uint16
    frames = angiogram(
        np.random.default_rng(data.draw(st.integers(0, 2**32 - 1))), shape, dtype, data.draw(st.integers(1, 4))
    )
    shift = data.draw(st.tuples(st.floats(-100, 100), st.floats(-100, 100)))
    check(
        frames,
        bits,
        [shift],
        settings_for(bits, data.draw(st.sampled_from(RELATIONSHIPS)), data.draw(st.integers(1, 12))),
    )


# The reference itself.


@pytest.mark.parametrize("shift", [*shifts_for((23, 31))[:-1], (60.0, -50.25)], ids=str)
def test_the_shift_is_scipys_linear_interpolation_with_edges_going_on(shift):
    mask = np.random.default_rng(6).normal(size=(23, 31))
    expected = scipy.ndimage.shift(mask, shift, order=1, mode="nearest")
    np.testing.assert_allclose(reference.shifted(mask, shift), expected, atol=1e-9)


def test_a_positive_shift_moves_the_mask_down_and_right():
    mask = np.zeros((5, 6))
    mask[1, 2] = 8.0
    moved = reference.shifted(mask, (2.0, 1.25))
    assert moved[3, 3] == 6.0
    assert moved[3, 4] == 2.0
    assert moved.sum() == 8.0


def test_what_did_not_change_vanishes_and_a_vessel_shows_whatever_the_tissue_before_it():
    tissue = np.array([[40, 400, 4000]], np.uint16)
    vessel = np.rint((tissue + 1.0) * 0.5 - 1.0).astype(np.uint16)  # lets half of the intensity through
    twin = MaskSubtraction((1, 3), 12, SubtractionSettings("LIN", 1000.0, 2000.0, 12))
    twin.add_mask_frame(tissue)
    out = np.zeros((1, 3), np.uint16)
    twin(tissue, out)
    assert (out == 2000).all()
    twin(vessel, out)
    np.testing.assert_allclose(out, 2000 + 1000 * np.log(0.5), atol=25)  # vessels are dark


# What is refused.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("DISP", 1.0, 0.0, 12), "pixel_intensity_relationship is DISP: expected LIN or LOG"),
        (("LIN", float("nan"), 0.0, 12), "gain, offset are nan"),
        (("LIN", 1.0, 1e9, 12), "expected magnitudes of at most 1e6"),
        (("LOG", 1.0, 0.0, 0), "bits_out is 0: expected 1 to 16"),
        (("LOG", 1.0, 0.0, 17), "bits_out is 17"),
    ],
)
def test_settings_out_of_range_raise(arguments, message):
    with pytest.raises(ValueError, match=message):
        SubtractionSettings(*arguments)


@pytest.mark.parametrize(
    ("shape", "bits", "message"),
    [((0, 5), 12, "rows is 0"), ((5, 65536), 12, "columns is 65536"), ((5, 5), 0, "bits_stored is 0")],
)
def test_a_plan_out_of_range_raises(shape, bits, message):
    with pytest.raises(ValueError, match=message):
        MaskSubtraction(shape, bits, settings_for(12, "LOG"))


PIXELS = np.zeros((6, 8), dtype=np.uint16)


def with_mask() -> MaskSubtraction:
    twin = MaskSubtraction((6, 8), 12, settings_for(12, "LOG"))
    twin.add_mask_frame(PIXELS)
    return twin


@pytest.mark.parametrize(
    ("pixels", "out", "message"),
    [
        (PIXELS[:5], PIXELS.copy(), r"\(5, 8\): this plan was made for \(6, 8\)"),
        (PIXELS.astype(np.uint8), PIXELS.copy(), "uint8 but bits_stored is 12"),
        (PIXELS, np.zeros((6, 8), np.uint8), r"out is uint8 \(6, 8\): expected contiguous uint16 \(6, 8\)"),
        (PIXELS, np.zeros((6, 9), np.uint16)[:, :8], "expected contiguous"),
        (PIXELS, PIXELS, "out shares memory with pixels"),
    ],
    ids=["rows", "uint8", "out type", "out strides", "in place"],
)
def test_arrays_that_do_not_fit_the_plan_raise(pixels, out, message):
    with pytest.raises(ValueError, match=message):
        with_mask()(pixels, out)


@pytest.mark.parametrize("shift", [(float("nan"), 0.0), (0.0, float("inf"))])
def test_a_shift_that_is_not_finite_raises(shift):
    with pytest.raises(ValueError, match="expected finite pixels"):
        with_mask()(PIXELS, PIXELS.copy(), shift)


def test_a_mask_frame_of_another_size_or_too_many_raise():
    twin = MaskSubtraction((1, 1), 12, settings_for(12, "LOG"))
    with pytest.raises(ValueError, match=r"this plan was made for \(1, 1\)"):
        twin.add_mask_frame(PIXELS)
    for _ in range(256):
        twin.add_mask_frame(PIXELS[:1, :1])
    with pytest.raises(ValueError, match="256 frames already"):
        twin.add_mask_frame(PIXELS[:1, :1])
