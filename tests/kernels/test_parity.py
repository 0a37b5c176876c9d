"""The C++ kernels against kernels/reference/ingest.py: every window, depth, stride and odd size.

Tolerance 1e-5 on the tensor (grey divided by std, so about 2e-6 of grey): float32 carries 24 bits, the window costs a
few units in the last place and the two weighted sums of a dozen terms a few more. float16 adds half a unit of its last
place; int8 is one step off at most, and only where the float value lies within the float tolerance of a tie. Counts and
percentiles are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cathrt.kernels._kernels import History, Ingest, TensorLayout, Window, histogram, percentile_values
from cathrt.kernels.reference import ingest as reference

TOLERANCE = 1e-5
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
SHOWN = ("grey", "contrast", "change")


@dataclass(frozen=True)
class Plan:
    """Everything of an ingest but the pixels; window is what reference.to_grey takes, kernel_window its twin."""

    bits: int
    window: Any
    kernel_window: Window
    modality: Any = None
    invert: bool = False
    exposed: NDArray[np.int32] | None = None
    size: tuple[int, int] = (224, 224)
    channels_last: bool = False
    masked_value: float = 0.25
    element: str = "float32"
    scale: float = 1.0
    history: History | None = None


def percentile_plan(bits: int, low: float = 1.0, high: float = 99.0, **more: Any) -> Plan:
    invert = more.get("invert", False)
    return Plan(bits, reference.Percentiles(low, high), Window.percentile(low, high, False, invert), **more)


def assert_parity(pixels: NDArray[Any], plan: Plan) -> None:
    shown = reference.exposed_mask(plan.exposed, pixels.shape).any()
    out = tensor_of(plan)
    assert ingest_of(pixels, plan)(pixels, out) == shown
    assert np.isfinite(out).all()
    expected = reference.normalise(grey_of(pixels, plan), MEAN, STD, channels_last=plan.channels_last)
    assert_close(out, expected, plan.scale)


def ingest_of(pixels: NDArray[Any], plan: Plan) -> Ingest:
    layout = TensorLayout(
        *plan.size,
        plan.channels_last,
        MEAN,
        STD,
        plan.masked_value,
        plan.element,
        plan.scale,
        history=plan.history,
    )
    return Ingest(pixels.shape, plan.bits, plan.exposed, plan.kernel_window, layout)


def tensor_of(plan: Plan) -> NDArray[Any]:
    height, width = plan.size
    return np.full((1, height, width, 3) if plan.channels_last else (1, 3, height, width), 77, dtype=plan.element)


def grey_of(pixels: NDArray[Any], plan: Plan) -> NDArray[np.float64]:
    """The reference's grey, in the size of the tensor."""
    grey = reference.to_grey(
        pixels,
        plan.bits,
        plan.modality,
        plan.window,
        invert=plan.invert,
        exposed=plan.exposed,
        masked_value=plan.masked_value,
    )
    return reference.resize(grey, *plan.size)


def assert_close(out: NDArray[Any], expected: NDArray[np.float64], scale: float, tolerance: float = TOLERANCE) -> None:
    """out is expected, up to the tolerance of float32, in out's element type."""
    if out.dtype == np.float32:
        assert np.abs(out - expected).max() <= tolerance
        return
    lowest, highest = (reference.as_element(expected + off, out.dtype.name, scale) for off in (-tolerance, tolerance))
    assert ((lowest <= out) & (out <= highest)).all()


def noise(rng: np.random.Generator, shape: tuple[int, int], dtype: Any) -> NDArray[Any]:
    """Every bit set at random, those beyond bits_stored too."""
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((1, 1), (224, 224)),
        ((1, 7), (3, 5)),
        ((7, 1), (1, 1)),
        ((224, 224), (224, 224)),
        ((97, 31), (224, 211)),
        ((1021, 509), (224, 224)),
        ((1024, 1024), (224, 224)),
        ((300, 1025), (9, 7)),
        ((513, 512), (512, 513)),
    ],
    ids=str,
)
@pytest.mark.parametrize("channels_last", [False, True], ids=["NCHW", "NHWC"])
def test_any_size_to_any_size_agrees_with_the_reference(shape, size, channels_last):
    rng = np.random.default_rng(sum(shape) + sum(size))
    assert_parity(noise(rng, shape, np.uint16), percentile_plan(12, size=size, channels_last=channels_last))


