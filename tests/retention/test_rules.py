"""What is over its limit, what may go, and when the wall clock is believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cathrt.runtime.retention.rules import Bars, RowLimits, Rows, TrustedClock, held_by, may_go, over_the_limit

ROWS = Rows(anchor=100, head=1100, used_bytes=1_000_000)
NO_LIMIT = RowLimits(aged=0, most_bytes=0, disk_is_short=False)


@pytest.mark.parametrize(
    ("limits", "through"),
    [
        (NO_LIMIT, 100),
        (RowLimits(aged=400, most_bytes=0, disk_is_short=False), 400),
        (RowLimits(aged=40, most_bytes=0, disk_is_short=False), 100),  # those are gone already
        (RowLimits(aged=0, most_bytes=750_000, disk_is_short=False), 350),
        (RowLimits(aged=400, most_bytes=750_000, disk_is_short=False), 400),
        (RowLimits(aged=200, most_bytes=750_000, disk_is_short=False), 350),
        (RowLimits(aged=0, most_bytes=0, disk_is_short=True), 1099),
        (RowLimits(aged=5000, most_bytes=0, disk_is_short=False), 1099),  # the last row stays
    ],
)
def test_what_is_over_the_limit_by_age_by_size_and_by_the_disk(limits: RowLimits, through: int) -> None:
    assert over_the_limit(ROWS, limits) == through


@given(
    delivered=st.integers(0, 2000), grown=st.integers(0, 2000), needed=st.integers(0, 2000), head=st.integers(100, 1500)
)
def test_no_row_goes_that_is_not_delivered_or_young_or_needed_and_never_the_last(
    delivered: int, grown: int, needed: int, head: int
) -> None:
    through = may_go(Rows(100, head, 1), Bars(delivered, grown, needed))

    assert through == 100 or through <= min(delivered, grown, needed, head - 1)


def test_what_holds_a_row_is_named() -> None:
    assert "mandatory outlet" in held_by(10, Bars(delivered=9, grown=0, needed=0))
    assert "draft" in held_by(10, Bars(delivered=10, grown=0, needed=9))
    assert "keep_hours" in held_by(10, Bars(delivered=10, grown=9, needed=10))
    assert held_by(10, Bars(10, 10, 10)) == ""


def test_the_clock_is_believed_some_minutes_after_the_start_and_for_ever_while_nobody_sets_it() -> None:
    clock = TrustedClock(wall_s=1e9, steady_s=50.0)

    assert not clock.is_trusted(1e9 + 60, 110.0)
    assert clock.is_trusted(1e9 + 600, 650.0)
    assert clock.is_trusted(1e9 + 1_000_000 + 30, 1_000_050.0)  # slewed by half a minute
    assert clock.step_s == 0.0


@pytest.mark.parametrize("step_s", [86400.0 * 365, -86400.0 * 365, 3600.0])
def test_a_clock_that_was_set_is_not_believed_for_a_day(step_s: float) -> None:
    clock = TrustedClock(1e9, 0.0)
    assert clock.is_trusted(1e9 + 1000, 1000.0)

    assert not clock.is_trusted(1e9 + 1060 + step_s, 1060.0)
    assert not clock.is_trusted(1e9 + 1060 + step_s + 80_000, 81_060.0)
    assert clock.is_trusted(1e9 + 1060 + step_s + 86_400, 87_460.0)
    assert clock.step_s == step_s
