"""Shutter and collimator as spans per row, against a mask drawn pixel by pixel."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from cathrt.runtime.sources.dicom.attributes import Attributes
from cathrt.runtime.sources.dicom.exposed import exposed_from_attributes

ROWS, COLUMNS = 23, 31
ROW, COLUMN = np.mgrid[1 : ROWS + 1, 1 : COLUMNS + 1]  # counted from 1, as DICOM does


def exposed(**values: object) -> tuple[NDArray[np.bool_] | None, set[str]]:
    """The spans as a mask, and the flags."""
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    flags: set[str] = set()
    spans = exposed_from_attributes(Attributes([[dataset]], flags), ROWS, COLUMNS)
    if spans is None:
        return None, flags
    assert spans.dtype == np.int32
    assert spans.shape == (ROWS, 2)
    return (spans[:, :1] < COLUMN) & (spans[:, 1:] >= COLUMN), flags


def assert_mask(found: NDArray[np.bool_] | None, expected: NDArray[np.bool_]) -> None:
    assert np.array_equal(np.ones_like(expected) if found is None else found, expected)


edges = st.tuples(st.integers(0, 40), st.integers(0, 40)).map(sorted)


@settings(max_examples=60, deadline=None)
@given(vertical=edges, horizontal=edges)
def test_a_rectangle_exposes_its_edges_and_what_they_enclose(vertical: list[int], horizontal: list[int]) -> None:
    found, flags = exposed(
        ShutterShape="RECTANGULAR",
        ShutterLeftVerticalEdge=vertical[0],
        ShutterRightVerticalEdge=vertical[1],
        ShutterUpperHorizontalEdge=horizontal[0],
        ShutterLowerHorizontalEdge=horizontal[1],
    )
    inside = (vertical[0] <= COLUMN) & (vertical[1] >= COLUMN) & (horizontal[0] <= ROW) & (horizontal[1] >= ROW)
    assert ("exposed_area_empty" in flags) == (not inside.any())
    assert_mask(found, inside if inside.any() else np.ones_like(inside))


@settings(max_examples=60, deadline=None)
@given(row=st.integers(-5, 30), column=st.integers(-5, 40), radius=st.integers(1, 40))
def test_a_circle_exposes_what_lies_within_its_radius(row: int, column: int, radius: int) -> None:
    found, flags = exposed(
        ShutterShape="CIRCULAR", CenterOfCircularShutter=[row, column], RadiusOfCircularShutter=radius
    )
    inside = (ROW - row) ** 2 + (COLUMN - column) ** 2 <= radius**2
    assert ("exposed_area_empty" in flags) == (not inside.any())
    assert_mask(found, inside if inside.any() else np.ones_like(inside))


@settings(max_examples=60, deadline=None)
@given(corners=st.lists(st.tuples(st.integers(1, ROWS), st.integers(1, COLUMNS)), min_size=3, max_size=3, unique=True))
def test_a_triangle_exposes_what_lies_within_its_sides(corners: list[tuple[int, int]]) -> None:
    (r0, c0), (r1, c1), (r2, c2) = corners
    sides = [
        (rb - ra) * (COLUMN - ca) - (cb - ca) * (ROW - ra)
        for (ra, ca), (rb, cb) in (((r0, c0), (r1, c1)), ((r1, c1), (r2, c2)), ((r2, c2), (r0, c0)))
    ]
    if (r1 - r0) * (c2 - c0) == (c1 - c0) * (r2 - r0):
        return  # three corners on one line enclose nothing
    inside = np.all([side >= 0 for side in sides], axis=0) | np.all([side <= 0 for side in sides], axis=0)
    found, flags = exposed(
        ShutterShape="POLYGONAL", VerticesOfThePolygonalShutter=[n for corner in corners for n in corner]
    )
    assert "exposed_polygon_not_convex" not in flags
    assert_mask(found, inside)


def test_a_polygon_with_a_dent_counts_with_its_outer_extent() -> None:
    dented = [1, 1, 1, COLUMNS, ROWS, COLUMNS, 12, 16, ROWS, 1]
    found, flags = exposed(ShutterShape="POLYGONAL", VerticesOfThePolygonalShutter=dented)
    assert "exposed_polygon_not_convex" in flags
    assert_mask(found, np.ones((ROWS, COLUMNS), bool))


def test_shutter_and_collimator_are_intersected() -> None:
    found, _ = exposed(
        ShutterShape=["RECTANGULAR", "CIRCULAR"],
        ShutterLeftVerticalEdge=5,
        ShutterRightVerticalEdge=COLUMNS,
        ShutterUpperHorizontalEdge=1,
        ShutterLowerHorizontalEdge=ROWS,
        CenterOfCircularShutter=[12, 16],
        RadiusOfCircularShutter=13,
        CollimatorShape="RECTANGULAR",
        CollimatorLeftVerticalEdge=1,
        CollimatorRightVerticalEdge=20,
        CollimatorUpperHorizontalEdge=1,
        CollimatorLowerHorizontalEdge=ROWS,
    )
    inside = (COLUMN >= 5) & (COLUMN <= 20) & ((ROW - 12) ** 2 + (COLUMN - 16) ** 2 <= 13**2)
    assert_mask(found, inside)


def test_a_shutter_that_hides_nothing_is_the_whole_frame() -> None:
    found, flags = exposed(
        ShutterShape="RECTANGULAR",
        ShutterLeftVerticalEdge=0,
        ShutterRightVerticalEdge=COLUMNS + 1,
        ShutterUpperHorizontalEdge=0,
        ShutterLowerHorizontalEdge=ROWS + 1,
    )
    assert found is None
    assert flags == set()
