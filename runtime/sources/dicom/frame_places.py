"""Which fragments are which frame's: by the offset table, by what the fragments hold, by Number of Frames.

A frame keeps its index: one whose fragments are empty or missing is lost, and those after it stay where they are. None
of the three is believed alone: what is not agreed is flagged, and a frame whose place is in doubt is lost.
Not for: decoding. Source: PS3.5 A.4 (Basic Offset Table), PS3.3 C.7.6.3.1.8 (Extended Offset Table).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO

from cathrt.runtime.errors import SourceError
from cathrt.runtime.sources.dicom.encapsulated import Fragment, Items
from cathrt.runtime.sources.dicom.stream_groups import Coding, Group, groups_of

_EMPTY = "never arrived: its item in Pixel Data is empty"
_TABLE_NAMES_NONE = "never arrived: the offset table names no data for it"
_NONE_LEFT = "never arrived: Pixel Data holds no data for it"
_IN_DOUBT = "its place is not known: fragments are missing or damaged, and no offset table says which"


@dataclass(frozen=True, slots=True)
class FramePlace:
    """One frame's fragments, in order; or, where it has none, why it is lost."""

    fragments: tuple[Fragment, ...]
    lost: str = ""


@dataclass(frozen=True, slots=True)
class FramePlaces:
    """The frames in order, at least as many as were declared."""

    frames: tuple[FramePlace, ...]
    flags: frozenset[str]


def place_frames(
    file: BinaryIO, items: Items, *, declared: int, extended_table: bytes | None, coding: Coding
) -> FramePlaces:
    """Find each frame. declared: Number of Frames. Raises SourceError where Pixel Data holds nothing."""
    flags = set() if items.delimited else {"pixel_data_cut_off"}
    groups = groups_of(file, items.fragments, coding)
    if all(group.empty for group in groups):
        raise SourceError("Pixel Data (7FE0,0010) holds no fragment: the file has no image; export it again")
    tables = [table for table in (_offsets(extended_table, "Q"), _offsets(items.offset_table, "I")) if table]
    by_table = [_by_table(items.fragments, groups, table, declared) for table in tables]
    frames = next((frames for frames in by_table if frames is not None), None)
    if frames is None:
        if extended_table or items.offset_table:
            flags.add("offset_table_unusable")
        agreed = _agreed(groups, tables[0]) if tables else len(groups)
        frames = _by_content(file, items.fragments, groups, coding, declared=declared, agreed=agreed)
        if sum(group.empty for group in groups) > sum(frame.lost == _EMPTY for frame in frames):
            flags.add("empty_fragments")
    if len(frames) > declared:
        flags.add("more_frames_than_declared")
    frames += [FramePlace((), _NONE_LEFT)] * (declared - len(frames))
    if any(frame.lost for frame in frames):
        flags.add("frames_missing")
    return FramePlaces(tuple(frames), frozenset(flags))


def _offsets(table: bytes | None, code: str) -> tuple[int, ...]:
    """The entries of an offset table, counted from the first item's tag; () for one that is no such table."""
    size = struct.calcsize(f"<{code}")
    if not table or len(table) % size:
        return ()
    return struct.unpack(f"<{len(table) // size}{code}", table)


def _by_table(
    fragments: Sequence[Fragment], groups: Sequence[Group], offsets: tuple[int, ...], declared: int
) -> list[FramePlace] | None:
    """Frames by an offset table; None where it cannot be right.

    It must start at 0, rise, and point at items, or beyond the last. Two equal entries leave the first of the two
    frames without data. Each code stream must begin with an entry: else two frames were one. Where the number of
    entries is not that of the frames declared, it must be that of the streams, and those must not be as many as were
    declared.
    """
    base = fragments[0].offset - 8
    after = fragments[-1].offset + fragments[-1].length - base
    index_at = {fragment.offset - 8 - base: index for index, fragment in enumerate(fragments)}
    if offsets[0] != 0 or any(a > b for a, b in pairwise(offsets)):
        return None
    starts = [index_at.get(offset, len(fragments) if offset >= after else -1) for offset in offsets]
    begins = {group.fragments[0].offset - 8 - base for group in groups if group.begins}
    if -1 in starts or not begins <= set(offsets):
        return None
    if len(offsets) != declared:
        borders = {group.fragments[0].offset - 8 - base for group in groups}
        filled = sum(not group.empty for group in groups)
        if filled == declared or any(offset not in borders and offset < after for offset in offsets):
            return None
    frames = []
    for start, end in pairwise([*starts, len(fragments)]):
        mine = tuple(fragment for fragment in fragments[start:end] if fragment.length)
        why_lost = _EMPTY if end > start else _NONE_LEFT if start == len(fragments) else _TABLE_NAMES_NONE
        frames.append(FramePlace(mine, "" if mine else why_lost))
    return frames


def _by_content(
    file: BinaryIO,
    fragments: Sequence[Fragment],
    groups: Sequence[Group],
    coding: Coding,
    *,
    declared: int,
    agreed: int,
) -> list[FramePlace]:
    """Frames by what the fragments hold. An empty one is a frame that is lost, or padding: the count decides.

    agreed: how many groups, from the first, are where a table says they are.
    """
    filled = [group for group in groups if not group.empty]
    if len(filled) == len(groups) == declared:
        return [_place(group) for group in groups]
    joined = [group for group in filled if len(group.fragments) > 1]
    torn = [group for group in joined if not coding.is_whole(file, group)]
    if len(filled) <= declared == len(fragments) and len(torn) == len(joined):
        return [_place(Group((fragment,), empty=not fragment.length)) for fragment in fragments]
    trimmed = list(groups)
    while trimmed[-1].empty:
        trimmed.pop()
    chosen = next((found for found in (groups, trimmed, filled) if len(found) == declared), None)
    sure = len(groups)
    if chosen is None:
        chosen = trimmed if len(filled) > declared else groups[:declared]
        if len(filled) < declared:
            sure = agreed
        if len(filled) < declared < len(trimmed):  # some of the empty ones are frames, and some are not
            sure = min(sure, [group.empty for group in groups].index(True))
    if torn and torn[0] in chosen:  # two frames may have become one there
        sure = min(sure, chosen.index(torn[0]) + 1)
    placed = [_place(group) for group in chosen[:sure]]
    if sure < len(chosen):
        placed += [FramePlace((), _IN_DOUBT)] * (max(declared, len(chosen)) - len(placed))
    return placed


def _place(group: Group) -> FramePlace:
    return FramePlace((), _EMPTY) if group.empty else FramePlace(group.fragments)


def _agreed(groups: Sequence[Group], offsets: tuple[int, ...]) -> int:
    """How many groups, from the first, begin and end where a table says their frames do; all, if it is of zeros."""
    if not any(offsets):
        return len(groups)
    base = groups[0].fragments[0].offset
    last = groups[-1].fragments[-1]
    borders = [*(group.fragments[0].offset - base for group in groups), last.offset + last.length + 8 - base]
    agreed = [begin == offset for begin, offset in zip(borders, offsets, strict=False)]
    in_both = range(min(len(groups), len(offsets)))
    return next((index for index in in_both if not all(agreed[index : index + 2])), len(in_both))
