"""What follows Pixel Data in a file: data elements and padding, or bytes that may be frames nobody counted.

Not for: deflated files, whose end is not known before they are inflated.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from cathrt.runtime.sources.code_stream import holds_stream
from cathrt.runtime.sources.content import size_of
from cathrt.runtime.sources.dicom.part10 import EXPLICIT_BIG, IMPLICIT_LITTLE, PIXEL_DATA

_ITEM_GROUP = 0xFFFE
_ITEM = struct.pack("<HH", _ITEM_GROUP, 0xE000)
_UNDEFINED = 0xFFFFFFFF
_PIECE = 1 << 20
# VRs whose length has two bytes (PS3.5 7.1.2).
_SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())


@dataclass(frozen=True, slots=True)
class LeftOver:
    """size: bytes after Pixel Data that are neither data elements nor filling (00 or FF throughout).

    has_item, has_stream: they begin with an item's tag; they hold the start of a code stream.
    """

    size: int = 0
    has_item: bool = False
    has_stream: bool = False

    @property
    def reason(self) -> str:
        return (
            f"{self.size} bytes follow Pixel Data that are no data elements: frames may be lost; export the file again"
        )


def left_over_after(file: BinaryIO, position: int, syntax: str) -> LeftOver:
    """What follows Pixel Data, which ends at `position`."""
    at, end = _end_of_elements(file, position, syntax), size_of(file)
    if is_filled_with(b"\0", file, at, end) or is_filled_with(b"\xff", file, at, end):
        return LeftOver()
    file.seek(at)
    has_item = file.read(len(_ITEM)) == _ITEM
    before, has_stream = b"", False
    for piece in _pieces(file, at, end):
        has_stream = has_stream or holds_stream(before + piece)
        before = piece[-3:]
    return LeftOver(end - at, has_item, has_stream)


def is_filled_with(byte: bytes, file: BinaryIO, begin: int, end: int) -> bool:
    """Whether this part of a file holds nothing but one byte."""
    return not any(piece.strip(byte) for piece in _pieces(file, begin, end))


def _pieces(file: BinaryIO, begin: int, end: int) -> Iterator[bytes]:
    for at in range(begin, end, _PIECE):
        file.seek(at)
        yield file.read(min(_PIECE, end - at))


def _end_of_elements(file: BinaryIO, position: int, syntax: str) -> int:
    """Where the last element ends that follows Pixel Data as it should: of a higher tag, and within the file."""
    order = ">" if syntax == EXPLICIT_BIG else "<"
    end, last = size_of(file), PIXEL_DATA
    while True:
        file.seek(position)
        header = file.read(12)
        if len(header) < 8:
            return position
        group, number, length = struct.unpack(f"{order}HHI", header[:8])
        tag, size = group << 16 | number, 8
        if syntax != IMPLICIT_LITTLE:
            vr = header[4:6]
            if not (vr.isalpha() and vr.isupper()):
                return position
            if vr in _SHORT_VRS:
                (length,) = struct.unpack(f"{order}H", header[6:8])
            elif len(header) == 12:
                (length,), size = struct.unpack(f"{order}I", header[8:]), 12
            else:
                return position
        if tag <= last or group == _ITEM_GROUP:
            return position
        if length == _UNDEFINED:  # a sequence: it has no pixels of ours
            return end
        if position + size + length > end:
            return position
        position, last = position + size + length, tag
