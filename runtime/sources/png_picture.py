"""PNG pictures: every form of grey, and what of colour, palettes and alpha is grey and opaque.

libpng decodes; it does not compare checksums here, ignores orientations and shows an animation as its first picture.
Source: PNG, third edition: 5 (chunks), 11.3.1.1 (tRNS), 11.3.2.5 (eXIf).
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Iterator

import numpy as np

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.sources.orientation import OrientationError, orientation_in_exif, orientation_in_xmp
from cathrt.runtime.sources.picture import Picture, PictureError, require_opaque, require_size

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PALETTE = 3  # colour type
_MOST_TEXT = 1 << 20  # bytes of a compressed text that are looked into
_XMP = b"XML:com.adobe.xmp"
_RAW_EXIF = b"Raw profile type exif"  # how ImageMagick wrote it before there was eXIf
_ANCILLARY_READ = (b"tRNS", b"eXIf", b"acTL")  # damage to others changes nothing that is read here

_Chunk = tuple[bytes, bytes]


def read_png(data: bytes, limits: LimitsConfig) -> Picture:
    """The picture of a PNG file; what follows its end is ignored. Raises PictureError."""
    import imagecodecs

    chunks = list(_chunks(data))
    kind, header = chunks[0]
    if kind != b"IHDR" or len(header) != 13:
        raise PictureError(f"damaged picture: a PNG file that begins with {kind!r}, expected IHDR")
    columns, rows, depth, colour_type = struct.unpack_from(">IIBB", header)
    require_size(rows, columns, limits)
    if any(kind == b"acTL" and content[:4] != bytes((0, 0, 0, 1)) for kind, content in chunks):
        raise PictureError("several pictures in one file (an animation): save one picture a file")
    try:
        cells = np.asarray(imagecodecs.png_decode(data))
    except (RuntimeError, ValueError) as exc:  # what imagecodecs raises on damaged streams
        raise PictureError(f"damaged picture ({type(exc).__name__}: {exc})") from exc
    bits = 16 if depth == 16 else 8  # fewer bits are spread over 0 to 255
    if cells.shape[:2] != (rows, columns) or cells.dtype.itemsize * 8 != bits:
        raise PictureError(f"damaged picture: it decodes to {cells.shape} {cells.dtype}")
    samples = 1 if cells.ndim == 2 else cells.shape[2]
    called = "a coloured picture"
    if samples in (2, 4):  # tRNS makes an alpha channel, too
        require_opaque(cells[..., -1], (1 << bits) - 1)
        called = "a coloured picture with an alpha channel"
        cells = cells[..., 0] if samples == 2 else cells[..., :3]
    if colour_type == _PALETTE:
        called = "a picture with a coloured palette"
    return Picture(cells, bits, _orientation(chunks), called)


def _chunks(data: bytes) -> Iterator[_Chunk]:
    """Kind and content of each, up to the end of the picture. Raises PictureError where one is damaged or missing."""
    at, kind = len(SIGNATURE), b""
    while kind != b"IEND":
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        content, stored = data[at + 8 : at + 8 + length], data[at + 8 + length : at + 12 + length]
        if len(stored) < 4:
            raise PictureError("incomplete picture: the PNG file ends before its IEND chunk")
        is_read = not kind[0] & 0x20 or kind in _ANCILLARY_READ
        if is_read and zlib.crc32(content, zlib.crc32(kind)) != int.from_bytes(stored, "big"):
            name = kind.decode("ascii", "replace")
            raise PictureError(f"incomplete picture: a PNG chunk {name} does not match its checksum")
        yield kind, content
        at += 12 + length


def _orientation(chunks: list[_Chunk]) -> int:
    """As eXIf states it, else a text that holds an Exif block, else XMP. Raises PictureError."""
    texts = dict(_texts(chunks))
    blocks = [content for kind, content in chunks if kind == b"eXIf"]
    blocks.append(_from_hex(texts.get(_RAW_EXIF, b"")))
    try:
        stated = (orientation_in_exif(block) for block in blocks)
        found = next((orientation for orientation in stated if orientation is not None), None)
        return found or orientation_in_xmp(texts.get(_XMP, b"")) or 1
    except OrientationError as exc:
        raise PictureError(str(exc)) from exc


def _texts(chunks: list[_Chunk]) -> Iterator[tuple[bytes, bytes]]:
    """Keyword and text of those chunks that may state an orientation."""
    for kind, content in chunks:
        keyword, _, rest = content.partition(b"\0")
        if keyword not in (_XMP, _RAW_EXIF):
            continue
        if kind == b"tEXt":
            yield keyword, rest
        elif kind == b"zTXt":
            yield keyword, _inflated(rest[1:])
        elif kind == b"iTXt" and rest.count(b"\0", 2) >= 2:
            text = rest[2:].split(b"\0", 2)[2]  # after a language and a translated keyword
            yield keyword, _inflated(text) if rest[0] else text


def _inflated(stream: bytes) -> bytes:
    """The first of it: damaged text is none."""
    with contextlib.suppress(zlib.error):
        return zlib.decompressobj().decompress(stream, _MOST_TEXT)
    return b""


def _from_hex(text: bytes) -> bytes:
    """What ImageMagick wrote as lines of hexadecimal digits after a name and a length."""
    with contextlib.suppress(ValueError):
        return bytes.fromhex(b"".join(text.split()[2:]).decode("ascii", "replace"))
    return b""
