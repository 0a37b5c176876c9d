"""Uncompressed Pixel Data, one frame at a time.

Not for: compressed frames (decoders.py).
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.sources.dicom.decoders import FrameDecodeError, PixelLayout, stored_values


class Readable(Protocol):
    """A file or an inflated stream."""

    def read(self, size: int, /) -> bytes: ...
    def seek(self, position: int, /) -> int: ...


def read_native_frame(
    file: Readable, start: int, index: int, layout: PixelLayout, *, little_endian: bool, word_swapped: bool
) -> NDArray[Any] | None:
    """Frame `index` of the Pixel Data whose value begins at `start`: stored values as decode_frame() returns them.

    word_swapped: 8-bit cells in big-endian OW words, two to a word.
    None where the data ends before this frame; raises FrameDecodeError where it ends within it.
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
        return None
    if len(data) < size:
        raise FrameDecodeError(f"the file ends within this frame: {len(data)} bytes of {size}")
    dtype = np.dtype(np.uint8) if layout.bits_allocated == 8 else np.dtype("<u2" if little_endian else ">u2")
    cells = np.frombuffer(data, dtype).reshape(layout.rows, layout.columns)
    return stored_values(cells, layout, cell_bits=layout.bits_allocated, clip=False)
