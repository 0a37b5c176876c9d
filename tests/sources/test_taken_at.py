"""When a run was taken: Series and Acquisition Time with their dates, through the confined decoder too."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from cathrt.runtime.frame import TakenAt
from cathrt.runtime.sources.decoder.sandbox import open_source
from cathrt.runtime.sources.discover import discover
from tests.sources.dicom_bytes import text
from tests.sources.reading import LIMITS
from tests.sources.test_timing import run_of

DAY_S = 86400.0 * datetime.date(2026, 12, 1).toordinal()


def taken(folder: Path, **texts: str) -> tuple[TakenAt, tuple[str, ...]]:
    tags = {"series_date": "_00080021", "acquired_on": "_00080022", "series": "_00080031", "acquired": "_00080032"}
    kinds = {"series_date": "DA", "acquired_on": "DA", "series": "TM", "acquired": "TM"}
    run = run_of(folder, **{tags[name]: text(kinds[name], value) for name, value in texts.items()})
    return run.taken_at, tuple(flag for flag in run.flags if "time_unusable" in flag)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("101530", 36930.0),
        ("101530.25", 36930.25),
        ("101530.123456", 36930.123456),
        ("1015", 36900.0),
        ("10", 36000.0),
        ("10:15:30", 36930.0),  # of ACR-NEMA files
        ("235960", 86400.0),  # a leap second
        (" 101530", 36930.0),
    ],
)
def test_a_time_is_read_in_every_form_that_is_allowed(value: str, seconds: float, tmp_path: Path) -> None:
    assert taken(tmp_path, series=value) == (TakenAt(pytest.approx(seconds)), ())


@pytest.mark.parametrize("value", ["1", "246000", "106100", "ten", "10153O", "101530.1234567"])
def test_a_time_that_is_none_is_flagged_and_left_out(value: str, tmp_path: Path) -> None:
    assert taken(tmp_path, series=value, acquired="10") == (TakenAt(None, 36000.0), ("series_time_unusable",))


def test_a_date_puts_a_study_that_passes_midnight_in_order(tmp_path: Path) -> None:
    before, _ = taken(tmp_path, series_date="20261201", series="235900", acquired_on="20261201", acquired="235901")
    after, _ = taken(tmp_path, series_date="20261202", series="000100")
    assert before.series_s is not None
    assert after.series_s is not None
    assert before.series_s == DAY_S + 86340.0
    assert after.series_s - before.series_s == 120.0
    assert before.acquisition_s == DAY_S + 86341.0


def test_a_day_that_is_none_leaves_the_time_alone(tmp_path: Path) -> None:
    assert taken(tmp_path, series_date="20260231", series="10")[0] == TakenAt(36000.0)
    assert taken(tmp_path)[0] == TakenAt()


def test_it_comes_through_the_confined_decoder_to_the_microsecond(tmp_path: Path) -> None:
    run_of(tmp_path, _00080021=text("DA", "20261201"), _00080031=text("TM", "101530.123456"))
    (found,) = discover(sorted(tmp_path.glob("*"))[:1]).inputs
    source = open_source(found, LIMITS)
    try:
        assert source.run.taken_at.series_s == pytest.approx(DAY_S + 36930.123456, abs=1e-5)
    finally:
        source.close()
