"""The items of encapsulated Pixel Data: where each fragment lies in the file. Reads item headers, never pixel bytes.

Not for: which frame a fragment belongs to (frame_places.py). Source: PS3.5 A.4.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

from cathrt.runtime.errors import SourceError
from cathrt.runtime.sources.content import size_of

_ITEM = struct.pack("<HH", 0xFFFE, 0xE000)
_SEQUENCE_DELIMITER = struct.pack("<HH", 0xFFFE, 0xE0DD)
_UNDEFINED = 0xFFFFFFFF
_MAX_FRAGMENTS = 1 << 18


@dataclass(frozen=True, slots=True)
class Fragment:
    """Bytes of one frame, or of a part of it: their offset in the file, and how many. A whole item, mostly."""

    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Items:
    """The items of Pixel Data, empty ones too.

    offset_table: what the first item holds. fragments: all others. delimited: whether they end as they must.
    end: offset in the file of what follows the last of them and the delimiter.
    """

    offset_table: bytes
    fragments: tuple[Fragment, ...]
    delimited: bool
    end: int


def read_items(file: BinaryIO) -> Items:
    """All items. `file` stands at the first, the Basic Offset Table. Raises SourceError where there are too many."""
    size = size_of(file)
    items: list[Fragment] = []
    at = file.tell()
    while len(header := file.read(8)) == 8:
        tag, (length,) = header[:4], struct.unpack("<I", header[4:])
        if tag == _SEQUENCE_DELIMITER:
            return _items(file, items, delimited=True, end=at + 8)
        if tag == _ITEM and length != _UNDEFINED:
            items.append(Fragment(at + 8, min(length, size - at - 8)))
            at += 8 + items[-1].length
        elif items and items[-1].length % 2 and header[1:5] in (_ITEM, _SEQUENCE_DELIMITER):
            at += 1  # an odd item, padded, whose length does not count the padding
        else:
            break
        if len(items) > _MAX_FRAGMENTS + 1:
            raise SourceError(f"more than {_MAX_FRAGMENTS} fragments in Pixel Data: no run has as many")
        file.seek(at)
    return _items(file, items, delimited=False, end=at)


def read_frame(file: BinaryIO, fragments: tuple[Fragment, ...]) -> bytes:
    """The bytes of one frame."""
    pieces = []
    for fragment in fragments:
        file.seek(fragment.offset)
        pieces.append(file.read(fragment.length))
    return b"".join(pieces)


def _items(file: BinaryIO, items: list[Fragment], *, delimited: bool, end: int) -> Items:
    table = b""
    if items and items[0].length <= 4 * _MAX_FRAGMENTS:
        table = read_frame(file, (items[0],))
    return Items(table, tuple(items[1:]), delimited, end)
