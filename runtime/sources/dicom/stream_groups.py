"""Which fragments belong together by what they hold: where a code stream begins, and where it ends.

Not for: offset tables and Number of Frames (frame_places.py).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from cathrt.runtime.sources.code_stream import (
    END_MARKER,
    STREAM_START,
    CodeStreamError,
    begins_as_stream,
    require_whole_rle,
)
from cathrt.runtime.sources.dicom.decoders import PixelLayout
from cathrt.runtime.sources.dicom.encapsulated import Fragment, read_frame
from cathrt.runtime.sources.jp2 import JP2_START

_LOOK = 64  # bytes: an RLE header; padding after an end marker, of which DICOM asks for one
# Coded data hold no end marker: soon after it begins the next stream. Some encoders leave a few bytes between them.
_NEXT_STREAM = re.compile(rb"(?s)\xff\xd9.{0,16}?(?=" + STREAM_START + rb")")
_OVERLAP = 2 + 16 + 4  # bytes that it looks at
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Group:
    """Neighbouring fragments of one frame. empty: they hold nothing. begins, ends: as a code stream does."""

    fragments: tuple[Fragment, ...]
    empty: bool
    begins: bool = False
    ends: bool = False


class Coding(Protocol):
    """How a frame's bytes begin and end."""

    def begins(self, head: bytes) -> bool: ...
    def ends(self, tail: bytes) -> bool: ...
    def is_whole(self, file: BinaryIO, group: Group) -> bool:
        """Whether a group is one frame for certain."""

    def further(self, file: BinaryIO, group: Group) -> list[int]:
        """Where further frames begin in the bytes of a group."""


class StreamCoding:
    """JPEG, JPEG-LS, JPEG 2000: streams between markers."""

    def begins(self, head: bytes) -> bool:
        return begins_as_stream(head) or head.startswith(JP2_START)

    def ends(self, tail: bytes) -> bool:
        return END_MARKER in tail

    def is_whole(self, file: BinaryIO, group: Group) -> bool:  # noqa: ARG002 - one signature for all
        return group.begins and group.ends

    def further(self, file: BinaryIO, group: Group) -> list[int]:
        found: list[int] = []
        window, position = b"", 0  # position in the group of the window's first byte
        for piece in _pieces(file, group.fragments):
            window += piece
            if position == 0 and window.startswith(JP2_START):
                return []  # whatever its boxes hold is one frame's
            found += [position + match.end() for match in _NEXT_STREAM.finditer(window)]
            position += max(len(window) - _OVERLAP, 0)
            window = window[-_OVERLAP:]
        return sorted(set(found))


class RleCoding:
    """RLE: a header of 64 bytes, and no end that could be seen."""

    def __init__(self, layout: PixelLayout) -> None:
        self._samples = layout.rows * layout.columns
        self._segments = layout.bits_allocated // 8

    def begins(self, head: bytes) -> bool:
        if len(head) < 64:
            return False
        count, *starts = struct.unpack("<16I", head[:64])
        used, unused = starts[: self._segments], starts[self._segments :]
        return count == self._segments and used[0] >= 64 and used == sorted(set(used)) and not any(unused)

    def ends(self, tail: bytes) -> bool:  # noqa: ARG002
        return False

    def is_whole(self, file: BinaryIO, group: Group) -> bool:
        try:
            require_whole_rle(read_frame(file, group.fragments), self._samples, self._segments)
        except CodeStreamError:
            return False
        return True

    def further(self, file: BinaryIO, group: Group) -> list[int]:  # noqa: ARG002
        return []


def groups_of(file: BinaryIO, fragments: Sequence[Fragment], coding: Coding) -> list[Group]:
    """All fragments in order. Streams that share a fragment, as DICOM does not allow, are cut apart."""
    found: list[Group] = []
    for group in _joined(file, fragments, coding):
        starts = [] if group.empty else coding.further(file, group)
        if not starts:
            found.append(group)
            continue
        pieces = _cut(group.fragments, starts)
        found.append(Group(pieces[0], empty=False, begins=group.begins, ends=True))
        found += [Group(piece, empty=False, begins=True, ends=True) for piece in pieces[1:-1]]
        found.append(Group(pieces[-1], empty=False, begins=True, ends=group.ends))
    return found


