"""Uncompressed Pixel Data, one frame at a time.

Not for: compressed frames (pixel_frames.py).
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.errors import SourceError
from cathrt.runtime.sources.content import size_of
from cathrt.runtime.sources.dicom.after_pixel_data import LeftOver, is_filled_with, left_over_after
from cathrt.runtime.sources.dicom.decoders import FrameDecodeError, PixelLayout, stored_values
from cathrt.runtime.sources.dicom.inflated import InflatedStream
from cathrt.runtime.sources.dicom.part10 import EXPLICIT_BIG, Part10, PixelDataElement
from cathrt.runtime.sources.dicom.pixel_frames import FrameMissingError, PixelFrames


class Readable(Protocol):
    """A file or an inflated stream."""

    def read(self, size: int, /) -> bytes: ...
    def seek(self, position: int, /) -> int: ...


def native_frames(part10: Part10, layout: PixelLayout, element: PixelDataElement, *, declared: int) -> PixelFrames:
    """The frames of uncompressed Pixel Data, at whose value part10.body stands. declared: Number of Frames.

    As many as there are bytes for: what is left over after the last whole frame is one more, which fails. One byte
    more, or zeros only, are padding. Raises SourceError where there is not one frame.
    """
    body, syntax, size = part10.body, part10.transfer_syntax_uid, layout.frame_bytes
    start = body.tell()
    assert element.length is not None
    length = held = element.length
    if length < size:
        raise SourceError(f"Pixel Data holds {length} bytes, less than one frame of {size}")
    after = LeftOver()
    if not isinstance(body, InflatedStream):
        available = size_of(body) - start
        if available < size:
            raise SourceError(f"the file ends {available} bytes into its first frame of {size}: fetch it again")
        held = min(length, available)
        after = left_over_after(body, start + held, syntax)
        if held > declared * size and is_filled_with(b"\0", body, start + declared * size, start + held):
            held = declared * size
    whole, rest = divmod(held, size)
    found = max(declared, whole + (rest > 1))
    uncounted = whole >= declared and after.size >= size
    word_swapped = syntax == EXPLICIT_BIG and layout.bits_allocated == 8 and element.vr == b"OW"
    flags = {
        "pixel_data_short": length < declared * size,
        "pixel_data_long": length > declared * size + 1,
        "more_frames_than_declared": found > declared,
        "data_after_pixel_data": after.size > 0,
    }

    def read(index: int) -> NDArray[Any]:
        if index == found:
            raise FrameDecodeError(after.reason)
        begin, end = index * size, (index + 1) * size
        if begin >= length:
            raise FrameMissingError("never arrived: Pixel Data ends before it")
        if end > length:
            raise FrameDecodeError(f"Pixel Data ends within this frame: {length - begin} bytes of {size}")
        return read_native_frame(
            body, start, index, layout, little_endian=syntax != EXPLICIT_BIG, word_swapped=word_swapped
        )

    return PixelFrames(found + uncounted, frozenset(name for name, is_so in flags.items() if is_so), read)


def read_native_frame(
    file: Readable, start: int, index: int, layout: PixelLayout, *, little_endian: bool, word_swapped: bool
) -> NDArray[Any]:
    """Frame `index` of the Pixel Data whose value begins at `start`: stored values as decode_frame() returns them.

    word_swapped: 8-bit cells in big-endian OW words, two to a word.
    Raises FrameMissingError where the file ends before this frame, FrameDecodeError where it ends within it.
    """
    size = layout.frame_bytes
    begin = index * size
    # Words are swapped whole, so an odd frame shares its first or last word with its neighbour.
    low = begin - begin % 2 if word_swapped else begin
    high = begin + size + (begin + size) % 2 if word_swapped else begin + size
    file.seek(start + low)
    data = file.read(high - low)
    if word_swapped:
        data = np.frombuffer(data[: len(data) // 2 * 2], ">u2").astype("<u2").tobytes()
    data = data[begin - low : begin - low + size]
    if not data:
        raise FrameMissingError("never arrived: the file ends before it")
    if len(data) < size:
        raise FrameDecodeError(f"the file ends within this frame: {len(data)} bytes of {size}")
    dtype = np.dtype(np.uint8) if layout.bits_allocated == 8 else np.dtype("<u2" if little_endian else ">u2")
    cells = np.frombuffer(data, dtype).reshape(layout.rows, layout.columns)
    return stored_values(cells, layout, cell_bits=layout.bits_allocated, clip=False)