@pytest.mark.parametrize("bits", range(8, 17))
def test_dirty_high_bits_are_masked_at_every_depth(bits):
    pixels = noise(np.random.default_rng(bits), (211, 223), np.uint16)
    assert_parity(pixels, percentile_plan(bits))
    entries = np.random.default_rng(1).random(1 << bits).astype(np.float32)
    assert_parity(pixels, Plan(bits, lambda v: entries[v.astype(int)], Window.table(entries, False)))


@pytest.mark.parametrize("bits", [1, 5, 8])
def test_eight_bit_pixels_agree_with_the_reference(bits):
    assert_parity(noise(np.random.default_rng(bits), (512, 512), np.uint8), percentile_plan(bits))


@pytest.mark.parametrize("element", ["float16", "int8"])
@pytest.mark.parametrize("channels_last", [False, True], ids=["NCHW", "NHWC"])
@pytest.mark.parametrize("size", [(1, 1), (33, 17), (224, 224)], ids=str)
def test_every_element_type_is_the_reference_rounded(element, channels_last, size):
    scale = 0.019 if element == "int8" else 1.0
    plan = percentile_plan(12, size=size, channels_last=channels_last, element=element, scale=scale)
    assert_parity(noise(np.random.default_rng(8), (301, 203), np.uint16), plan)


def one_row_of_greys(greys: NDArray[np.float32], layout: TensorLayout) -> NDArray[Any]:
    """Each of at most 65536 greys through the kernel at the scale of 1: (3, greys)."""
    pixels = np.arange(len(greys), dtype=np.uint16)[None]
    entries = np.zeros(1 << 16, dtype=np.float32)
    entries[: len(greys)] = greys
    out = np.zeros((1, 3, 1, len(greys)), dtype=layout.element)
    assert Ingest(pixels.shape, 16, None, Window.table(entries, False), layout)(pixels, out)
    return out[0, :, 0]


def test_float16_is_rounded_to_the_nearest_and_ties_to_even_over_its_whole_range():
    halves = np.arange(0, np.float16(1).view(np.uint16) + 1, dtype=np.uint16).view(np.float16).astype(np.float32)
    ties = (halves[:-1] + halves[1:]) / 2  # exact in float32
    near = np.concatenate([np.nextafter(ties, np.float32(0)), np.nextafter(ties, np.float32(1))])
    for greys in (halves, ties, near[: len(ties)], near[len(ties) :]):
        # Every step is exact in float32: grey 1 becomes 1, 32768 and 2**-15, so that subnormal halves are among them.
        for std in (1.0, 2.0**-15, 2.0**15):
            layout = TensorLayout(1, len(greys), False, (0.0,) * 3, (std,) * 3, 0.0, "float16")
            expected = (greys.astype(np.float64) / std).astype(np.float16)
            np.testing.assert_array_equal(one_row_of_greys(greys, layout), np.tile(expected, (3, 1)))


def test_int8_rounds_ties_to_even_and_saturates():
    greys = (np.arange(1025) / 1024).astype(np.float32)
    # value / scale runs from -256 to 256 in steps of half: half of all values are ties.
    layout = TensorLayout(1, len(greys), False, (0.5,) * 3, (0.5,) * 3, 0.0, "int8", 2.0**-8)
    expected = np.clip(np.rint(np.arange(1025) / 2 - 256), -128, 127)
    np.testing.assert_array_equal(one_row_of_greys(greys, layout), np.tile(expected, (3, 1)))


