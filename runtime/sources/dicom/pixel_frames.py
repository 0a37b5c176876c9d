"""The frames of Pixel Data: how many there are, and each one's stored values. Compressed ones; uncompressed: native.py.

Not for: what surrounds the pixels (header.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from numpy.typing import NDArray

from cathrt.runtime.sources.code_stream import END_MARKER, CodeStreamError, read_code_stream_header
from cathrt.runtime.sources.dicom.after_pixel_data import left_over_after
from cathrt.runtime.sources.dicom.decoders import DECODERS, Decoder, FrameDecodeError, PixelLayout, decode_frame
from cathrt.runtime.sources.dicom.encapsulated import Fragment, read_frame, read_items
from cathrt.runtime.sources.dicom.frame_places import place_frames
from cathrt.runtime.sources.dicom.stream_groups import RleCoding, StreamCoding
from cathrt.runtime.sources.jp2 import JP2_START, unboxed

_HEADER_WITHIN = 4096  # bytes, of most code streams
_TAIL = 64
_RESIDUE = 16  # bytes after an end marker: what real encoders leave of their buffers there is shorter


class FrameMissingError(Exception):
    """There are no data of this frame; the run goes on."""


@dataclass(frozen=True, slots=True)
class PixelFrames:
    """count: frames that were declared or found, whichever is more. flags: what is odd about them.

    read: the stored values of a frame, as decode_frame() returns them, or FrameDecodeError or FrameMissingError.
    """

    count: int
    flags: frozenset[str]
    read: Callable[[int], NDArray[Any]]


def encapsulated_frames(
    file: BinaryIO, syntax: str, layout: PixelLayout, *, declared: int, extended_table: bytes | None
) -> PixelFrames:
    """Find the frames of encapsulated Pixel Data, at whose first item `file` stands. Raises SourceError if none."""
    decoder = DECODERS[syntax]
    coding = StreamCoding() if decoder.families else RleCoding(layout)
    items = read_items(file)
    placed = place_frames(file, items, declared=declared, extended_table=extended_table, coding=coding)
    frames = placed.frames
    flags = placed.flags | _stream_flags(file, [frame.fragments for frame in frames], decoder, layout)
    left_over = left_over_after(file, items.end, syntax)
    if left_over.size:
        flags |= {"data_after_pixel_data"}
    # Where frames are missing, these bytes are all that can be of them.
    uncounted = (left_over.has_item or left_over.has_stream) and "frames_missing" not in flags

    def read(index: int) -> NDArray[Any]:
        if index == len(frames):
            raise FrameDecodeError(left_over.reason)
        if frames[index].lost:
            raise FrameMissingError(frames[index].lost)
        return decode_frame(decoder, read_frame(file, frames[index].fragments), layout)

    return PixelFrames(len(frames) + uncounted, flags, read)


def _stream_flags(
    file: BinaryIO, frames: list[tuple[Fragment, ...]], decoder: Decoder, layout: PixelLayout
) -> frozenset[str]:
    """What is odd about code streams that are decoded all the same. Reads their first and last bytes, mostly."""
    flags: set[str] = set()
    for fragments in frames if decoder.families else []:
        if not fragments:
            continue
        head, tail = _ends(file, fragments)
        if head.startswith(JP2_START):
            flags.add("code_stream_in_jp2")
        try:
            whole = None
            if head.startswith(JP2_START) or END_MARKER not in tail:
                whole = unboxed(read_frame(file, fragments))
                tail = whole
            bits = _bits(head if whole is None else whole) or _bits(read_frame(file, fragments))
        except CodeStreamError:
            continue  # decoding says it
        if 0 < bits < layout.bits_stored:
            flags.add("precision_below_bits_stored")
        if (end := tail.rfind(END_MARKER)) < 0:
            flags.add("end_marker_missing")
        elif len(tail[end + 2 :].strip(b"\0\xff")) > _RESIDUE:
            flags.add("bytes_after_end_marker")
    return frozenset(flags)


def _ends(file: BinaryIO, fragments: tuple[Fragment, ...]) -> tuple[bytes, bytes]:
    """The first and the last bytes of a frame."""
    first, last = fragments[0], fragments[-1]
    head = read_frame(file, (Fragment(first.offset, min(first.length, _HEADER_WITHIN)),))
    size = min(last.length, _TAIL)
    return head, read_frame(file, (Fragment(last.offset + last.length - size, size),))


def _bits(head: bytes) -> int:
    """The precision of a stream; 0 where its header is not in these bytes."""
    try:
        return read_code_stream_header(head).bits
    except CodeStreamError:
        return 0
