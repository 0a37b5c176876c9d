"""What the compiled module refuses, and that the message says what was found and what was expected."""

from __future__ import annotations

import numpy as np
import pytest

from cathrt.kernels._kernels import History, Ingest, TensorLayout, Window, histogram, percentile_values

LAYOUT = TensorLayout(4, 5, False, (0.5,) * 3, (0.25,) * 3, 0.0)
WINDOW = Window.percentile(1, 99, False, False)
PIXELS = np.zeros((6, 8), dtype=np.uint16)


def out() -> np.ndarray:
    return np.zeros((1, 3, 4, 5), dtype=np.float32)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (PIXELS.astype(np.int16), r"int16 \(6, 8\): expected uint8 or uint16"),
        (PIXELS.astype(np.float32), "float32"),
        (PIXELS[0], r"uint16 \(8\)"),
        (np.zeros((8, 6), dtype=np.uint16).T, "8 elements|6 elements|elements apart"),
        (np.zeros((6, 16), dtype=np.uint16)[:, ::2], "2 elements apart.*ascontiguousarray"),
        (np.zeros((6, 9), dtype=np.uint16), r"\(6, 9\): this plan was made for \(6, 8\)"),
        (PIXELS.astype(np.uint8), "uint8 but bits_stored is 12"),
    ],
)
def test_pixels_that_do_not_fit_the_plan_raise(pixels, message):
    with pytest.raises(ValueError, match=message):
        Ingest((6, 8), 12, None, WINDOW, LAYOUT)(pixels, out())


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((1, 3, 4, 5)),
        np.zeros((3, 4, 5), dtype=np.float32),
        np.zeros((1, 4, 5, 3), dtype=np.float32),
        np.zeros((1, 3, 4, 10), dtype=np.float32)[..., ::2],
    ],
    ids=["float64", "three axes", "NHWC", "strided"],
)
def test_an_output_that_does_not_fit_raises_and_is_left_alone(wrong):
    with pytest.raises(ValueError, match=r"expected contiguous float32 \(1, 3, 4, 5\)"):
        Ingest((6, 8), 12, None, WINDOW, LAYOUT)(PIXELS, wrong)
    assert not wrong.any()


@pytest.mark.parametrize("element", ["float16", "int8"])
def test_an_output_of_another_element_type_raises(element):
    layout = TensorLayout(4, 5, False, (0.5,) * 3, (0.25,) * 3, 0.0, element)
    with pytest.raises(ValueError, match=rf"out is float32 .*: expected contiguous {element} \(1, 3, 4, 5\)"):
        Ingest((6, 8), 12, None, WINDOW, layout)(PIXELS, out())
    assert Ingest((6, 8), 12, None, WINDOW, layout)(PIXELS, out().astype(element))


def test_a_read_only_output_is_refused():
    locked = out()
    locked.flags.writeable = False
    with pytest.raises(TypeError):
        Ingest((6, 8), 12, None, WINDOW, LAYOUT)(PIXELS, locked)


