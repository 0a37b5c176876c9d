"""Ingest of a run whose channels show contrast and change: the C++ kernel against kernels/reference/ingest.py.

Tolerance 2e-5, twice that of one frame (test_parity.py): a difference has the errors of two greys. The memory is
rounded to float32 with every frame; over a long run that adds up to about 2**-25 / w of grey, w being the least weight.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cathrt.kernels._kernels import History, Ingest, TensorLayout, Window
from cathrt.kernels.reference import ingest as reference
from tests.kernels.test_parity import (
    MEAN,
    STD,
    Plan,
    assert_close,
    exposures,
    grey_of,
    ingest_of,
    noise,
    percentile_plan,
    tensor_of,
)

TOLERANCE = 2e-5
SHOWN = ("grey", "contrast", "change")
HISTORY = History(SHOWN, 0.03, 0.6, 0.35)


def moving_run(shape: tuple[int, int], dtype: Any, frames: int, bits: int = 12) -> list[NDArray[Any]]:
    """Still anatomy, a dark line that wanders and fades, and noise."""
    rng = np.random.default_rng(sum(shape) + frames)
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    top = (1 << bits) - 1
    run = []
    for number in range(frames):
        line = np.exp(-(((y - shape[0] * (0.2 + 0.6 * number / frames) - 0.1 * x) / 3.0) ** 2))
        level = 0.5 + 0.3 * np.sin(x / 40.0) - 0.4 * line * np.cos(number / 3.0) ** 2
        run.append((level * top + rng.normal(0, 0.02 * top, shape)).clip(0, top).astype(dtype))
    return run


def reference_of(history: History | None) -> reference.History:
    assert history is not None
    return reference.History(history.channels, history.rise, history.fall, history.recent)


def assert_run_parity(run: list[NDArray[Any]], plan: Plan, tolerance: float = TOLERANCE) -> None:
    ingest, remembered, out = ingest_of(run[0], plan), reference_of(plan.history), tensor_of(plan)
    for pixels in run:
        shown = ingest(pixels, out)
        assert shown == reference.exposed_mask(plan.exposed, pixels.shape).any()
        quantities = remembered(grey_of(pixels, plan), shown=shown)
        expected = reference.normalise(quantities, MEAN, STD, channels_last=plan.channels_last)
        assert_close(out, expected, plan.scale, tolerance)


@pytest.mark.parametrize(("dtype", "bits"), [(np.uint8, 8), (np.uint8, 6), (np.uint16, 12), (np.uint16, 16)])
@pytest.mark.parametrize("element", ["float32", "float16", "int8"])
@pytest.mark.parametrize("channels_last", [False, True], ids=["NCHW", "NHWC"])
def test_every_frame_of_a_run_agrees_with_the_reference(dtype, bits, element, channels_last):
    plan = percentile_plan(
        bits,
        size=(33, 47),
        channels_last=channels_last,
        element=element,
        scale=0.019 if element == "int8" else 1.0,
        history=HISTORY,
    )
    assert_run_parity(moving_run((211, 150), dtype, 8, bits), plan)


@pytest.mark.parametrize("shape", [(512, 512), (1024, 1024), (1, 1), (97, 31)], ids=str)
def test_runs_of_any_size_agree_with_the_reference(shape):
    assert_run_parity(moving_run(shape, np.uint16, 4), percentile_plan(12, size=(224, 224), history=HISTORY))


@pytest.mark.parametrize("name", exposures(3, 3))
@pytest.mark.parametrize("invert", [False, True], ids=["MONOCHROME2", "MONOCHROME1"])
def test_shutter_and_inversion_come_before_the_memory(name, invert):
    shape = (120, 150)
    plan = percentile_plan(12, exposed=exposures(*shape)[name], invert=invert, size=(40, 45), history=HISTORY)
    assert_run_parity(moving_run(shape, np.uint16, 5), plan)


@pytest.mark.parametrize("window", ["linear", "table"])
def test_windows_of_the_object_agree_with_the_reference(window):
    entries = np.random.default_rng(1).random(1 << 12).astype(np.float32)
    line = Plan(12, lambda v: np.clip((v - 2000.0) / 2048 + 0.5, 0.0, 1.0), Window.linear(2000.0, 1 / 2048, 0.5, False))
    table = Plan(12, lambda v: entries[v.astype(int)], Window.table(entries, False))
    plan = replace(line if window == "linear" else table, size=(40, 45), history=HISTORY)
    assert_run_parity(moving_run((120, 150), np.uint16, 5), plan)


@pytest.mark.parametrize(
    "channels",
    [
        ("contrast", "contrast", "contrast"),
        ("change", "grey", "contrast"),
        ("grey", "grey", "change"),
        ("contrast", "change", "grey"),
    ],
    ids=" ".join,
)
def test_any_channel_may_show_any_quantity(channels):
    plan = percentile_plan(12, size=(40, 45), history=History(channels, 0.2, 0.9, 0.5))
    assert_run_parity(moving_run((120, 150), np.uint16, 4), plan)


def test_a_long_run_with_a_slow_memory_stays_with_the_reference():
    weight = 2.0**-8
    plan = percentile_plan(12, size=(20, 24), history=History(SHOWN, weight, weight, weight))
    assert_run_parity(moving_run((60, 70), np.uint16, 300), plan, TOLERANCE + 2.0**-25 / weight / min(STD))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_run_any_weights_agree_with_the_reference(data):
    shape = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 60))
    bits = data.draw(st.integers(1, 16))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    run = [noise(rng, shape, np.uint8 if bits <= 8 else np.uint16) for _ in range(5)]
    exposed = None
    if data.draw(st.booleans()):
        exposed = np.sort(rng.integers(0, shape[1] + 1, (shape[0], 2)), axis=1).astype(np.int32)
    weight = st.floats(2.0**-6, 1.0, width=32)
    channels = data.draw(
        st.tuples(*[st.sampled_from(SHOWN)] * 3).filter(lambda names: any(name != "grey" for name in names))
    )
    plan = percentile_plan(
        bits,
        exposed=exposed,
        invert=data.draw(st.booleans()),
        size=data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40))),
        channels_last=data.draw(st.booleans()),
        history=History(channels, data.draw(weight), data.draw(weight), data.draw(weight)),
    )
    assert_run_parity(run, plan)


def planes(run: list[NDArray[Any]], ingest: Ingest) -> list[NDArray[np.float32]]:
    """Grey, contrast and change of each frame, (3, 40, 45), of a plan made by bare()."""
    outs = []
    for pixels in run:
        outs.append(np.full((1, 3, 40, 45), np.nan, dtype=np.float32))
        assert ingest(pixels, outs[-1])
    return [out[0] for out in outs]


def bare(history: History | None = HISTORY) -> Ingest:
    """(120, 150) to (40, 45) without mean and std: the tensor holds the quantities themselves."""
    layout = TensorLayout(40, 45, False, (0.0,) * 3, (1.0,) * 3, 0.0, history=history)
    return Ingest((120, 150), 12, None, Window.percentile(1, 99, False, False), layout)


def test_the_first_frame_has_no_contrast_and_no_change():
    first, second = planes(moving_run((120, 150), np.uint16, 2), bare())
    assert not first[1:].any()
    assert np.ptp(first[0]) > 0.5
    assert second[1].any()
    np.testing.assert_array_equal(second[1], second[2])  # both remember the first frame as it was


def test_grey_is_what_it_is_without_a_history_bit_for_bit():
    run = moving_run((120, 150), np.uint16, 4)
    for with_history, without in zip(planes(run, bare()), planes(run, bare(None)), strict=True):
        np.testing.assert_array_equal(with_history[0], without[0])
        np.testing.assert_array_equal(without[0], without[2])


def test_after_a_reset_the_run_begins_again():
    run = moving_run((120, 150), np.uint16, 3)
    ingest = bare()
    once = planes(run, ingest)
    on = planes(run, ingest)
    assert on[0][1].any()
    ingest.reset()
    np.testing.assert_array_equal(planes(run, ingest), once)


def test_a_reset_without_a_history_changes_nothing():
    run = moving_run((120, 150), np.uint16, 2)
    ingest = bare(None)
    once = planes(run, ingest)
    ingest.reset()
    np.testing.assert_array_equal(planes(run, ingest), once)


def test_two_plans_remember_apart():
    run = moving_run((120, 150), np.uint16, 3)
    one, other = bare(), bare()
    expected = planes(run, bare())
    for pixels, planned in zip(run, expected, strict=True):
        np.testing.assert_array_equal(planes([pixels], one)[0], planned)
        planes([run[0]], other)


def test_with_all_weights_one_contrast_and_change_are_to_the_frame_before():
    frames = planes(moving_run((120, 150), np.uint16, 4), bare(History(SHOWN, 1.0, 1.0, 1.0)))
    for before, after in pairwise(frames):
        np.testing.assert_allclose(after[1], after[0] - before[0], rtol=0, atol=2.0**-22)
        np.testing.assert_array_equal(after[1], after[2])


def test_the_background_rises_and_falls_with_weights_of_its_own():
    layout = TensorLayout(1, 2, False, (0.0,) * 3, (1.0,) * 3, 0.0, history=History(SHOWN, 0.25, 0.5, 1.0))
    ingest = Ingest((1, 2), 8, None, Window.linear(0.0, 2.0**-8, 0.0, False), layout)
    out = np.zeros((1, 3, 1, 2), dtype=np.float32)
    contrasts = []
    for stored in ([64, 64], [128, 0], [128, 0]):
        ingest(np.array([stored], dtype=np.uint8), out)
        contrasts.append((256 * out[0, 1, 0]).tolist())
    assert contrasts == [[0, 0], [64, -64], [48, -32]]


@pytest.mark.parametrize("element", ["float32", "float16", "int8"])
@pytest.mark.parametrize("channels_last", [False, True], ids=["NCHW", "NHWC"])
def test_where_nothing_is_exposed_differences_are_zero_and_nothing_is_remembered(element, channels_last):
    plan = percentile_plan(
        12,
        exposed=np.full((120, 2), 7, dtype=np.int32),
        size=(40, 45),
        channels_last=channels_last,
        element=element,
        scale=0.019 if element == "int8" else 1.0,
        history=HISTORY,
    )
    run = moving_run((120, 150), np.uint16, 3)
    assert_run_parity(run, plan)
    ingest, out = ingest_of(run[0], plan), tensor_of(plan)
    quantities = np.zeros((3, 40, 45))
    quantities[0] = plan.masked_value
    for pixels in run:
        assert not ingest(pixels, out)
        expected = reference.normalise(quantities, MEAN, STD, channels_last=channels_last)
        assert_close(out, expected, plan.scale, 1e-6)


def test_the_reference_follows_its_formula():
    history = reference.History(("change", "grey", "contrast"), rise=0.25, fall=0.5, recent=0.125)
    grey = [np.array([[x]]) for x in (0.5, 1.0, 0.25)]
    told = [history(x)[:, 0, 0].tolist() for x in grey]
    # b: 0.5, 0.5, 0.625; m: 0.5, 0.5, 0.5625
    assert told == [[0.0, 0.5, 0.0], [0.5, 1.0, 0.5], [-0.3125, 0.25, -0.375]]
    assert history.background == 0.4375
    assert history.mean == 0.5234375
    history(np.array([[9.0]]), shown=False)
    assert (history.background, history.mean) == (0.4375, 0.5234375)
    history.reset()
    assert history(np.array([[0.75]]), shown=False)[:, 0, 0].tolist() == [0.0, 0.75, 0.0]
    assert history.background is None
    assert history(grey[0])[:, 0, 0].tolist() == [0.0, 0.5, 0.0]