def test_a_plans_parts_tell_what_they_were_made_with():
    layout = TensorLayout(4, 5, True, (0.5, 0.25, 0.0), (1.0, 2.0, 4.0), 0.75, "int8", 0.5)
    assert (layout.height, layout.width, layout.channels_last, layout.masked_value) == (4, 5, True, 0.75)
    assert (layout.mean, layout.std, layout.element, layout.scale) == ((0.5, 0.25, 0.0), (1.0, 2.0, 4.0), "int8", 0.5)
    assert layout.history is None
    history = TensorLayout(4, 5, True, MEAN, STD, 0.75, history=History(SHOWN, 0.125, 0.25, 1.0)).history
    assert history is not None
    assert (history.channels, history.rise, history.fall, history.recent) == (SHOWN, 0.125, 0.25, 1.0)
    entries = np.arange(4, dtype=np.float32)
    told = {
        "linear": (Window.linear(2.0, 0.5, 0.25, True), None, (2.0, 0.5, 0.25), None, False, True),
        "table": (Window.table(entries, False), entries, (0.0, 1.0, 0.0), None, False, False),
        "percentile": (Window.percentile(1, 99, True, False), None, None, (1.0, 99.0), True, False),
        "table_percentile": (Window.table_percentile(1, 99, entries, True), entries, None, (1.0, 99.0), False, True),
    }
    for window, table, line, percentiles, descending, invert in told.values():
        if table is None:
            assert window.entries is None
        else:
            np.testing.assert_array_equal(window.entries, table)
        assert (window.line, window.percentiles) == (line, percentiles)
        assert (window.descending, window.invert) == (descending, invert)


def strided_views() -> dict[str, NDArray[Any]]:
    whole = noise(np.random.default_rng(3), (300, 400), np.uint16)
    repeated = np.broadcast_to(whole[:1], (50, 400))
    return {
        "every third row": whole[::3],
        "a crop": whole[5:133, 17:300],
        "bottom up": whole[::-1],
        "one row": repeated,
    }


@pytest.mark.parametrize("name", strided_views())
def test_rows_may_have_any_stride(name):
    assert_parity(strided_views()[name], percentile_plan(12, size=(64, 64)))


