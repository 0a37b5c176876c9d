"""The part of a frame that was exposed: inside the Display Shutter and inside the X-ray collimator, row by row.

Not for: blanking anything (preprocessing does).
Source: PS3.3 C.7.6.11 (Display Shutter), C.8.7.3 (X-Ray Collimator): same shapes, rows and columns counted from 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.sources.dicom.attributes import Attributes

_ROUNDING = 1e-6  # pixels; an edge that meets a pixel centre counts as meeting it

Spans = NDArray[np.int32]  # (rows, 2): columns [start, stop) of each row, counted from 0

# What may differ from frame to frame.
EXPOSED_KEYWORDS = tuple(
    keyword.format(prefix)
    for prefix in ("Shutter", "Collimator")
    for keyword in (
        "{}Shape",
        "{}LeftVerticalEdge",
        "{}RightVerticalEdge",
        "{}UpperHorizontalEdge",
        "{}LowerHorizontalEdge",
        "CenterOfCircular{}",
        "RadiusOfCircular{}",
        "VerticesOfThePolygonal{}",
    )
)


def exposed_from_attributes(attributes: Attributes, rows: int, columns: int) -> Spans | None:
    """(rows, 2) int32 spans inside every shape that shutter and collimator name; None for the whole frame.

    The edges themselves count as exposed. A shape that cannot be read, or that leaves nothing, is flagged and ignored.
    Of an Enhanced object a shutter, and a collimator, is taken whole from the first level that has one.
    A polygon that is not convex counts with its outer extent per row ("exposed_polygon_not_convex").
    """
    whole = np.tile(np.array([0, columns], np.int32), (rows, 1))
    spans = whole.copy()
    for prefix, shape_keyword in (("Shutter", "ShutterShape"), ("Collimator", "CollimatorShape")):
        shapes = attributes.of_level_with(shape_keyword)
        for shape in shapes.codes(shape_keyword):
            reader = _SHAPES.get(shape)
            inside = None if reader is None else reader(shapes, prefix, rows, columns)
            if inside is None:
                attributes.flag_unusable(shape_keyword)
                continue
            start = np.clip(np.maximum(spans[:, 0], inside[:, 0]), 0, columns)
            stop = np.clip(np.minimum(spans[:, 1], inside[:, 1]), 0, columns)
            spans = np.stack([start, np.maximum(start, stop)], axis=1).astype(np.int32)
    if not (spans[:, 1] > spans[:, 0]).any():
        attributes.flags.add("exposed_area_empty")
        return None
    if np.array_equal(spans, whole):
        return None
    return spans


def _rectangle(attributes: Attributes, prefix: str, rows: int, columns: int) -> Spans | None:
    edges = [
        attributes.number(f"{prefix}{edge}")
        for edge in ("LeftVerticalEdge", "RightVerticalEdge", "UpperHorizontalEdge", "LowerHorizontalEdge")
    ]
    if any(edge is None for edge in edges):
        return None
    left, right, upper, lower = (int(np.clip(edge, -1, 65536)) for edge in edges if edge is not None)
    spans = np.zeros((rows, 2), np.int32)
    spans[max(0, upper - 1) : max(0, lower)] = (max(0, left - 1), min(columns, max(0, right)))
    return spans


def _circle(attributes: Attributes, prefix: str, rows: int, columns: int) -> Spans | None:
    center = attributes.numbers(f"CenterOfCircular{prefix}")
    radius = attributes.number(f"RadiusOfCircular{prefix}")
    if len(center) != 2 or radius is None or not 0.0 < radius <= 65535.0 or max(map(abs, center)) > 65535.0:
        return None
    offset = np.arange(1, rows + 1) - center[0]
    inside = np.abs(offset) <= radius
    half = np.sqrt(np.maximum(radius**2 - offset**2, 0.0))
    start = np.ceil(center[1] - half) - 1
    stop = np.floor(center[1] + half)
    spans = np.zeros((rows, 2), np.int32)
    spans[inside, 0] = np.clip(start[inside], 0, columns)
    spans[inside, 1] = np.clip(stop[inside], 0, columns)
    return spans


def _polygon(attributes: Attributes, prefix: str, rows: int, columns: int) -> Spans | None:
    """Outer extent of the polygon on each row: of its vertices on that row and of its edges crossing it."""
    numbers = attributes.numbers(f"VerticesOfThePolygonal{prefix}")
    if len(numbers) < 6 or len(numbers) % 2 or len(numbers) > 2048 or max(map(abs, numbers)) > 65535.0:
        return None
    vertices = [(numbers[i], numbers[i + 1]) for i in range(0, len(numbers), 2)]
    low, high = np.full(rows, np.inf), np.full(rows, -np.inf)
    row = np.arange(1, rows + 1, dtype=np.float64)
    for (row_a, column_a), (row_b, column_b) in zip(vertices, [*vertices[1:], vertices[0]], strict=True):
        on = (row >= min(row_a, row_b)) & (row <= max(row_a, row_b))
        ends = (column_a, column_b)
        at = (
            np.full(rows, column_a)
            if row_a == row_b
            else column_a + (row - row_a) * (column_b - column_a) / (row_b - row_a)
        )
        low[on] = np.minimum(low[on], min(ends) if row_a == row_b else at[on])
        high[on] = np.maximum(high[on], max(ends) if row_a == row_b else at[on])
    if not _is_convex(vertices):
        attributes.flags.add("exposed_polygon_not_convex")
    inside = low <= high
    spans = np.zeros((rows, 2), np.int32)
    spans[inside, 0] = np.clip(np.ceil(low[inside] - _ROUNDING) - 1, 0, columns)
    spans[inside, 1] = np.clip(np.floor(high[inside] + _ROUNDING), 0, columns)
    return spans


def _is_convex(vertices: list[tuple[float, float]]) -> bool:
    """Whether the outline turns one way only and goes round once."""
    turn, total = 0.0, 0.0
    count = len(vertices)
    for i in range(count):
        (r0, c0), (r1, c1), (r2, c2) = vertices[i], vertices[(i + 1) % count], vertices[(i + 2) % count]
        cross = (r1 - r0) * (c2 - c1) - (c1 - c0) * (r2 - r1)
        dot = (r1 - r0) * (r2 - r1) + (c1 - c0) * (c2 - c1)
        if cross * turn < 0.0:
            return False
        turn = cross or turn
        total += math.atan2(cross, dot)
    return abs(total) < 2.0 * math.pi + 0.01


_SHAPES: dict[str, Callable[[Attributes, str, int, int], Spans | None]] = {
    "RECTANGULAR": _rectangle,
    "CIRCULAR": _circle,
    "POLYGONAL": _polygon,
}
