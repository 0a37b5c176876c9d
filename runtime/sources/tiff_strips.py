"""Whether the strips or tiles of a TIFF picture are all there and whole, where libtiff draws on and does not say so.

libtiff refuses LZW, PackBits, Zstandard and LZMA streams that end early. It takes a JPEG strip that ends early, and
does not read as far as the checksum of a zlib stream. Source: TIFF 6.0 and its Technical Note 2.
Not for: bare JPEG streams (code_stream.py).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.sources.code_stream import CodeStreamError, read_code_stream_header, require_whole_stream
from cathrt.runtime.sources.tiff_directory import Directory

UNCOMPRESSED, JPEG, DEFLATE = 1, 7, (8, 32946)
_STRIP_OFFSETS, _STRIP_BYTE_COUNTS, _ROWS_PER_STRIP = 273, 279, 278
_TILE_WIDTH, _TILE_LENGTH, _TILE_OFFSETS, _TILE_BYTE_COUNTS = 322, 323, 324, 325
_JPEG_TABLES = 347


@dataclass(frozen=True, slots=True)
class Layout:
    """What the strips of a picture hold. apart: each strip has one of the samples only (PlanarConfiguration 2)."""

    rows: int
    columns: int
    samples: int
    bits: int
    compression: int
    apart: bool


@dataclass(frozen=True, slots=True)
class _Strip:
    """One strip or tile: its bytes in the file, and its part of the picture. samples: of each pixel in it."""

    offset: int
    length: int
    rows: int
    columns: int
    samples: int


def require_whole_strips(data: bytes, directory: Directory, layout: Layout, limits: LimitsConfig) -> None:
    """Raise CodeStreamError or DirectoryError where a part of the picture is damaged or missing."""
    tables = directory.octets(_JPEG_TABLES)
    for number, strip in enumerate(_strips(directory, layout, limits)):
        stream = data[strip.offset : strip.offset + strip.length]
        try:
            if len(stream) < strip.length or not stream:
                raise CodeStreamError(f"{len(stream)} of its {strip.length} bytes are there")
            if layout.compression == UNCOMPRESSED:
                _require_all_bytes(stream, strip, layout.bits)
            elif layout.compression == JPEG:
                _require_whole_jpeg(stream, tables, strip, layout.bits)
            elif layout.compression in DEFLATE:
                _require_whole_zlib(stream, strip)
        except CodeStreamError as exc:
            raise CodeStreamError(f"strip or tile {number}: {exc}") from exc


def _require_all_bytes(stream: bytes, strip: _Strip, bits: int) -> None:
    needed = strip.rows * (-(-strip.columns * strip.samples * bits // 8))
    if len(stream) < needed:
        raise CodeStreamError(f"{len(stream)} bytes, expected {needed}")


def _require_whole_jpeg(stream: bytes, tables: bytes, strip: _Strip, bits: int) -> None:
    whole = tables[:-2] + stream[2:] if tables else stream
    header = read_code_stream_header(whole)
    require_whole_stream(whole, header.family)
    if header.rows < strip.rows or header.columns < strip.columns:
        raise CodeStreamError(f"{header.rows}x{header.columns}, expected {strip.rows}x{strip.columns}")
    if (header.family, header.components, header.bits) != ("JPEG", strip.samples, bits):
        found = f"{header.family}, {header.components} components of {header.bits} bits"
        raise CodeStreamError(f"{found}, expected JPEG, {strip.samples} of {bits}")


def _require_whole_zlib(stream: bytes, strip: _Strip) -> None:
    most_bytes = strip.rows * strip.columns * max(8, 2 * strip.samples)
    inflater = zlib.decompressobj()
    try:
        inflater.decompress(stream, most_bytes)
        inflater.decompress(inflater.unconsumed_tail, 1)  # what is due now is the checksum
    except zlib.error as exc:
        raise CodeStreamError(str(exc)) from exc
    if not inflater.eof:
        raise CodeStreamError("a zlib stream that does not end")


def _strips(directory: Directory, layout: Layout, limits: LimitsConfig) -> Iterator[_Strip]:
    """Row by row; planes, where they are apart, follow each other. Raises CodeStreamError where some are not listed."""
    tiled = _TILE_OFFSETS in directory
    offsets = directory.integers(_TILE_OFFSETS if tiled else _STRIP_OFFSETS)
    lengths = directory.integers(_TILE_BYTE_COUNTS if tiled else _STRIP_BYTE_COUNTS)
    if tiled:
        rows, columns = directory.integer(_TILE_LENGTH), directory.integer(_TILE_WIDTH)
    else:
        rows, columns = min(directory.integer(_ROWS_PER_STRIP, layout.rows), layout.rows), layout.columns
    if not 1 <= rows * columns <= limits.max_rows * limits.max_columns:
        raise CodeStreamError(f"strips or tiles of {rows}x{columns}, expected 1x1 to limits.max_rows x max_columns")
    in_plane = -(-layout.rows // rows) * -(-layout.columns // columns)
    expected = in_plane * (layout.samples if layout.apart else 1)
    if not len(offsets) == len(lengths) == expected:
        raise CodeStreamError(f"{len(offsets)} strips or tiles and {len(lengths)} lengths of them, expected {expected}")
    samples = 1 if layout.apart else layout.samples
    for number, (offset, length) in enumerate(zip(offsets, lengths, strict=True)):
        covered = rows if tiled else min(rows, layout.rows - number % in_plane * rows)
        yield _Strip(offset, length, covered, columns, samples)
