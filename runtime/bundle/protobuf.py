"""The wire format of protobuf: fields of a message in memory, without a copy; and written.

Source: protobuf.dev/programming-guides/encoding. Not for: what the fields mean (onnx_file.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types; 3 and 4 (groups) do not occur in ONNX


class Field(NamedTuple):
    """One field. start, end: where it stands in its message, tag included."""

    number: int
    wire_type: int
    value: int  # of a varint, else 0
    content: memoryview  # of a length-delimited or fixed field, else empty
    start: int
    end: int


class MalformedError(Exception):
    """The bytes are not protobuf; the text says where."""


def fields(content: memoryview) -> Iterator[Field]:
    """The fields of a message, in their order. Raises MalformedError at the first that is none."""
    position, end = 0, len(content)
    empty = content[:0]
    while position < end:
        start = position
        tag, position = _varint(content, position)
        number, wire_type = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise MalformedError(f"field number {number} at byte {position}")
        value, length = 0, 0
        if wire_type == VARINT:
            value, position = _varint(content, position)
        elif wire_type == BYTES:
            length, position = _varint(content, position)
        elif wire_type in (FIXED32, FIXED64):
            length = 4 if wire_type == FIXED32 else 8
        else:
            raise MalformedError(f"wire type {wire_type} at byte {position}")
        if length > end - position:
            raise MalformedError(f"field {number} ends {length - (end - position)} bytes past its message")
        yield Field(
            number,
            wire_type,
            value,
            content[position : position + length] if length else empty,
            start,
            position + length,
        )
        position += length


def _varint(content: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(content):
            raise MalformedError("cut off inside a number")
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise MalformedError(f"number of more than 10 bytes at byte {position}")


def varints(content: memoryview) -> Iterator[int]:
    """The numbers of a packed field."""
    position = 0
    while position < len(content):
        value, position = _varint(content, position)
        yield value


def written_bytes(number: int, content: bytes) -> bytes:
    """A length-delimited field."""
    return written_head(number, len(content)) + content


def written_head(number: int, length: int) -> bytes:
    """What stands before the content of a length-delimited field."""
    return _written_varint(number << 3 | BYTES) + _written_varint(length)


def written_number(number: int, value: int) -> bytes:
    """A varint field."""
    return _written_varint(number << 3 | VARINT) + _written_varint(value)


def _written_varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