def test_read_only_pixels_are_accepted_and_unchanged():
    pixels = np.arange(48, dtype=np.uint16).reshape(6, 8)
    pixels.flags.writeable = False
    before = pixels.copy()
    assert Ingest((6, 8), 12, None, WINDOW, LAYOUT)(pixels, out())
    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize(
    "exposed",
    [
        np.zeros((5, 2), dtype=np.int32),
        np.zeros((6, 2), dtype=np.int64),
        np.tile(np.array([[-1, 4]], dtype=np.int32), (6, 1)),
        np.tile(np.array([[0, 9]], dtype=np.int32), (6, 1)),
        np.tile(np.array([[5, 4]], dtype=np.int32), (6, 1)),
        np.zeros((2, 6), dtype=np.int32).T,
    ],
    ids=["too few rows", "int64", "negative", "beyond the last column", "stop before start", "not contiguous"],
)
def test_spans_that_do_not_fit_raise(exposed):
    for call in (
        lambda: Ingest((6, 8), 12, exposed, WINDOW, LAYOUT),
        lambda: histogram(PIXELS, 12, exposed),
        lambda: percentile_values(PIXELS, 12, 1, 99, exposed),
    ):
        with pytest.raises(ValueError, match="expected"):
            call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: Ingest((0, 8), 12, None, WINDOW, LAYOUT),
        lambda: Ingest((6, 65536), 12, None, WINDOW, LAYOUT),
        lambda: Ingest((6, 8), 17, None, WINDOW, LAYOUT),
        lambda: Ingest((6, 8), 0, None, WINDOW, LAYOUT),
        lambda: Ingest((6, 8), 12, None, Window.table(np.zeros(4095, dtype=np.float32), False), LAYOUT),
        lambda: Window.table(np.array([0, np.nan], dtype=np.float32), False),
        lambda: Window.table(np.array([0, np.inf], dtype=np.float32), False),
        lambda: Window.table_percentile(1, 99, np.array([0, 1e-30], dtype=np.float32), False),
        lambda: Window.table(np.zeros(4), False),
        lambda: Window.linear(0.0, float("inf"), 0.0, False),
        lambda: Window.percentile(99, 1, False, False),
        lambda: Window.percentile(-1, 99, False, False),
        lambda: Window.percentile(float("nan"), 99, False, False),
        lambda: TensorLayout(0, 5, False, (0.0,) * 3, (1.0,) * 3, 0.0),
        lambda: TensorLayout(4, 5, False, (0.0,) * 3, (1.0, 1.0, 0.0), 0.0),
        lambda: TensorLayout(4, 5, False, (0.0, float("nan"), 0.0), (1.0,) * 3, 0.0),
        lambda: TensorLayout(4, 5, False, (0.0,) * 3, (1.0,) * 3, 1.5),
        lambda: TensorLayout(4, 5, False, (0.0,) * 3, (1.0,) * 3, 0.0, "uint8"),
        lambda: TensorLayout(4, 5, False, (0.0,) * 3, (1.0,) * 3, 0.0, "float32", 0.5),
        lambda: TensorLayout(4, 5, False, (0.0,) * 3, (1.0,) * 3, 0.0, "int8", 0.0),
        lambda: TensorLayout(4, 5, False, (0.0,) * 3, (1.0,) * 3, 0.0, "int8", float("nan")),
        lambda: TensorLayout(4, 5, False, (0.0,) * 3, (1e-5,) * 3, 0.0, "float16"),
    ],
)
def test_a_plan_out_of_range_raises(call):
    with pytest.raises(ValueError, match="expected"):
        call()


SHOWN = ("grey", "contrast", "change")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((("grey",) * 3, 0.1, 0.2, 0.3), "all three channels are grey: expected one at least .* leave history out"),
        ((("grey", "Change", "grey"), 0.1, 0.2, 0.3), "a channel is 'Change': expected grey, contrast or change"),
        ((("grey", "change"), 0.1, 0.2, 0.3), "there are 2 channels: expected 3, each grey, contrast or change"),
        ((("change",) * 4, 0.1, 0.2, 0.3), "there are 4 channels: expected 3"),
        ((SHOWN, 0.0, 0.2, 0.3), "rise is 0.000000: expected the weight of one frame, above 0 and at most 1"),
        ((SHOWN, 0.1, 1.0001, 0.3), "fall is 1.000100: expected the weight of one frame, above 0 and at most 1"),
        ((SHOWN, 0.1, 0.2, -0.3), "recent is -0.300000: expected the weight of one frame"),
        ((SHOWN, float("nan"), 0.2, 0.3), "rise is nan: expected the weight of one frame"),
        ((SHOWN, 0.1, float("inf"), 0.3), "fall is inf: expected the weight of one frame"),
    ],
    ids=str,
)
def test_a_history_out_of_range_raises(arguments, message):
    with pytest.raises(ValueError, match=message):
        History(*arguments)


def test_channels_that_are_no_names_are_refused():
    for channels in ("grey", (0, 1, 2), None):
        with pytest.raises(TypeError, match="channels"):
            History(channels, 0.1, 0.2, 0.3)


def test_float16_must_hold_the_largest_difference_too():
    # (1 - 0.5) / std and (0 - 0.5) / std fit, (-1 - 0.5) / std does not
    layout = (4, 5, False, (0.5,) * 3, (1e-5,) * 3, 0.0, "float16")
    assert TensorLayout(*layout).history is None
    with pytest.raises(ValueError, match=r"of channel 1 are .*: expected \(difference - mean\) / std within 65504"):
        TensorLayout(*layout, history=History(SHOWN, 0.1, 0.2, 0.3))


def test_an_odd_address_is_refused():
    raw = np.zeros(6 * 8 * 2 + 1, dtype=np.uint8)
    with pytest.raises((ValueError, TypeError)):
        Ingest((6, 8), 12, None, WINDOW, LAYOUT)(raw[1:].view(np.uint16).reshape(6, 8), out())


def test_percentiles_of_nothing_are_none():
    assert percentile_values(PIXELS, 12, 1, 99, np.zeros((6, 2), dtype=np.int32)) is None
