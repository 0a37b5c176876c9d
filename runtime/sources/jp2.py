"""The code stream inside a JP2 or JPH file, for programs that put the whole file where its code stream belongs.

Not for: what the other boxes say of colour and resolution; the DICOM object says it. Source: ITU-T T.800 annex I.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from cathrt.runtime.sources.code_stream import CodeStreamError

JP2_START = b"\x00\x00\x00\x0cjP  \r\n\x87\n"  # the signature box


def unboxed(data: bytes) -> bytes:
    """The one code stream of a JP2 or JPH file; `data` itself where it is none.

    Raises CodeStreamError where there is none or more than one, and for a palette, whose samples are no grey values.
    """
    if not data.startswith(JP2_START):
        return data
    found: list[bytes] = []
    for kind, content in _boxes(data):
        if kind == b"jp2c":
            found.append(content)
        elif kind == b"jp2h" and any(inner == b"pclr" for inner, _ in _boxes(content)):
            raise CodeStreamError("a JP2 file with a palette (pclr): expected grey values")
    if len(found) != 1:
        raise CodeStreamError(f"a JP2 file of {len(found)} code streams (jp2c): expected one")
    return found[0]


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of each box; the last one may be cut short."""
    position = 0
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        head = 8
        if length == 1 and position + 16 <= len(data):
            (length,) = struct.unpack_from(">Q", data, position + 8)
            head = 16
        elif length == 0:  # to the end
            length = len(data) - position
        if length < head:
            raise CodeStreamError(f"a JP2 box of {length} bytes at byte {position}")
        yield kind, data[position + head : position + length]
        position += length
