"""Whole code streams of every form that is decoded, each of a small picture, for the tests that cut them up.

Not for: what the decoders make of them (test_cut_streams.py).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rle.rle import encode_frame as rle_encode_frame

from cathrt.runtime.sources.dicom.decoders import DECODERS, PixelLayout, decode_frame
from tests.sources.dicom_bytes import HTJ2K_LOSSLESS, J2K_LOSSLESS, JPEG_BASELINE, JPEG_LS, JPEG_SV1, RLE, pictures

ROWS, COLUMNS = 97, 131  # several blocks and code-blocks each way, and none of them full at the edge
FORMS_FOLDER = Path(__file__).parent / "jpeg2000_forms"
JPEG_EXTENDED, JPEG_PROCESS_14 = "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57"
JPEG_LS_NEAR, J2K = "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.91"
HTJ2K_RPCL, HTJ2K = "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203"

Kind = Literal["jpeg", "jpeg-ls", "jpeg2000", "rle"]


@dataclass(frozen=True)
class Form:
    """One whole stream and how DICOM describes the frame. lossless: it decodes to picture(bits), cut to its size."""

    syntax: str
    bits: int
    stream: bytes
    rows: int = ROWS
    columns: int = COLUMNS
    lossless: bool = False

    @property
    def kind(self) -> Kind:
        families: dict[bytes, Kind] = {b"\xff\x4f": "jpeg2000", b"\xff\xd8": "jpeg"}
        if self.syntax in (JPEG_LS, JPEG_LS_NEAR):
            return "jpeg-ls"
        return families.get(self.stream[:2], "rle")

    def decode(self, stream: bytes) -> NDArray[np.generic]:
        """What the reader makes of a frame with these bytes; raises FrameDecodeError."""
        layout = PixelLayout(self.rows, self.columns, 8 if self.bits == 8 else 16, self.bits, self.bits - 1)
        return decode_frame(DECODERS[self.syntax], stream, layout)


def picture(bits: int, rows: int = ROWS, columns: int = COLUMNS) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """The picture that all forms of this depth and size hold."""
    frame = pictures(1, rows, columns, bits)[0]
    return frame.astype(np.uint8) if bits <= 8 else frame


def pillow(fmt: str, **options: object) -> bytes:
    """The 8-bit picture as Pillow writes it."""
    out = io.BytesIO()
    Image.fromarray(picture(8)).save(out, fmt, **options)
    return out.getvalue()


def _jpeg2000(bits: int, *, reversible: bool = True, **options: object) -> bytes:
    return bytes(
        imagecodecs.jpeg2k_encode(
            picture(bits), codecformat="j2k", reversible=reversible, level=0 if reversible else 50,
            bitspersample=bits, **options,
        )
    )  # fmt: skip


def _pillow_jpeg2000(*, lossless: bool = True, **options: object) -> bytes:
    layers = {"quality_mode": "rates", "quality_layers": [40, 10, 0 if lossless else 5]}
    return pillow("JPEG2000", no_jp2=True, irreversible=not lossless, **layers, **options)


def _rle(bits: int) -> bytes:
    cells = picture(bits)
    return bytes(rle_encode_frame(cells.tobytes(), ROWS, COLUMNS, 1, 8 * cells.itemsize, "<"))


def forms() -> dict[str, Form]:
    """All of them, by name."""
    found: dict[str, Form] = {}
    depths = (8, 10, 12, 16)
    for bits in depths:
        found[f"rle-{bits}"] = Form(RLE, bits, _rle(bits), lossless=True)
        lossless = bytes(imagecodecs.ljpeg_encode(picture(bits), bitspersample=bits))
        found[f"jpeg-lossless-{bits}"] = Form(JPEG_SV1, bits, lossless, lossless=True)
        found[f"jpeg-ls-{bits}"] = Form(JPEG_LS, bits, bytes(imagecodecs.jpegls_encode(picture(bits))), lossless=True)
        found[f"jpeg2000-{bits}"] = Form(J2K_LOSSLESS, bits, _jpeg2000(bits), lossless=True)
        found[f"jpeg2000-lossy-{bits}"] = Form(J2K, bits, _jpeg2000(bits, reversible=False))
    for predictor in range(1, 8):
        stream = bytes(imagecodecs.jpeg8_encode(picture(12), lossless=True, predictor=predictor, bitspersample=12))
        found[f"jpeg-lossless-predictor-{predictor}"] = Form(JPEG_PROCESS_14, 12, stream, lossless=True)
    found["jpeg-ls-near-8"] = Form(JPEG_LS_NEAR, 8, bytes(imagecodecs.jpegls_encode(picture(8), level=2)))
    found |= _jpeg_forms() | _jpeg2000_forms() | _htj2k_forms()
    return found


def _jpeg_forms() -> dict[str, Form]:
    found = {
        f"jpeg-{level}": Form(JPEG_BASELINE, 8, bytes(imagecodecs.jpeg8_encode(picture(8), level=level)))
        for level in (30, 98)
    }
    twelve = bytes(imagecodecs.jpeg8_encode(picture(12), level=90, bitspersample=12))
    found["jpeg-12"] = Form(JPEG_EXTENDED, 12, twelve)
    found["jpeg-without-tables"] = Form(JPEG_BASELINE, 8, without_huffman_tables(found["jpeg-98"].stream))
    for name, options in {
        "optimised": {"optimize": True},
        "restart-rows": {"restart_marker_rows": 1},
        "restart-blocks": {"restart_marker_blocks": 5},
        "progressive": {"progressive": True},
        "progressive-restart": {"progressive": True, "restart_marker_rows": 2},
    }.items():
        found[f"jpeg-{name}"] = Form(JPEG_BASELINE, 8, pillow("JPEG", quality=90, **options))
    return found


def _jpeg2000_forms() -> dict[str, Form]:
    found = {}
    for order in ("LRCP", "RLCP", "RPCL", "PCRL", "CPRL"):
        found[f"jpeg2000-{order}"] = _pillow_jpeg2000(progression=order)
        found[f"jpeg2000-{order}-precincts"] = _pillow_jpeg2000(
            progression=order, precinct_size=(64, 32), codeblock_size=(16, 16), num_resolutions=3
        )
    found["jpeg2000-tiles"] = _pillow_jpeg2000(tile_size=(64, 48), plt=True)
    found["jpeg2000-one-resolution"] = _pillow_jpeg2000(num_resolutions=1)
    named = {name: Form(J2K_LOSSLESS, 8, stream, lossless=True) for name, stream in found.items()}
    named["jpeg2000-lossy-layers"] = Form(J2K, 8, _pillow_jpeg2000(lossless=False))
    streams = {path.stem: path.read_bytes() for path in sorted(FORMS_FOLDER.glob("*.j2k"))}
    streams["packed-headers-of-tile"] = with_packed_headers(streams["packets_marked"], in_main_header=False)
    streams["packed-headers-of-all"] = with_packed_headers(streams["packets_marked"], in_main_header=True)
    return named | {f"jpeg2000-{name}": Form(J2K_LOSSLESS, 8, s, 41, 53, lossless=True) for name, s in streams.items()}


def _htj2k_forms() -> dict[str, Form]:
    found = {}
    for bits in (8, 12, 16):
        found[f"htj2k-{bits}"] = Form(
            HTJ2K_LOSSLESS, bits, bytes(imagecodecs.htj2k_encode(picture(bits), reversible=True)), lossless=True
        )
        lossy = bytes(imagecodecs.htj2k_encode(picture(bits), reversible=False, level=1e-4))
        found[f"htj2k-lossy-{bits}"] = Form(HTJ2K, bits, lossy)
    for name, options in {"tiles": {"tile": (64, 48)}, "parts": {"tilepart": 1, "tlm": True, "resolutions": 4}}.items():
        stream = bytes(imagecodecs.htj2k_encode(picture(16), reversible=True, **options))
        found[f"htj2k-{name}"] = Form(HTJ2K_RPCL, 16, stream, lossless=True)
    return found


def jpeg_borders(stream: bytes) -> list[int]:
    """Where markers begin, those within coded data included."""
    borders, at, coded = [], 0, False
    while at + 2 <= len(stream):
        code = stream[at + 1]
        if stream[at] != 0xFF or code in (0, 0xFF):
            at += 1
            continue
        borders.append(at)
        coded = code == 0xDA or (coded and 0xD0 <= code <= 0xD7)
        length = 0 if code == 0xD8 or 0xD0 <= code <= 0xD9 else struct.unpack_from(">H", stream, at + 2)[0]
        at += 2 + length
    return borders


def without_huffman_tables(stream: bytes) -> bytes:
    """A JPEG stream whose tables are the standard's own, as frames of Motion JPEG are stored."""
    borders = jpeg_borders(stream)
    return b"".join(stream[a:b] for a, b in pairwise([*borders, len(stream)]) if stream[a + 1] != 0xC4)