def exposures(rows: int, columns: int) -> dict[str, NDArray[np.int32]]:
    y = (np.arange(rows) + 0.5 - rows / 2) / (rows / 2)
    half = np.sqrt(np.maximum(0.0, 1.0 - y * y)) * columns / 2
    circle = np.stack([columns / 2 - half, columns / 2 + half], axis=1).astype(np.int32)
    some_empty = circle.copy()
    some_empty[rows // 3 : rows // 2] = columns // 2
    none = np.full((rows, 2), columns, dtype=np.int32)
    one = np.zeros((rows, 2), dtype=np.int32)
    one[rows - 1] = (columns - 1, columns)
    whole = np.tile(np.array([[0, columns]], dtype=np.int32), (rows, 1))
    return {"circle": circle, "empty rows": some_empty, "nothing": none, "one pixel": one, "whole": whole}


@pytest.mark.parametrize("name", exposures(3, 3))
@pytest.mark.parametrize("invert", [False, True], ids=["MONOCHROME2", "MONOCHROME1"])
@pytest.mark.parametrize("shape", [(601, 700), (64, 1024)], ids=str)
def test_what_was_not_exposed_is_masked_and_left_out_of_the_statistics(name, invert, shape):
    rng = np.random.default_rng(5)
    exposed = exposures(*shape)[name]
    pixels = rng.normal(2000, 300, shape).clip(0, 4095).astype(np.uint16)
    pixels[~reference.exposed_mask(exposed, shape)] = 4095
    assert_parity(pixels, percentile_plan(12, exposed=exposed, invert=invert))


def test_unexposed_pixels_cannot_change_the_tensor():
    exposed = exposures(512, 512)["circle"]
    pixels = np.random.default_rng(6).integers(500, 1500, (512, 512)).astype(np.uint16)
    other = np.where(reference.exposed_mask(exposed, pixels.shape), pixels, 4095).astype(np.uint16)
    outs = np.zeros((2, 1, 3, 224, 224), dtype=np.float32)
    ingest = Ingest(
        pixels.shape, 12, exposed, Window.percentile(1, 99, False, False), TensorLayout(224, 224, False, MEAN, STD, 0.0)
    )
    assert ingest(pixels, outs[0])
    assert ingest(other, outs[1])
    np.testing.assert_array_equal(outs[0], outs[1])


def test_a_plan_used_again_remembers_nothing_of_the_frame_before():
    rng = np.random.default_rng(8)
    ingest = Ingest(
        (400, 400), 12, None, Window.percentile(1, 99, False, False), TensorLayout(224, 224, False, MEAN, STD, 0.0)
    )
    first, second, again = (np.zeros((1, 3, 224, 224), dtype=np.float32) for _ in range(3))
    frames = [rng.integers(0, high, (400, 400)).astype(np.uint16) for high in (4096, 300)]
    ingest(frames[0], first)
    ingest(frames[1], second)
    ingest(frames[0], again)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("invert", [False, True], ids=["MONOCHROME2", "MONOCHROME1"])
def test_a_flat_frame_is_zero_before_inversion(invert):
    pixels = np.full((300, 300), 777, dtype=np.uint16)
    plan = percentile_plan(12, invert=invert)
    assert_parity(pixels, plan)
    grey = reference.to_grey(pixels, 12, None, plan.window, invert=invert, exposed=None, masked_value=0.0)
    assert (grey == float(invert)).all()


def test_percentiles_of_a_modality_table_that_neither_rises_nor_falls():
    rng = np.random.default_rng(11)
    modality = (rng.permutation(1024) * 3.5 - 900).astype(np.float32)
    plan = Plan(
        10,
        reference.Percentiles(2.5, 97.5),
        Window.table_percentile(2.5, 97.5, modality, False),
        modality=lambda stored: reference.lookup(stored, 0, modality),
    )
    assert_parity(noise(rng, (401, 307), np.uint16), plan)


@pytest.mark.parametrize("slope", [-2.5, -1.0, 0.5])
def test_percentiles_under_a_rescale_whatever_its_sign(slope):
    plan = Plan(
        12,
        reference.Percentiles(0.5, 90.0),
        Window.percentile(0.5, 90.0, slope < 0, False),
        modality=lambda stored: reference.rescale(stored, slope, 100.0),
    )
    assert_parity(np.random.default_rng(12).normal(1800, 400, (512, 512)).clip(0, 4095).astype(np.uint16), plan)


# Frames that mislead a sample or fill its brackets: exact answers must come all the same.
def deceptive_frames() -> dict[str, NDArray[np.uint16]]:
    rng = np.random.default_rng(13)
    smooth = np.add.outer(np.arange(512), np.arange(512)).astype(np.uint16)
    sampled_differ = smooth.copy()
    sampled_differ[2::4] = 4095  # the very rows a sample of every fourth row would see
    dark_border = smooth + 1000
    dark_border[:, 0] = 0
    saturated = np.where(rng.random((512, 512)) < 0.4, 0, 4095).astype(np.uint16)
    two_values = np.where(rng.random((512, 512)) < 0.005, 7, 8).astype(np.uint16)
    everything = rng.permutation(512 * 512).reshape(512, 512).astype(np.uint16)
    extremes = rng.choice(np.array([0, 1, 65534, 65535], dtype=np.uint16), (512, 512))
    return {
        "ramp": smooth,
        "sampled rows differ": sampled_differ,
        "dark border": dark_border,
        "saturated": saturated,
        "two values": two_values,
        "every value": everything,
        "extremes": extremes,
    }


@pytest.mark.parametrize("name", deceptive_frames())
@pytest.mark.parametrize("percentiles", [(0.0, 100.0), (0.5, 99.5), (49.0, 51.0), (10.0, 10.001)], ids=str)
@pytest.mark.parametrize("bits", [12, 16])
def test_percentiles_are_exact_on_frames_that_mislead_a_sample(name, percentiles, bits):
    pixels = deceptive_frames()[name]
    stored = reference.stored_values(pixels, bits).ravel().astype(np.float64)
    expected = reference.percentile_limits(stored, reference.Percentiles(*percentiles))
    assert percentile_values(pixels, bits, *percentiles) == expected


def changing_runs() -> dict[str, list[NDArray[np.uint16]]]:
    """Frames large enough to be bracketed, whose percentiles the last frame foretells well, badly or not at all."""
    rng = np.random.default_rng(21)
    still = rng.normal(2000, 300, (256, 256))
    flat = np.full((256, 256), 700.0)
    return {
        "noise": [still + rng.normal(0, 2, still.shape) for _ in range(6)],
        "drift": [still + 3 * number for number in range(6)],
        "jumps": [still * (1.0 if number % 2 else 0.25) for number in range(6)],
        "still, then one off": [*[still] * 4, still + 1, still],
        "flat in between": [still, flat, flat, still, flat],
        "clipped at both ends": [(still - 2000) * 20 * number + 2000 for number in range(1, 7)],
    }


@pytest.mark.parametrize("name", changing_runs())
@pytest.mark.parametrize("descending", [False, True], ids=["rising", "falling"])
def test_a_plan_that_remembers_the_last_frame_is_exact_for_every_frame(name, descending):
    layout = TensorLayout(32, 32, False, MEAN, STD, 0.0)
    ingest = Ingest((256, 256), 12, None, Window.percentile(0.5, 99.5, descending, False), layout)
    out = np.zeros((1, 3, 32, 32), dtype=np.float32)
    for frame in changing_runs()[name]:
        pixels = np.rint(frame).clip(0, 4095).astype(np.uint16)
        assert ingest(pixels, out)
        modality = partial(reference.rescale, slope=-1.0 if descending else 1.0, intercept=0.0)
        grey = reference.to_grey(
            pixels, 12, modality, reference.Percentiles(0.5, 99.5), invert=False, exposed=None, masked_value=0.0
        )
        expected = reference.normalise(reference.resize(grey, 32, 32), MEAN, STD, channels_last=False)
        assert np.abs(out - expected).max() <= TOLERANCE


@pytest.mark.parametrize(
    ("origin", "slope", "intercept"),
    [
        (60000.0, 0.1, 0.5),  # narrow and far from zero
        (2000.0, 4.0, 0.25),
        (2000.0, -1000.0, 0.5),
        (2000.0, 1e9, 0.0),  # thresholds
        (0.0, 1e9, 1e9),
        (1e9, 1e-9, 0.75),
        (0.0, 0.0, 0.375),  # no slope at all
        (0.0, 1e-30, 5.0),
        (-3e6, 1e-4, -300.0),
        (30000.0, 1 / 65535, 0.5),
    ],
)
@pytest.mark.parametrize("exposed", [None, np.tile(np.array([[7, 60]], dtype=np.int32), (70, 1))], ids=["all", "part"])
def test_any_line_is_followed_however_steep_or_far(origin, slope, intercept, exposed):
    constants = np.array([origin, slope, intercept], dtype=np.float32).astype(np.float64)
    pixels = noise(np.random.default_rng(31), (70, 97), np.uint16)
    pixels[:40] = np.random.default_rng(32).normal(abs(origin), 5, (40, 97)).clip(0, 65535).astype(np.uint16)
    plan = Plan(
        16,
        lambda stored: np.clip((stored - constants[0]) * constants[1] + constants[2], 0.0, 1.0),
        Window.linear(origin, slope, intercept, True),
        invert=True,
        exposed=exposed,
        size=(20, 24),
    )
    assert_parity(pixels, plan)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_frame_any_spans_any_percentiles_agree_with_the_reference(data):
    rows, columns = data.draw(st.integers(1, 90)), data.draw(st.integers(1, 90))
    bits = data.draw(st.integers(1, 16))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    pixels = noise(rng, (rows, columns), np.uint8 if bits <= 8 and data.draw(st.booleans()) else np.uint16)
    if data.draw(st.booleans()):
        pixels &= pixels.dtype.type(data.draw(st.integers(0, 255)))
    exposed = None
    if data.draw(st.booleans()):
        exposed = np.sort(rng.integers(0, columns + 1, (rows, 2)), axis=1).astype(np.int32)
    low = data.draw(st.floats(0.0, 99.0))
    high = data.draw(st.floats(low + 0.5, 100.0))
    size = data.draw(st.tuples(st.integers(1, 64), st.integers(1, 64)))
    invert = data.draw(st.booleans())
    assert_parity(pixels, percentile_plan(bits, low, high, exposed=exposed, size=size, invert=invert))
    counts = np.bincount(
        reference.stored_values(pixels, bits)[reference.exposed_mask(exposed, pixels.shape)], minlength=1 << bits
    )
    np.testing.assert_array_equal(histogram(pixels, bits, exposed), counts)
