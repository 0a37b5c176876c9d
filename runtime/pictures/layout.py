"""Where things are in a ring's file, and what a picture in it says of itself.

A page of its own for the whole, then SLOTS slots: a page about the picture, then its pixels. Numbers are little-endian.
Not for: writing (writer.py), reading (reader.py).
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.config import Config
from cathrt.runtime.frame import Grayscale, Rescale, VoiLutFunction, VoiWindow

SLOTS = 3  # the newest, the one that is read, the one that is written
PAGE = 4096
MAGIC = b"picture1"
# Of the whole: MAGIC, number of the newest picture that is whole (0: none yet), until when somebody wants pictures (ns
# of the monotonic clock), room for the pixels of a picture, length of the source's name; then the name.
WHOLE = struct.Struct("<8sQqQH")
NEWEST_AT, WANTED_AT = 8, 16
NUMBER = struct.Struct("<Q")
MOMENT = struct.Struct("<q")
# Of a picture: a count that is odd while it is written, and changes with each picture; its number; rows, columns, bytes
# of a pixel, step, bits stored, marks; when it was captured; angles, rescale and window.
_ABOUT = struct.Struct("<QQIIIIIIqdddddd")
ABOUT_BYTES = _ABOUT.size
_INVERTED, _RESCALED, _HAS_WINDOW, _OTHERWISE = 1, 2, 4, 8
_FUNCTIONS: tuple[VoiLutFunction, ...] = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
_FUNCTION_AT = 4  # of the marks: which function, in the bits from here on
MOST_NAME_BYTES = PAGE - WHOLE.size


@dataclass(frozen=True, slots=True, eq=False)
class About:
    """A picture without its pixels.

    rows, columns: as they lie in the ring: of every `step`th row and column of the picture. item_bytes: 1 or 2.
    told: whether `grayscale` is all that the source says of its greys; False where it also has a table, which is left
    out.
    *_angle_deg: of the C-arm; None where the source does not say.
    """

    number: int
    rows: int
    columns: int
    item_bytes: int
    step: int
    captured_ns: int
    grayscale: Grayscale
    told: bool
    positioner_primary_angle_deg: float | None
    positioner_secondary_angle_deg: float | None

    @property
    def pixel_bytes(self) -> int:
        """Of all its pixels."""
        return self.rows * self.columns * self.item_bytes


@dataclass(frozen=True, slots=True, eq=False)
class RingPicture:
    """One whole picture out of a ring. pixels: (rows, columns) uint8 or uint16 stored values, the reader's own."""

    about: About
    pixels: NDArray[Any]


def slot_room(slot_bytes: int) -> int:
    """What a slot takes of the file."""
    return PAGE + -(-slot_bytes // PAGE) * PAGE


def ring_bytes(slot_bytes: int) -> int:
    """What a ring's file takes."""
    return PAGE + SLOTS * slot_room(slot_bytes)


def pictures_mib(config: Config) -> int:
    """What the rings of all live sources take of shared memory, in whole MiB."""
    one = ring_bytes(config.page.picture_mib << 20)
    return -(-len(config.sources) * one >> 20) if config.page.enabled else 0


def slot_at(number: int, slot_bytes: int) -> int:
    """Where the slot of a picture begins."""
    return PAGE + (number % SLOTS) * slot_room(slot_bytes)


def packed(count: int, about: About) -> bytes:
    """What stands before the pixels. count: odd while they are written."""
    grayscale = about.grayscale
    rescale = grayscale.modality if isinstance(grayscale.modality, Rescale) else None
    window = grayscale.voi if isinstance(grayscale.voi, VoiWindow) else None
    marks = (
        (_INVERTED if grayscale.inverted else 0)
        | (_RESCALED if rescale else 0)
        | (_HAS_WINDOW | _FUNCTIONS.index(window.function) << _FUNCTION_AT if window else 0)
        | (0 if about.told else _OTHERWISE)
    )
    angles = about.positioner_primary_angle_deg, about.positioner_secondary_angle_deg
    return _ABOUT.pack(
        count, about.number, about.rows, about.columns, about.item_bytes, about.step, grayscale.bits_stored, marks,
        about.captured_ns, *(math.nan if angle is None else angle for angle in angles),
        *((rescale.slope, rescale.intercept) if rescale else (1.0, 0.0)),
        *((window.center, window.width) if window else (0.0, 0.0)),
    )  # fmt: skip


def unpacked(data: bytes) -> tuple[int, About]:
    """The count and the picture that stand before the pixels. Raises ValueError for what no ring of ours holds."""
    count, number, rows, columns, item_bytes, step, bits, marks, captured_ns, *numbers = _ABOUT.unpack(data)
    primary, secondary, slope, intercept, center, width = numbers
    function = marks >> _FUNCTION_AT
    fits = rows > 0 and columns > 0 and step > 0 and function < len(_FUNCTIONS)
    if not fits or (item_bytes, bits <= 8) not in ((1, True), (2, False), (2, True)) or not 1 <= bits <= 16:
        raise ValueError("what stands before the pixels is of no picture")
    if not (math.isfinite(slope) and slope != 0.0 and all(map(math.isfinite, (intercept, center, width)))):
        raise ValueError("a rescale or window of no finite numbers")
    window = VoiWindow(center, width, _FUNCTIONS[function]) if marks & _HAS_WINDOW else None
    grayscale = Grayscale(
        bits_stored=bits,
        photometric_interpretation="MONOCHROME1" if marks & _INVERTED else "MONOCHROME2",
        modality=Rescale(slope, intercept) if marks & _RESCALED else None,
        voi=window,
    )
    told = not marks & _OTHERWISE
    angles = (None if math.isnan(angle) else angle for angle in (primary, secondary))
    return count, About(number, rows, columns, item_bytes, step, captured_ns, grayscale, told, *angles)


def dtype_of(about: About) -> np.dtype[Any]:
    """Of the pixels in a ring."""
    return np.dtype("u1" if about.item_bytes == 1 else "<u2")
