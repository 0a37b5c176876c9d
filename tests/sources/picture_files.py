"""Picture files put together byte by byte, for forms that Pillow does not write. Not for: what is made of them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.sources.dicom_bytes import pictures

ROWS, COLUMNS = 37, 53
GREY8 = pictures(1, ROWS, COLUMNS, 8)[0].astype(np.uint8)
GREY16 = pictures(1, ROWS, COLUMNS, 16)[0]
Pixels = NDArray[np.uint8] | NDArray[np.uint16]
Field = tuple[int, int, Sequence[int]]  # tag, kind, values

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Of Adam7: first row, first column, and steps.
_PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
_KINDS = {1: "B", 2: "B", 3: "H", 4: "I", 7: "B", 16: "Q"}


def saved(pixels: Pixels, fmt: str, mode: str | None = None, **options: object) -> bytes:
    """As Pillow writes it, after a conversion to another mode."""
    out = io.BytesIO()
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(out, fmt, **options)
    return out.getvalue()


def packed(samples: Pixels, bits: int, order: str = ">") -> bytes:
    """Rows of samples (rows, columns) or (rows, columns, samples), each row ending with a whole byte."""
    rows = samples.reshape(samples.shape[0], -1)
    if bits in (8, 16):
        return rows.astype(f"{order}u{bits // 8}").tobytes()
    shifts = np.arange(bits - 1, -1, -1)
    ones = (rows[..., None].astype(int) >> shifts & 1).astype(np.uint8).reshape(len(rows), -1)
    return np.packbits(ones, axis=1).tobytes()


def chunk(kind: bytes, content: bytes) -> bytes:
    """One chunk of PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(
    samples: Pixels,
    bits: int,
    colour_type: int,
    before: bytes = b"",
    after: bytes = b"",
    *,
    interlaced: bool = False,
) -> bytes:
    """before, after: chunks around the image data."""
    rows, columns = samples.shape[:2]
    passes = [samples[y::dy, x::dx] for y, x, dy, dx in _PASSES] if interlaced else [samples]
    lines = b"".join(
        b"\0" + packed(row[None], bits) for part in passes if part.size for row in part
    )  # filter 0 before each line
    header = struct.pack(">IIBBBBB", columns, rows, bits, colour_type, 0, 0, interlaced)
    body = chunk(b"IHDR", header) + before + chunk(b"IDAT", zlib.compress(lines)) + after + chunk(b"IEND", b"")
    return PNG_SIGNATURE + body


def directory(fields: Sequence[Field], order: str = "<", *, big: bool = False, following: int = 0) -> bytes:
    """A TIFF header and one directory, whose values follow it. following: where the next directory is."""
    count_form, field_form, offset_form, inline = ("Q", "HHQ", "Q", 8) if big else ("H", "HHI", "I", 4)
    header = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "H", 43 if big else 42)
    header += struct.pack(order + "HHQ", 8, 0, 16) if big else struct.pack(order + "I", 8)
    step = struct.calcsize("=" + field_form) + inline
    free = len(header) + struct.calcsize(count_form) + step * len(fields) + inline
    body, values = struct.pack(order + count_form, len(fields)), b""
    for tag, kind, numbers in sorted(fields):
        stored = struct.pack(f"{order}{len(numbers)}{_KINDS[kind]}", *numbers)
        body += struct.pack(order + field_form, tag, kind, len(numbers))
        if len(stored) <= inline:
            body += stored.ljust(inline, b"\0")
        else:
            body += struct.pack(order + offset_form, free + len(values))
            values += stored + bytes(len(stored) % 2)
    return header + body + struct.pack(order + offset_form, following) + values


def tiff(
    strips: Sequence[bytes],
    *,
    photometric: int | None = 1,
    bits: int = 8,
    samples: int = 1,
    compression: int = 1,
    order: str = "<",
    rows_a_strip: int = ROWS,
    tile: int | None = None,
    extra: Sequence[int] = (),
    more: Sequence[Field] = (),
    big: bool = False,
    following: int = 0,
) -> bytes:
    """A TIFF file of ROWS x COLUMNS. tile: its side, where the strips are tiles. more: further tags."""
    fields: list[Field] = [(256, 4, [COLUMNS]), (257, 4, [ROWS]), (258, 3, [bits] * samples), (259, 3, [compression])]
    fields += [(277, 3, [samples]), *more]
    fields += [(262, 3, [photometric])] if photometric is not None else []
    fields += [(338, 3, extra)] if extra else []
    fields += [(278, 4, [rows_a_strip])] if tile is None else [(322, 4, [tile]), (323, 4, [tile])]
    offsets_tag, lengths_tag = (273, 279) if tile is None else (324, 325)
    fields.append((lengths_tag, 4, [len(strip) for strip in strips]))
    size = len(directory([*fields, (offsets_tag, 4, [0] * len(strips))], order, big=big))
    offsets = [size + sum(map(len, strips[:number])) for number in range(len(strips))]
    head = directory([*fields, (offsets_tag, 4, offsets)], order, big=big, following=following)
    return head + b"".join(strips)


def tiles(samples: Pixels, side: int, bits: int, order: str = "<") -> list[bytes]:
    """The samples in tiles, those at the edge padded with zeros."""
    rows, columns = -(-ROWS // side) * side, -(-COLUMNS // side) * side
    room = np.zeros((rows, columns, *samples.shape[2:]), samples.dtype)
    room[:ROWS, :COLUMNS] = samples
    corners = [(row, column) for row in range(0, rows, side) for column in range(0, columns, side)]
    return [packed(room[row : row + side, column : column + side], bits, order) for row, column in corners]


def bmp(
    samples: Pixels,
    bits: int,
    palette: NDArray[np.uint8] | None = None,
    masks: Sequence[int] = (),
    *,
    top_down: bool = False,
) -> bytes:
    """A BMP file of samples as they are stored. palette: (entries, 3). masks: of red, green, blue and alpha."""
    rows, columns = samples.shape[:2]
    lines = [packed(row[None], bits if samples.ndim == 2 else 8) for row in samples]
    body = b"".join(line + bytes(-len(line) % 4) for line in (lines if top_down else lines[::-1]))
    colours = b"" if palette is None else np.c_[palette[:, ::-1], np.zeros(len(palette), np.uint8)].tobytes()
    height = -rows if top_down else rows
    header = struct.pack(
        "<IiiHHIIiiII", 108 if masks else 40, columns, height, 1, bits, 3 if masks else 0, 0, 0, 0, 0, 0
    )
    header += struct.pack("<4I", *masks) + bytes(52) if masks else b""
    start = 14 + len(header) + len(colours)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + header + colours + body


def exif(orientation: int, order: str = "<", kind: int = 3) -> bytes:
    """A block with nothing else in it."""
    return directory([(274, kind, [orientation])], order)


def with_segment(jpeg: bytes, marker: int, content: bytes) -> bytes:
    """A JPEG file with one more segment, after its first marker."""
    return jpeg[:2] + struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content + jpeg[2:]


def xmp(orientation: int) -> bytes:
    """A packet with nothing else in it."""
    about = (
        f'<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="{orientation}"/>'
    )
    return f"<x:xmpmeta xmlns:x='adobe:ns:meta/'>{about}</x:xmpmeta>".encode()
