"""Which way up a picture is shown: what a file states about it, and turning the pixels accordingly.

Everywhere as Exif counts it: 1 as stored, 2 mirrored left to right, 3 turned by 180 degrees, 4 mirrored top to bottom,
5 mirrored at the main diagonal, 6 turned clockwise, 7 mirrored at the other diagonal, 8 turned counterclockwise.
Source: Exif 2.32, 4.6.4 A; TIFF 6.0, Orientation; XMP tiff:Orientation; FFmpeg's libavutil/display.h.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from cathrt.runtime.sources.tiff_directory import Directory, DirectoryError

ORIENTATION_TAG = 274
_IN_XMP = re.compile(rb"""tiff:Orientation\s*(?:=\s*["']|>)\s*([0-9]{1,9})""")
# The rotation of a display matrix, in units of 1: a point (x, y) is shown at (a x + c y, b x + d y).
_OF_ROTATION = {
    (1, 0, 0, 1): 1,
    (-1, 0, 0, 1): 2,
    (-1, 0, 0, -1): 3,
    (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5,
    (0, 1, -1, 0): 6,
    (0, -1, -1, 0): 7,
    (0, -1, 1, 0): 8,
}
_ONE, _LAST_ONE = 1 << 16, 1 << 30  # of the matrix: 16.16, and 2.30 in its last column


class OrientationError(ValueError):
    """An orientation that is none, or that cannot be honoured."""


def turned(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """A view of (rows, columns) as they are to be shown."""
    views = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.T,
        6: pixels.T[:, ::-1],
        7: pixels[::-1, ::-1].T,
        8: pixels.T[::-1],
    }
    return views[orientation]


def is_turned_on_its_side(orientation: int) -> bool:
    """Whether stored rows are shown as columns."""
    return orientation >= 5


def orientation_of_values(values: Sequence[int]) -> int | None:
    """Of the tag; None where it is missing. Raises OrientationError."""
    if values and not (len(values) == 1 and 1 <= values[0] <= 8):
        found = ", ".join(map(str, values[:4]))
        raise OrientationError(f"orientation {found}, expected 1 to 8: save the picture upright, without this tag")
    return values[0] if values else None


def orientation_in_exif(block: bytes) -> int | None:
    """None where the block is empty or states none. Raises OrientationError."""
    block = block.removeprefix(b"Exif\0\0")
    if not block:
        return None
    try:
        return orientation_of_values(Directory(block).integers(ORIENTATION_TAG))
    except DirectoryError as exc:
        raise OrientationError(
            f"a damaged Exif block ({exc}), which may state an orientation: save the picture upright, without Exif"
        ) from exc


def orientation_in_xmp(packet: bytes) -> int | None:
    """None where the packet states none. Raises OrientationError."""
    found = _IN_XMP.search(packet)
    return None if found is None else orientation_of_values([int(found[1])])


def orientation_of_matrix(matrix: Sequence[int]) -> int:
    """Of a display matrix, nine numbers row by row. Where it moves the picture to does not matter.

    Raises OrientationError for anything but turns by 90 degrees and mirrors.
    """
    a, b, u, c, d, v, _, _, w = matrix
    found = [number / _ONE for number in (a, b, c, d)]
    orientation = next((of for rotation, of in _OF_ROTATION.items() if [*rotation] == found), None)
    if orientation is None or (u, v, w) != (0, 0, _LAST_ONE):
        raise OrientationError(
            f"a display matrix ({', '.join(f'{number:.4g}' for number in found)}), expected a turn by 90, 180 or 270 "
            "degrees or a mirror: save the video as it is to be shown"
        )
    return orientation