@dataclass(frozen=True)
class TilePart:
    """Where one begins (SOT), where its packets begin, and where it ends."""

    start: int
    body: int
    end: int


def tile_parts(stream: bytes) -> list[TilePart]:
    """The tile parts of a JPEG 2000 stream with true lengths."""
    at = stream.index(b"\xff\x90\x00\x0a")
    found = []
    while stream[at : at + 2] == b"\xff\x90":
        (length,) = struct.unpack_from(">I", stream, at + 6)
        body = at + 12
        while stream[body : body + 2] != b"\xff\x93":
            body += 2 + struct.unpack_from(">H", stream, body + 2)[0]
        found.append(TilePart(at, body + 2, at + length))
        at += length
    assert stream[at : at + 2] == b"\xff\xd9"
    return found


def packets(body: bytes) -> list[bytes]:
    """The packets of a tile part that marks them (SOP). Coded data hold no such marker."""
    starts = [i for i in range(len(body) - 1) if body[i : i + 4] == b"\xff\x91\x00\x04"]
    return [body[a:b] for a, b in pairwise([*starts, len(body)])]


def jpeg2000_borders(stream: bytes) -> list[int]:
    """Where the segments of the main header, tile parts, their bodies and marked packets begin."""
    at, borders = 2, [2]
    while stream[at : at + 2] != b"\xff\x90":
        at += 2 + struct.unpack_from(">H", stream, at + 2)[0]
        borders.append(at)
    for part in tile_parts(stream):
        borders += [part.start, part.body, part.end]
        borders += [i for i in range(part.body, part.end) if stream[i : i + 2] in (b"\xff\x91", b"\xff\x92")]
    return borders


