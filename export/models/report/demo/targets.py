"""What the vision network learns besides words: where each segment runs in the picture and where it is narrowed.

Maps are painted from points, so that they can be moved with the picture. Not for: facts (seen.py).
K = 16 segment numbers of the SYNTAX score, 1 to 16; h: side of a map. M = 2 K channels: segments, then lesions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cathrt.export.models.report.demo.pictures import Picture
from cathrt.export.models.report.demo.seen import LesionInView, grade_of

SEGMENT_NUMBERS = 16
MAP_SIDE = 36
# What a place can be: open, narrowed by about 50, 75, 90 percent or more, occluded.
DEGREES = 5
_DEGREE_OF_GRADE = {50: 1, 75: 2, 90: 3, 99: 3, 100: 4}
_LESION_REACH = 1  # a lesion is painted as a square of this many cells to each side


def painted(pictures: Sequence[Picture]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Maps (N, 2 K, h, h) of 0 and 1, and the degree of narrowing of each segment (N, K), 0 where none is seen."""
    maps = np.zeros((len(pictures), 2 * SEGMENT_NUMBERS, MAP_SIDE, MAP_SIDE), np.uint8)
    degrees = np.zeros((len(pictures), SEGMENT_NUMBERS), np.int64)
    for number, picture in enumerate(pictures):
        _paint_segments(maps[number], picture.points)
        for lesion in picture.lesions_in_view():
            if not lesion.seen or lesion.segment is None:
                continue
            place = int(lesion.segment) - 1
            degrees[number, place] = max(degrees[number, place], degree_of(lesion))
            _paint_lesion(maps[number, SEGMENT_NUMBERS + place], lesion)
    return maps, degrees


def degree_of(lesion: LesionInView) -> int:
    """Of a lesion that is seen, 1 to DEGREES - 1."""
    return 4 if lesion.occluded else _DEGREE_OF_GRADE[grade_of(lesion.percent)]


def _paint_segments(maps: NDArray[np.uint8], points: NDArray[np.float32]) -> None:
    row, column, segment, contrast = points.T
    here = (contrast >= 0.3) & (row >= 0.0) & (row < 1.0) & (column >= 0.0) & (column < 1.0)
    rows, columns = (np.floor(at[here] * MAP_SIDE).astype(int) for at in (row, column))
    maps[segment[here].astype(int) - 1, rows, columns] = 1


def _paint_lesion(plane: NDArray[np.uint8], lesion: LesionInView) -> None:
    row, column = (int(np.floor(at * MAP_SIDE)) for at in (lesion.row, lesion.column))
    rows, columns = (slice(max(0, at - _LESION_REACH), at + _LESION_REACH + 1) for at in (row, column))
    plane[rows, columns] = 1
