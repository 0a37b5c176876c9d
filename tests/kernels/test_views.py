"""One plan for frames that are looked at differently: each view is its own plan's picture, and all share one memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.kernels._kernels import Ingest, TensorLayout, Window
from cathrt.kernels.reference import ingest as reference
from tests.kernels.test_history import HISTORY, TOLERANCE, moving_run, reference_of
from tests.kernels.test_parity import MEAN, STD, Plan, assert_close, grey_of, ingest_of, percentile_plan, tensor_of

SHAPE = (97, 120)
ENTRIES = np.random.default_rng(2).random(1 << 12).astype(np.float32)
LEFT = np.tile(np.array([[0, 70]], np.int32), (97, 1))
MIDDLE = np.tile(np.array([[20, 90]], np.int32), (97, 1))
NOTHING = np.zeros((97, 2), np.int32)


def plans(**more: Any) -> list[Plan]:
    """Of five views: two windows and a table, three exposed areas and none."""
    plain = percentile_plan(12, size=(31, 40), **more)
    steep = replace(
        plain,
        window=lambda v: np.clip((v - 2000.0) / 1500.0 + 0.5, 0.0, 1.0),
        kernel_window=Window.linear(2000.0, 1 / 1500.0, 0.5, False),
    )
    table = replace(plain, window=lambda v: ENTRIES[v.astype(int)], kernel_window=Window.table(ENTRIES, False))
    return [
        plain,
        replace(plain, exposed=LEFT),
        replace(steep, exposed=MIDDLE),
        replace(table, exposed=LEFT),
        replace(plain, exposed=NOTHING),
    ]


def ingest_of_views(views: list[Plan]) -> Ingest:
    first, *others = views
    layout = TensorLayout(*first.size, first.channels_last, MEAN, STD, first.masked_value, history=first.history)
    return Ingest(
        SHAPE, 12, first.exposed, first.kernel_window, layout, [(one.exposed, one.kernel_window) for one in others]
    )


def covered_of(plan: Plan) -> NDArray[np.float64]:
    masked = ~reference.exposed_mask(plan.exposed, SHAPE)
    return reference.resize(masked.astype(np.float64), *plan.size)


def test_each_view_makes_what_a_plan_of_its_own_makes() -> None:
    views = plans()
    ingest = ingest_of_views(views)
    for place, pixels in zip((0, 1, 2, 3, 4, 0, 3), moving_run(SHAPE, np.uint16, 7), strict=True):
        out, alone = tensor_of(views[place]), tensor_of(views[place])
        shown = ingest(pixels, out, place)
        assert shown == ingest_of(pixels, views[place])(pixels, alone)
        assert shown == (place != 4)
        np.testing.assert_array_equal(out, alone)


@pytest.mark.parametrize("order", [(0, 0, 1, 1, 0, 0, 0), (0, 1, 2, 3, 4, 1, 0), (4, 4, 3, 1, 3, 2, 2)], ids=str)
def test_views_share_a_memory_that_forgets_what_is_covered_otherwise(order: tuple[int, ...]) -> None:
    views = plans(history=HISTORY)
    ingest, remembered = ingest_of_views(views), reference_of(HISTORY)
    for _ in range(2):
        for place, pixels in zip(order, moving_run(SHAPE, np.uint16, 7), strict=True):
            plan, out = views[place], tensor_of(views[place])
            shown = ingest(pixels, out, place)
            quantities = remembered(grey_of(pixels, plan), shown=shown, covered=covered_of(plan))
            expected = reference.normalise(quantities, MEAN, STD, channels_last=False)
            assert_close(out, expected, 1.0, TOLERANCE)
        ingest.reset()
        remembered.reset()


def test_an_opening_shutter_shows_no_contrast_where_it_opened_and_keeps_the_rest() -> None:
    """LEFT, then MIDDLE: the columns from 70 on were covered, those from 20 to 70 were seen before."""
    first, second = moving_run(SHAPE, np.uint16, 2)
    one, other = (
        replace(plan, window=plans()[2].window, kernel_window=plans()[2].kernel_window) for plan in plans()[1:3]
    )
    views = [replace(plan, history=HISTORY) for plan in (one, other)]
    ingest, out = ingest_of_views(views), tensor_of(views[0])
    ingest(first, out, 0)
    ingest(second, out, 1)
    contrast = out[0, 1] * STD[1] + MEAN[1]
    seen, opened = contrast[:, 8:22], contrast[:, 25:29]  # of 40 columns
    assert np.abs(opened).max() <= TOLERANCE
    assert np.abs(seen).max() > 0.05


def test_an_equal_exposed_area_given_twice_changes_nothing() -> None:
    views = plans(history=HISTORY)
    again = [views[1], replace(views[1], exposed=LEFT.copy())]
    ingest, alone = ingest_of_views(again), ingest_of(np.empty(SHAPE, np.uint16), views[1])
    for number, pixels in enumerate(moving_run(SHAPE, np.uint16, 4)):
        out, expected = tensor_of(views[1]), tensor_of(views[1])
        ingest(pixels, out, number % 2)
        alone(pixels, expected)
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("view", [5, 1 << 40])
def test_a_view_that_the_plan_has_not_is_refused(view: int) -> None:
    ingest, pixels = ingest_of_views(plans()), np.zeros(SHAPE, np.uint16)
    with pytest.raises(ValueError, match=f"view is {view}: expected one of the 5 that this plan was made for"):
        ingest(pixels, tensor_of(plans()[0]), view)


def test_a_window_of_another_depth_is_refused_in_any_view() -> None:
    views = plans()
    views[3] = replace(views[3], kernel_window=Window.table(ENTRIES[:256], False))
    with pytest.raises(ValueError, match="the window's table has 256 entries: expected 4096"):
        ingest_of_views(views)