def with_tile_part_length(stream: bytes, part: TilePart, length: int) -> bytes:
    """The stream with another Psot."""
    return stream[: part.start + 6] + struct.pack(">I", length) + stream[part.start + 10 :]


def with_packed_headers(stream: bytes, *, in_main_header: bool) -> bytes:
    """A stream of one tile part with SOP and EPH, with its packet headers moved into PPM or PPT."""
    (part,) = tile_parts(stream)
    heads, bodies = b"", b""
    for packet in packets(stream[part.body : part.end]):
        head, body = packet.split(b"\xff\x92", 1)
        heads += head[6:] + b"\xff\x92"
        bodies += head[:6] + body
    if in_main_header:
        heads = struct.pack(">I", len(heads)) + heads
    middle = len(heads) // 2  # in two pieces, as long headers must be
    pieces = [bytes([number]) + piece for number, piece in enumerate((heads[:middle], heads[middle:]))]
    marker = b"\xff\x60" if in_main_header else b"\xff\x61"
    packed = b"".join(marker + struct.pack(">H", 2 + len(piece)) + piece for piece in pieces)
    tile = stream[part.start : part.body - 2] + (b"" if in_main_header else packed) + b"\xff\x93" + bodies
    tile = tile[:6] + struct.pack(">I", len(tile)) + tile[10:]
    return stream[: part.start] + (packed if in_main_header else b"") + tile + b"\xff\xd9"


Cut = tuple[str, bytes]


def positions(form: Form) -> list[int]:
    """Where a stream is cut: every 1/32 of it, each marker border, and every one of its last bytes."""
    whole = form.stream
    borders: dict[Kind, Callable[[bytes], list[int]]] = {
        "jpeg": jpeg_borders, "jpeg-ls": jpeg_borders, "jpeg2000": jpeg2000_borders, "rle": lambda _: [64]
    }  # fmt: skip
    at = {len(whole) * i // 32 for i in range(1, 32)} | set(borders[form.kind](whole))
    at |= set(range(len(whole) - 20, len(whole)))
    return sorted(p for p in at if 0 < p < len(whole))


def cuts(form: Form) -> Iterator[Cut]:
    """The stream cut at each position and closed with its end marker; JPEG 2000 also with the lengths made to fit."""
    whole = form.stream
    for at in positions(form):
        if form.kind == "rle":
            yield f"cut at {at}", whole[:at]
            continue
        closed = whole[:at] + b"\xff\xd9"
        yield f"cut at {at}", closed
        if form.kind == "jpeg2000":
            for part in tile_parts(whole):
                if part.start + 12 <= at < part.end:
                    yield f"cut at {at}, Psot fits", with_tile_part_length(closed, part, at - part.start)
                    yield f"cut at {at}, Psot 0", with_tile_part_length(closed, part, 0)