def _joined(file: BinaryIO, fragments: Sequence[Fragment], coding: Coding) -> list[Group]:
    """A group begins where a fragment begins as a stream does, or follows one that ended.

    So a frame whose first fragment is missing is kept apart from the frame before it. An empty fragment is a group of
    its own unless a stream that has begun goes on after it.
    """
    heads = [_head(file, fragments, index) for index in range(len(fragments))]
    empty = [_is_empty(fragment, head) for fragment, head in zip(fragments, heads, strict=True)]
    begins = [not void and coding.begins(head) for void, head in zip(empty, heads, strict=True)]
    goes_on = _goes_on(empty, begins)
    groups: list[Group] = []
    members: list[Fragment] = []  # of the group that is open
    open_begins, tail = False, b""
    for index, fragment in enumerate(fragments):
        ended = not members or coding.ends(tail)
        if members and (ended or begins[index] or (empty[index] and not goes_on[index])):
            groups.append(Group(tuple(members), empty=False, begins=open_begins, ends=ended))
            members = []
        if not members and empty[index]:
            groups.append(Group((fragment,), empty=True))
            continue
        if not members:
            open_begins, tail = begins[index], b""
        members.append(fragment)
        tail = (tail + _tail(file, fragment))[-_LOOK:]
    if members:
        groups.append(Group(tuple(members), empty=False, begins=open_begins, ends=coding.ends(tail)))
    return groups


def _head(file: BinaryIO, fragments: Sequence[Fragment], index: int) -> bytes:
    """The first bytes from this fragment on; a short one may hold a part of a marker or header."""
    head = b""
    while len(head) < _LOOK and index < len(fragments) and fragments[index].length:
        file.seek(fragments[index].offset)
        head += file.read(min(fragments[index].length, _LOOK - len(head)))
        index += 1
    return head


def _tail(file: BinaryIO, fragment: Fragment) -> bytes:
    size = min(fragment.length, _LOOK)
    file.seek(fragment.offset + fragment.length - size)
    return file.read(size)


def _pieces(file: BinaryIO, fragments: Sequence[Fragment]) -> Iterator[bytes]:
    for fragment in fragments:
        for at in range(0, fragment.length, _PIECE):
            file.seek(fragment.offset + at)
            yield file.read(min(_PIECE, fragment.length - at))


def _is_empty(fragment: Fragment, head: bytes) -> bool:
    """Without a byte, or of padding alone."""
    return fragment.length <= _LOOK and not head[: fragment.length].strip(b"\0")


def _goes_on(empty: list[bool], begins: list[bool]) -> list[bool]:
    """For each fragment, whether the next one that is not empty goes on with a stream."""
    found, next_goes_on = [], False
    for void, starts in zip(reversed(empty), reversed(begins), strict=True):
        found.append(next_goes_on)
        if not void:
            next_goes_on = not starts
    return found[::-1]


def _cut(fragments: Sequence[Fragment], starts: list[int]) -> list[tuple[Fragment, ...]]:
    """The fragments of a group, cut at these positions of its bytes."""
    pieces: list[list[Fragment]] = [[]]
    borders = [*starts]
    at = 0  # position in the group of the fragment's first byte
    for fragment in fragments:
        begin = at
        while borders and borders[0] < at + fragment.length:
            border = borders.pop(0)
            if border > begin:
                pieces[-1].append(Fragment(fragment.offset + begin - at, border - begin))
            pieces.append([])
            begin = border
        pieces[-1].append(Fragment(fragment.offset + begin - at, at + fragment.length - begin))
        at += fragment.length
    return [tuple(piece) for piece in pieces]
