"""A deflated data set (transfer syntax 1.2.840.10008.1.2.1.99) as a stream that is inflated as it is read.

Seeks forward by inflating and backward within a small window, which is all that parsing a header takes; never holds
more than that window. Not for: random access.
"""

from __future__ import annotations

import zlib
from typing import BinaryIO

from cathrt.runtime.errors import SourceError

_PIECE = 1 << 16
_WINDOW = 1 << 20


class InflatedStream:
    """read, seek and tell over the inflated bytes. Raises SourceError past `cap` bytes, and on damaged data."""

    def __init__(self, file: BinaryIO, cap: int) -> None:
        self._file = file
        self._cap = cap
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._base = 0  # position of _buffer[0]
        self._buffer = bytearray()
        self._position = 0

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> int:
        if position < self._base:
            raise SourceError("a deflated header that refers backwards: write the file without deflation and try again")
        self._position = position
        return position

    def read(self, size: int) -> bytes:
        """At most `size` bytes from here; fewer only at the end."""
        wanted = self._position + size
        while self._base + len(self._buffer) < wanted and (piece := self._inflate()):
            self._buffer += piece
            surplus = min(self._position - self._base, len(self._buffer)) - _WINDOW
            if surplus > _PIECE:
                del self._buffer[:surplus]
                self._base += surplus
        start = self._position - self._base
        data = bytes(self._buffer[start : start + size])
        self._position += len(data)
        return data

    def _inflate(self) -> bytes:
        while not self._inflater.eof:
            data = self._inflater.unconsumed_tail or self._file.read(_PIECE)
            if not data:
                return b""
            try:
                piece = self._inflater.decompress(data, _PIECE)
            except zlib.error as exc:
                raise SourceError(f"damaged deflated data ({exc}): fetch the file again") from exc
            if self._base + len(self._buffer) + len(piece) > self._cap:
                raise SourceError(
                    f"inflates to more than limits.max_file_mib = {self._cap >> 20}: raise it if this is meant"
                )
            if piece:
                return piece
        return b""
