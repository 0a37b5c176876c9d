"""A live picture as it goes to a browser: a header of 64 bytes, then greys (docs/page.md).

Not for: which picture, and when (picture_socket.py).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.frame import Grayscale, VoiWindow
from cathrt.runtime.pictures.grey import are_greys, greys, is_usable, stretch_of, table_of
from cathrt.runtime.pictures.layout import About, RingPicture

HEADER = struct.Struct("<4sHHIIIIQqdIIff")
MAGIC, VERSION = b"CRTP", 1
STRETCHED = 1  # a flag: the source states no window
_STEADY = 0.1  # of a stretch's width: how far its ends may be off before it is made anew


@dataclass(frozen=True, slots=True, eq=False)
class GreyPicture:
    """pixels: (rows, columns) 8 bit. low, high: the stored values that are black and white (white and black, where the
    source is inverted)."""

    about: About
    pixels: NDArray[np.uint8]
    flags: int
    low: float
    high: float


class Greys:
    """Makes greys of one source's pictures, with a stretch that does not flicker. For one thread."""

    def __init__(self) -> None:
        self._stretch: VoiWindow | None = None
        self._key: object = None
        self._table: NDArray[np.uint8] = np.empty(0, np.uint8)
        self._table_key: object = None

    def of(self, picture: RingPicture) -> GreyPicture:
        """For the eye."""
        about, grayscale = picture.about, picture.about.grayscale
        if about.told and are_greys(grayscale):
            return GreyPicture(about, greys(picture.pixels, None), 0, 0.0, 255.0)
        window, flags = grayscale.voi, 0
        if not isinstance(window, VoiWindow) or not is_usable(window):
            window, flags = self._steady_stretch(picture), STRETCHED
        table = self._table_of(grayscale, window)
        shown = np.flatnonzero((table > 0) & (table < 255))
        low, high = (shown[0], shown[-1]) if shown.size else (0, table.size - 1)
        return GreyPicture(about, greys(picture.pixels, table), flags, float(low), float(high))

    def _table_of(self, grayscale: Grayscale, window: VoiWindow) -> NDArray[np.uint8]:
        key = (grayscale.window_key, window)
        if key != self._table_key:
            self._table, self._table_key = table_of(grayscale, window), key
        return self._table

    def _steady_stretch(self, picture: RingPicture) -> VoiWindow:
        grayscale = picture.about.grayscale
        found, key = stretch_of(picture.pixels, grayscale), grayscale.window_key
        before = self._stretch
        if before is not None and key == self._key:
            off = abs(found.center - before.center) + abs(found.width - before.width) / 2.0
            if off <= _STEADY * before.width:
                return before
        self._stretch, self._key = found, key
        return found


def message(picture: GreyPicture, now_ns: int, skipped: int) -> bytes:
    """skipped: pictures since the one before that this reader was not sent."""
    about = picture.about
    header = HEADER.pack(
        MAGIC, VERSION, HEADER.size, about.rows, about.columns, about.step, picture.flags, about.number,
        about.captured_ns, (now_ns - about.captured_ns) / 1e6, min(skipped, (1 << 32) - 1),
        about.grayscale.bits_stored, picture.low, picture.high,
    )  # fmt: skip
    return header + picture.pixels.tobytes()


assert HEADER.size == 64
