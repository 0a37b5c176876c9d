"""Views by angle, as the table of views numbers them."""

from __future__ import annotations

import pytest

from cathrt.runtime.models.study.views import VIEWS, view_id


@pytest.mark.parametrize(
    ("primary", "secondary", "view", "number"),
    [
        (0.0, 0.0, "AP", 0),
        (0.0, -30.0, "AP caudal", 1),
        (-5.0, 35.0, "AP cranial", 2),
        (40.0, -25.0, "LAO caudal", 3),
        (30.0, 25.0, "LAO cranial", 4),
        (90.0, 0.0, "LAO lateral", 5),
        (40.0, 5.0, "LAO straight", 6),
        (60.0, 0.0, "other", 7),
        (0.0, 60.0, "other", 7),
        (90.0, 30.0, "other", 7),
        (-30.0, -20.0, "RAO caudal", 8),
        (-30.0, 20.0, "RAO cranial", 9),
        (-110.0, 15.0, "RAO lateral", 10),
        (-30.0, 0.0, "RAO straight", 11),
        (-15.0, 15.0, "RAO cranial", 9),
        (15.0, -15.0, "AP", 0),
        (None, 0.0, "unknown", 12),
        (0.0, None, "unknown", 12),
    ],
)
def test_a_view_has_its_number(primary: float | None, secondary: float | None, view: str, number: int) -> None:
    assert (VIEWS[view_id(primary, secondary)], view_id(primary, secondary)) == (view, number)
