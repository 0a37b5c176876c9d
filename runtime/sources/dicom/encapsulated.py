"""Encapsulated Pixel Data: where each frame's fragments lie in the file. Reads item headers only, never pixel bytes.

Not for: decoding them (decoders.py). Source: PS3.5 A.4 (fragments, Basic Offset Table), PS3.3 C.7.6.3.1.8 (extended).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO

from cathrt.runtime.errors import SourceError
from cathrt.runtime.sources.content import size_of

_ITEM = (0xFFFE, 0xE000)
_SEQUENCE_DELIMITER = (0xFFFE, 0xE0DD)
_MAX_FRAGMENTS = 1 << 18
_STREAM_STARTS = (b"\xff\xd8", b"\xff\x4f")  # JPEG and JPEG-LS SOI, JPEG 2000 SOC
_END_MARKER = b"\xff\xd9"  # EOI, EOC; coded data cannot hold it
_END_MARKER_WITHIN = 64  # bytes: one of padding is what DICOM asks for, some writers add more


@dataclass(frozen=True, slots=True)
class Fragment:
    """One item: offset of its value in the file, and its length."""

    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class FrameFragments:
    """The fragments of each frame, in order; fewer entries than frames where the file has no more."""

    frames: tuple[tuple[Fragment, ...], ...]
    flags: frozenset[str]


def locate_fragments(
    file: BinaryIO, *, frame_count: int, extended_offsets: tuple[int, ...] | None, splittable: bool
) -> FrameFragments:
    """Assign fragments to frames. `file` stands at the first item (the Basic Offset Table).

    As many fragments as frames: one each, and no table is asked. Otherwise a table that fits (starts at 0, rises,
    points at items, one entry a frame); otherwise the borders of code streams, where the syntax lets a frame span
    fragments (`splittable`); otherwise one fragment a frame, and what is missing is missing.
    Raises SourceError where there is no item at all.
    """
    table, fragments, whole = _read_items(file)
    flags = set() if whole else {"pixel_data_cut_off"}
    if not fragments:
        raise SourceError("Pixel Data (7FE0,0010) holds no fragment: the file has no image; export it again")
    if len(fragments) == frame_count:
        return FrameFragments(tuple((fragment,) for fragment in fragments), frozenset(flags))
    if frame_count == 1 and splittable:
        return FrameFragments((tuple(fragments),), frozenset(flags))
    for offsets in (extended_offsets, table):
        if offsets and (frames := _split_by_offsets(fragments, offsets, frame_count)):
            return FrameFragments(frames, frozenset(flags))
        if offsets:
            flags.add("offset_table_unusable")
    starts = _stream_borders(file, fragments) if splittable and len(fragments) > frame_count else []
    if len(starts) > 1:
        ends = [*starts[1:], len(fragments)]
        frames = tuple(tuple(fragments[a:b]) for a, b in zip(starts, ends, strict=True))
    else:
        frames = tuple((fragment,) for fragment in fragments)
    if len(frames) != frame_count:
        flags.add("frames_missing" if len(frames) < frame_count else "fragments_left_over")
    return FrameFragments(frames[:frame_count], frozenset(flags))


def read_frame(file: BinaryIO, fragments: tuple[Fragment, ...]) -> bytes:
    """The code stream of one frame."""
    pieces = []
    for fragment in fragments:
        file.seek(fragment.offset)
        pieces.append(file.read(fragment.length))
    return b"".join(pieces)


def _read_items(file: BinaryIO) -> tuple[tuple[int, ...], list[Fragment], bool]:
    """Basic Offset Table, fragments, and whether they ended with the sequence delimiter as they must."""
    end = size_of(file)
    table: tuple[int, ...] = ()
    fragments: list[Fragment] = []
    first = True
    while len(header := file.read(8)) == 8:
        group, element, length = struct.unpack("<HHI", header)
        if (group, element) == _SEQUENCE_DELIMITER:
            return table, fragments, True
        if (group, element) != _ITEM or length == 0xFFFFFFFF:
            return table, fragments, False
        offset = file.tell()
        available = min(length, end - offset)
        if first:
            content = file.read(min(available, 4 * _MAX_FRAGMENTS)) if available % 4 == 0 else b""
            table = struct.unpack(f"<{len(content) // 4}I", content[: len(content) // 4 * 4])
            first = False
        elif available > 0:
            fragments.append(Fragment(offset, available))
        if len(fragments) > _MAX_FRAGMENTS:
            raise SourceError(f"more than {_MAX_FRAGMENTS} fragments in Pixel Data: no run has as many")
        file.seek(offset + available)
    return table, fragments, False


def _split_by_offsets(
    fragments: list[Fragment], offsets: tuple[int, ...], frame_count: int
) -> tuple[tuple[Fragment, ...], ...] | None:
    """Frames by an offset table (counted from the first item's tag), or None where it does not fit."""
    base = fragments[0].offset - 8
    index_of = {fragment.offset - 8 - base: index for index, fragment in enumerate(fragments)}
    starts = [index_of.get(offset, -1) for offset in offsets]
    if len(starts) != frame_count or starts[0] != 0 or any(a >= b for a, b in pairwise(starts)):
        return None
    ends = [*starts[1:], len(fragments)]
    return tuple(tuple(fragments[a:b]) for a, b in zip(starts, ends, strict=True))


def _stream_borders(file: BinaryIO, fragments: list[Fragment]) -> list[int]:
    """Fragments at which a frame begins: with the start of a stream, or after one that ends with an end marker.

    So a frame whose first fragment is missing is kept apart from the frame before it.
    """
    borders = []
    ended = True
    for index, fragment in enumerate(fragments):
        file.seek(fragment.offset)
        if ended or file.read(2) in _STREAM_STARTS:
            borders.append(index)
        tail = min(fragment.length, _END_MARKER_WITHIN)
        file.seek(fragment.offset + fragment.length - tail)
        ended = _END_MARKER in file.read(tail)
    return borders
