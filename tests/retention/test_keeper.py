"""The keeper: what it reports, what stops nothing, and a clock that it does not believe."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from cathrt.runtime.errors import JournalError
from cathrt.runtime.retention.keeper import AGAIN_S, LOOK_S, Disk, Keeper, Look
from cathrt.runtime.retention.kept_journal import Looked, Moment


class Clocks:
    """A wall clock and a steady one."""

    def __init__(self) -> None:
        self.wall_s, self.steady_s = 1e9, 0.0

    def passes(self, seconds: float) -> None:
        self.wall_s += seconds
        self.steady_s += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def reports() -> list[dict[str, Any]]:
    return []


def keeper(tmp_path: Path, clocks: Clocks, reports: list[dict[str, Any]], **looks: Look) -> Keeper:
    """One that has seen its clocks run well for a while."""
    made = Keeper(looks, Disk(tmp_path, 1), reports.append, wall=lambda: clocks.wall_s, steady=lambda: clocks.steady_s)
    assert made.round() == LOOK_S
    assert reports[-1]["removed"] == {}
    clocks.passes(3600)
    return made


def test_what_went_is_added_up_and_the_next_look_comes_soon_where_there_is_more(
    tmp_path: Path, clocks: Clocks, reports: list[dict[str, Any]]
) -> None:
    made = keeper(tmp_path, clocks, reports, rows=lambda _: Looked(3, 300, more=True, note="some stay"))

    assert [made.round(), made.round()] == [AGAIN_S, AGAIN_S]
    assert reports[-1] == {
        "removed": {"rows": {"removed": 6, "bytes": 600, "note": "some stay", "reason": ""}},
        "notes": ["rows: some stay"],
        "reasons": [],
    }


def test_a_look_that_fails_is_a_reason_and_the_others_go_on(
    tmp_path: Path, clocks: Clocks, reports: list[dict[str, Any]]
) -> None:
    def broken(_moment: Moment) -> Looked:
        raise JournalError("the disk is full")

    made = keeper(tmp_path, clocks, reports, rows=broken, objects=lambda _: Looked(2))

    made.round()

    assert reports[-1]["reasons"] == ["rows: nothing can be removed: the disk is full"]
    assert reports[-1]["removed"]["objects"]["removed"] == 2


def test_nothing_is_looked_at_while_the_clock_is_not_believed(
    tmp_path: Path, clocks: Clocks, reports: list[dict[str, Any]]
) -> None:
    looks: list[Moment] = []

    def look(moment: Moment) -> Looked:
        looks.append(moment)
        return Looked()

    made = keeper(tmp_path, clocks, reports, rows=look)
    made.round()
    clocks.wall_s += 400 * 86400.0

    made.round()

    assert len(looks) == 1
    assert reports[-1]["notes"] == ["the clock was set by 34560000 s: nothing is removed for a day after that"]


def test_the_log_says_what_went_at_most_once_an_hour(
    tmp_path: Path, clocks: Clocks, reports: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    made = keeper(tmp_path, clocks, reports, rows=lambda _: Looked(1), objects=lambda _: Looked())
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            made.round()
            clocks.passes(1800)

    assert [record.getMessage() for record in caplog.records] == [
        f"retention has removed since the start: {count} of rows" for count in (1, 3, 5)
    ]


def test_the_disk_says_how_much_is_missing(tmp_path: Path) -> None:
    assert Disk(tmp_path, 1).moment(5.0) == Moment(5.0, 0, disk_is_short=False)
    short = Disk(tmp_path, 1 << 40).moment(5.0)
    assert short.disk_is_short
    assert short.missing_bytes > 1 << 59
