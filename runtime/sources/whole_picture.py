"""Whether a PNG or TIFF picture is whole, where Pillow draws one from what is there and does not say so.

Pillow itself refuses a file that ends early, an unfinished PNG or LZW stream, and a short strip of any other kind.
Not for: bare JPEG and JPEG 2000 streams (code_stream.py). Source: PNG 5.3 (chunks), TIFF 6.0 and its Technical Note 2.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from cathrt.runtime.sources.code_stream import CodeStreamError, read_code_stream_header, require_whole_stream

_COMPRESSION, _OLD_JPEG, _JPEG, _DEFLATE = 259, 6, 7, (8, 32946)
_STRIP_OFFSETS, _STRIP_BYTE_COUNTS, _ROWS_PER_STRIP = 273, 279, 278
_TILE_WIDTH, _TILE_LENGTH, _TILE_OFFSETS, _TILE_BYTE_COUNTS = 322, 323, 324, 325
_JPEG_TABLES = 347
_MOST_BYTES_A_PIXEL = 8  # of the modes that stills.py takes, and some to spare


def require_whole_picture(picture: Any, file: BinaryIO) -> None:
    """Raise CodeStreamError where a part of the picture is damaged or missing. picture: Pillow's, of this file."""
    position = file.tell()
    if picture.format == "PNG":
        file.seek(0)
        _require_checksums(file)
    elif picture.format == "TIFF":
        _require_whole_strips(picture, file)
    file.seek(position)


def _require_checksums(file: BinaryIO) -> None:
    """Critical chunks only: the others hold no pixels. Pillow checks no image data (IDAT)."""
    file.seek(8)
    kind = b""
    while kind != b"IEND":
        head = file.read(8)
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        data = file.read(length)
        stored = file.read(4)
        if len(head) < 8 or len(data) < length or len(stored) < 4:
            raise CodeStreamError("the PNG file ends before its IEND chunk")
        critical = not kind[0] & 0x20
        if critical and zlib.crc32(data, zlib.crc32(kind)) != int.from_bytes(stored, "big"):
            raise CodeStreamError(f"a PNG chunk {kind.decode('ascii', 'replace')} does not match its checksum")


def _require_whole_strips(picture: Any, file: BinaryIO) -> None:
    """Strips or tiles that are JPEG or zlib streams.

    libtiff passes over what is missing from the first, and does not read as far as the checksum of the second.
    """
    compression = picture.tag_v2.get(_COMPRESSION)
    if compression == _OLD_JPEG:
        raise CodeStreamError("a TIFF picture of the old JPEG compression (6): save it as PNG")
    if compression not in (_JPEG, *_DEFLATE):
        return
    for number, strip in enumerate(_strips(picture)):
        file.seek(strip.offset)
        stream = file.read(strip.length)
        try:
            if compression == _JPEG:
                _require_whole_jpeg(stream, picture.tag_v2.get(_JPEG_TABLES, b""), strip)
            else:
                _require_whole_zlib(stream, strip)
        except CodeStreamError as exc:
            raise CodeStreamError(f"strip or tile {number}: {exc}") from exc


def _require_whole_jpeg(stream: bytes, tables: bytes, strip: _Strip) -> None:
    whole = tables[:-2] + stream[2:] if tables else stream
    header = read_code_stream_header(whole)
    require_whole_stream(whole, header.family)
    if header.rows < strip.rows or header.columns < strip.columns:
        raise CodeStreamError(f"{header.rows}x{header.columns}, expected {strip.rows}x{strip.columns}")


def _require_whole_zlib(stream: bytes, strip: _Strip) -> None:
    inflater = zlib.decompressobj()
    try:
        inflater.decompress(stream, strip.rows * strip.columns * _MOST_BYTES_A_PIXEL)
        inflater.decompress(inflater.unconsumed_tail, 1)  # what is due now is the checksum
    except zlib.error as exc:
        raise CodeStreamError(str(exc)) from exc
    if not inflater.eof:
        raise CodeStreamError("a zlib stream that does not end")


@dataclass(frozen=True, slots=True)
class _Strip:
    """One strip or tile: where it lies in the file, and its part of the picture."""

    offset: int
    length: int
    rows: int
    columns: int


def _strips(picture: Any) -> Iterator[_Strip]:
    """Planes, where they are apart, follow each other."""
    tags = picture.tag_v2
    if _TILE_OFFSETS in tags:
        for offset, length in zip(tags[_TILE_OFFSETS], tags[_TILE_BYTE_COUNTS], strict=True):
            yield _Strip(offset, length, tags[_TILE_LENGTH], tags[_TILE_WIDTH])
        return
    step = min(tags.get(_ROWS_PER_STRIP, picture.height), picture.height)
    in_plane = -(-picture.height // step)
    for number, (offset, length) in enumerate(zip(tags[_STRIP_OFFSETS], tags[_STRIP_BYTE_COUNTS], strict=True)):
        yield _Strip(offset, length, min(step, picture.height - number % in_plane * step), picture.width)
