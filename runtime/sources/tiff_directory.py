"""The first directory of tags of a TIFF file, of an Exif block, or of the index in a JPEG file of several pictures.

Values are read when they are asked for, so that damage in one of them does not hide the others.
Source: TIFF 6.0 section 2, BigTIFF. Not for: what the tags mean (tiff_picture.py, orientation.py).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

_SIZE_OF_KIND = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_UNSIGNED = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}  # BYTE, SHORT, LONG, IFD, LONG8, IFD8
_OCTETS = (1, 2, 7)  # BYTE, ASCII, UNDEFINED
_BYTE_ORDERS = {b"II": "<", b"MM": ">"}


class DirectoryError(ValueError):
    """The bytes are no such directory, or a value of it is damaged."""


@dataclass(frozen=True, slots=True)
class _Field:
    kind: int
    count: int
    position: int  # of its values


class Directory:
    """The first directory in `data`, whose offsets count from its start."""

    def __init__(self, data: bytes) -> None:
        """Raises DirectoryError."""
        self._data = data
        order = _BYTE_ORDERS.get(data[:2])
        version = None if order is None or len(data) < 8 else struct.unpack_from(f"{order}H", data, 2)[0]
        if order is None or version not in (42, 43):
            raise DirectoryError(f"begins with {data[:4].hex() or 'nothing'}, not as TIFF does")
        self._order, self._big = order, version == 43
        self._fields: dict[int, _Field] = {}
        self.next_offset = 0
        try:
            self._read()
        except (struct.error, OverflowError) as exc:  # the latter for an offset of BigTIFF beyond 2^63
            raise DirectoryError("ends within its directory") from exc

    def _read(self) -> None:
        order, data = self._order, self._data
        # Position of the directory, number of fields, one field, its inline values.
        at_form, count_form, field_form, inline = ("Q", "Q", "HHQ", 8) if self._big else ("I", "H", "HHI", 4)
        (at,) = struct.unpack_from(order + at_form, data, 8 if self._big else 4)
        (count,) = struct.unpack_from(order + count_form, data, at)
        at += struct.calcsize(count_form)
        step = struct.calcsize("=" + field_form) + inline
        if at + count * step > len(data):
            raise DirectoryError("ends within its directory")
        for _ in range(count):
            tag, kind, values = struct.unpack_from(order + field_form, data, at)
            position = at + step - inline
            if values * _SIZE_OF_KIND.get(kind, 0) > inline:
                (position,) = struct.unpack_from(order + at_form, data, position)
            if tag in self._fields:
                raise DirectoryError(f"tag {tag} is there twice")
            self._fields[tag] = _Field(kind, values, position)
            at += step
        if at + struct.calcsize(at_form) <= len(data):  # an Exif block may end before it
            (self.next_offset,) = struct.unpack_from(order + at_form, data, at)

    def __contains__(self, tag: int) -> bool:
        return tag in self._fields

    def integers(self, tag: int) -> tuple[int, ...]:
        """Its values, none where the tag is missing. Raises DirectoryError unless they are unsigned integers."""
        field = self._fields.get(tag)
        if field is None:
            return ()
        if field.kind not in _UNSIGNED:
            raise DirectoryError(f"tag {tag} holds no unsigned integers")
        self._require_inside(tag, field)
        return struct.unpack_from(f"{self._order}{field.count}{_UNSIGNED[field.kind]}", self._data, field.position)

    def integer(self, tag: int, default: int | None = None) -> int:
        """Its only value. Raises DirectoryError; where the tag is missing, unless there is a default."""
        values = self.integers(tag)
        if not values and default is not None:
            return default
        if len(values) != 1:
            raise DirectoryError(f"tag {tag} has {len(values)} values, expected 1")
        return values[0]

    def octets(self, tag: int) -> bytes:
        """Its bytes or text, empty where the tag is missing. Raises DirectoryError unless they are bytes."""
        field = self._fields.get(tag)
        if field is None:
            return b""
        if field.kind not in _OCTETS:
            raise DirectoryError(f"tag {tag} holds no bytes")
        self._require_inside(tag, field)
        return self._data[field.position : field.position + field.count]

    def with_integers(self, values: Mapping[int, int]) -> bytes:
        """The data with other values for those of these tags that are there, whose integers have been read."""
        changed = bytearray(self._data)
        for tag, value in values.items():
            if (field := self._fields.get(tag)) is not None:
                struct.pack_into(self._order + _UNSIGNED[field.kind], changed, field.position, value)
        return bytes(changed)

    def _require_inside(self, tag: int, field: _Field) -> None:
        if field.position + field.count * _SIZE_OF_KIND[field.kind] > len(self._data):
            raise DirectoryError(f"the values of tag {tag} lie beyond the end")
