"""M4: pixels that contradict their description, or themselves.

The table is one part of the malformed corpus; malformed.py puts it together.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import imagecodecs
import numpy as np

from tests.faults.malformed_case import FINE, Case, Read, Refused, flagged, xa
from tests.sources.dicom_bytes import (
    HTJ2K_LOSSLESS,
    J2K_LOSSLESS,
    JPEG_BASELINE,
    JPEG_LS,
    JPEG_SV1,
    RLE,
    Value,
    element,
    encapsulated,
    part10,
    pictures,
    sequence,
    text,
    us,
    xa_elements,
)


def _streams(bits: int = 10, rows: int = 16, columns: int = 24) -> list[bytes]:
    return [bytes(imagecodecs.ljpeg_encode(f, bitspersample=bits)) for f in pictures(3, rows, columns, bits)]


def _sv1(fragments: list[bytes], *, syntax: str = JPEG_SV1, **kwargs: object) -> Callable[[], bytes]:
    return lambda: part10(xa_elements(), encapsulated(fragments, **kwargs), syntax)  # type: ignore[arg-type]


def _j2k(frame: np.ndarray, bits: int) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(frame, codecformat="j2k", reversible=True, level=0, bitspersample=bits))


def _htj2k(frame: np.ndarray) -> bytes:
    return bytes(imagecodecs.htj2k_encode(frame, reversible=True))


def _cut_tile_part(stream: bytes) -> bytes:
    """Without the last 40 bytes of the one tile part, its length true."""
    start = stream.index(b"\xff\x90\x00\x0a")
    shorter = stream[:-42]
    return shorter[: start + 6] + struct.pack(">I", len(shorter) - start) + shorter[start + 10 :] + b"\xff\xd9"


def _native_with(pixel_data: bytes, **changes: Value) -> Callable[[], bytes]:
    elements = xa_elements() | {int(name.removeprefix("_"), 16): value for name, value in changes.items()}
    return lambda: part10(elements, pixel_data)


_S = _streams()
_RAW = pictures().astype("<u2").tobytes()
# Five runs of 128 samples in each of two segments, where a frame has 384.
_LONG_RLE = struct.pack("<16I", 2, 64, 74, *[0] * 13) + bytes([129, 7] * 5) * 2
_OW = b"\xe0\x7f\x10\x00OW\0\0"
M4: list[Case] = [
    *(
        Case(f"M4-{what}-{number}", xa(**{tag: us(number)}), Refused(f"{number} {what}"))
        for what, tag in (("rows", "_00280010"), ("columns", "_00280011"))
        for number in (0, 4097, 65535)
    ),
    *(
        Case(f"M4-frames-{number.strip() or 'blank'}", xa(_00280008=text("IS", number)), end)
        for number, end in {
            "0": Refused("Number of Frames"),
            "-1": Refused("Number of Frames"),
            "2000000000": Refused("2000000000"),
            "abc": Refused("no number"),
            "99999999999999999999": Refused("Number of Frames"),
            "3.5": Refused("Number of Frames"),
            "": flagged("more_frames_than_declared"),
            "2": flagged("more_frames_than_declared"),
            "4000": Read(4000, 3997, frozenset({"pixel_data_short"})),
            "4001": Refused("limits.max_frames"),
        }.items()
    ),
    Case("M4-bits-stored-beyond-allocated", xa(_00280101=us(17)), Refused("17 Bits Stored")),
    Case("M4-bits-stored-0", xa(_00280101=us(0)), Refused("Bits Stored")),
    Case("M4-bits-stored-missing", xa(_00280101=None), Refused("Bits Stored")),
    *(
        Case(f"M4-bits-allocated-{bits}", xa(_00280100=us(bits)), Refused("Bits Allocated"))
        for bits in (0, 1, 12, 32, 64)
    ),
    Case("M4-high-bit-beyond", xa(_00280102=us(16)), flagged("high_bit_unusable")),
    Case("M4-high-bit-below", xa(_00280102=us(2)), flagged("high_bit_unusable")),
    Case("M4-high-bit-missing", xa(_00280102=None), flagged("high_bit_unusable")),
    Case("M4-monochrome1", xa(_00280004=text("CS", "MONOCHROME1")), FINE),
    Case("M4-rgb", xa(_00280002=us(3), _00280004=text("CS", "RGB")), Refused("colour")),
    Case("M4-palette", xa(_00280004=text("CS", "PALETTE COLOR")), Refused("PALETTE COLOR")),
    Case(
        "M4-photometric-nonsense", xa(_00280004=text("CS", "<script>")), flagged("photometric_interpretation_missing")
    ),
    Case("M4-signed", xa(_00280103=us(1)), flagged("pixels_signed")),
    Case("M4-representation-7", xa(_00280103=us(7)), Refused("Pixel Representation (0028,0103) is 7")),
    Case(
        "M4-float-pixels", lambda: part10(xa_elements(), element(0x7FE00008, ("OF", bytes(4608)))), Refused("floating")
    ),
    Case(
        "M4-double-pixels", lambda: part10(xa_elements(), element(0x7FE00009, ("OD", bytes(9216)))), Refused("floating")
    ),
    Case("M4-no-pixel-data", lambda: part10(xa_elements(), b""), Refused("no Pixel Data")),
    Case("M4-pixel-data-empty", _native_with(element(0x7FE00010, ("OW", b""))), Refused("less than one frame")),
    Case(
        "M4-pixel-data-short",
        _native_with(element(0x7FE00010, ("OW", _RAW[:1000]))),
        flagged("pixel_data_short", lost=2),
    ),
    Case(
        "M4-pixel-data-long", _native_with(element(0x7FE00010, ("OW", _RAW + bytes(4000)))), flagged("pixel_data_long")
    ),
    Case(
        "M4-pixel-data-claims-more-than-file",
        _native_with(_OW + struct.pack("<I", 0xFFFFFFF0) + _RAW[:1000]),
        flagged("pixel_data_long", lost=2),
    ),
    Case("M4-pixel-data-undefined-length", _native_with(_OW + b"\xff\xff\xff\xff" + _RAW), Refused("undefined length")),
    Case("M4-pixel-data-as-us", _native_with(element(0x7FE00010, ("US", _RAW[:1536]))), Refused("VR US")),
    Case("M4-pixel-data-as-un", _native_with(element(0x7FE00010, ("UN", _RAW))), FINE),
    Case(
        "M4-icon-only", _native_with(b"", _00880200=sequence({0x7FE00010: ("OB", bytes(64))})), Refused("no Pixel Data")
    ),
    Case("M4-empty-offset-table", _sv1(_S), FINE),
    Case(
        "M4-offset-table-nonsense",
        _sv1([_S[0][:50], _S[0][50:], *_S[1:]], table=(9, 7, 5)),
        flagged("offset_table_unusable"),
    ),
    Case(
        "M4-offset-table-beyond-file",
        _sv1([_S[0][:50], _S[0][50:], *_S[1:]], table=(0, 1 << 30, 1 << 31)),
        flagged("offset_table_unusable"),
    ),
    Case("M4-offset-table-of-5-bytes", _sv1(_S, table=b"\0\0\0\0\1\0"), FINE),
    Case("M4-fragments-missing", _sv1(_S[:2]), flagged("frames_missing", lost=1)),
    Case("M4-fragments-left-over", _sv1([*_S, _S[0]]), flagged("more_frames_than_declared", frames=4)),
    Case("M4-no-fragment", _sv1([]), Refused("no fragment")),
    Case("M4-no-delimiter", _sv1(_S, delimiter=False), flagged("pixel_data_cut_off")),
    Case("M4-empty-fragment", _sv1([_S[0], b"", _S[2]]), Read(lost=1)),
    Case("M4-fragment-of-noise", _sv1([_S[0], np.random.default_rng(5).bytes(400), _S[2]]), Read(lost=1)),
    Case("M4-fragment-cut", _sv1([_S[0], _S[1][:60], _S[2]]), Read(lost=1)),
    Case(
        "M4-fragment-claims-4-gib",
        lambda: part10(
            xa_elements(), encapsulated(_S[:2], delimiter=False) + b"\xfe\xff\x00\xe0\xf0\xff\xff\xff" + _S[2], JPEG_SV1
        ),
        flagged("pixel_data_cut_off"),
    ),
    Case(
        "M4-item-of-undefined-length",
        lambda: part10(
            xa_elements(), encapsulated(_S[:2], delimiter=False) + b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + _S[2], JPEG_SV1
        ),
        flagged("pixel_data_cut_off", lost=1),
    ),
    Case("M4-jpeg-of-other-dimensions", _sv1(_streams(10, 32, 48)), Read(lost=3)),
    Case(
        "M4-jpeg-of-65500x65500",
        _sv1([_S[0], _S[1].replace(struct.pack(">HH", 16, 24), struct.pack(">HH", 65500, 65500)), _S[2]]),
        Read(lost=1),
    ),
    Case(
        "M4-jpeg-with-3-components",
        _sv1([bytes(imagecodecs.jpeg8_encode(np.zeros((16, 24, 3), np.uint8)))] * 3, syntax=JPEG_BASELINE),
        Read(lost=3),
    ),
    Case(
        "M4-jpeg-8-bit-of-10",
        _sv1([bytes(imagecodecs.jpeg8_encode(np.zeros((16, 24), np.uint8)))] * 3, syntax=JPEG_BASELINE),
        flagged("precision_below_bits_stored"),
    ),
    Case(
        "M4-lossy-where-lossless-is-said",
        _sv1([bytes(imagecodecs.jpeg8_encode(np.zeros((16, 24), np.uint8)))] * 3),
        Read(lost=3),
    ),
    Case("M4-j2k-where-jpeg-is-said", _sv1([_j2k(f, 10) for f in pictures()]), Read(lost=3)),
    Case("M4-j2k-16-bit-of-10-stored", _sv1([_j2k(f, 16) for f in pictures()], syntax=J2K_LOSSLESS), FINE),
    Case(
        "M4-j2k-8-bit-of-10-stored",
        _sv1([_j2k((f >> 2).astype(np.uint8), 8) for f in pictures()], syntax=J2K_LOSSLESS),
        flagged("precision_below_bits_stored"),
    ),
    Case(
        "M4-j2k-of-2-giga-pixels",
        _sv1(
            [_j2k(f, 10).replace(struct.pack(">II", 24, 16), struct.pack(">II", 2**31, 2**31)) for f in pictures()],
            syntax=J2K_LOSSLESS,
        ),
        Read(lost=3),
    ),
    Case("M4-j2k-cut", _sv1([_j2k(f, 10)[:60] for f in pictures()], syntax=J2K_LOSSLESS), Read(lost=3)),
    Case(
        "M4-j2k-cut-and-closed",
        _sv1([_cut_tile_part(_j2k(f, 10)) for f in pictures()], syntax=J2K_LOSSLESS),
        Read(lost=3),
    ),
    Case(
        "M4-htj2k-cut-and-closed",
        _sv1([_cut_tile_part(_htj2k(f)) for f in pictures()], syntax=HTJ2K_LOSSLESS),
        Read(lost=3),
    ),
    Case("M4-jpeg-cut-and-closed", _sv1([_S[0], _S[1][:-40] + b"\xff\xd9", _S[2]]), Read(lost=1)),
    Case(
        "M4-jpeg-ls-cut-and-closed",
        _sv1([bytes(imagecodecs.jpegls_encode(f))[:-40] + b"\xff\xd9" for f in pictures()], syntax=JPEG_LS),
        Read(lost=3),
    ),
    Case(
        "M4-rle-that-makes-too-many-samples",  # pylibjpeg-rle panics at it
        lambda: part10(xa_elements(1), encapsulated([_LONG_RLE]), RLE),
        Read(1, 1),
    ),
    Case(
        "M4-rle-bomb",
        lambda: part10(xa_elements(1, 65535, 65535), encapsulated([bytes(68)]), RLE),
        Refused("65535 rows"),
    ),
    Case(
        "M4-rle-within-limits-but-empty",
        lambda: part10(xa_elements(1, 4096, 4096), encapsulated([bytes(68)]), RLE),
        Read(1, 1),
    ),
    Case(
        "M4-rle-segment-beyond-data",
        lambda: part10(xa_elements(1), encapsulated([struct.pack("<16I", 2, 64, 1 << 30, *[0] * 13) + bytes(40)]), RLE),
        Read(1, 1),
    ),
    Case(
        "M4-rle-15-segments",
        lambda: part10(xa_elements(1), encapsulated([struct.pack("<16I", 15, *range(64, 79)) + bytes(40)]), RLE),
        Read(1, 1),
    ),
    *(
        Case(
            f"M4-sv1-{bits}-bit",
            lambda bits=bits: part10(
                xa_elements(allocated=8 if bits == 8 else 16, stored=bits),
                encapsulated(
                    [
                        bytes(imagecodecs.ljpeg_encode(f.astype(np.uint8) if bits == 8 else f, bitspersample=bits))
                        for f in pictures(3, stored=bits)
                    ]
                ),
                JPEG_SV1,
            ),
            FINE,
        )
        for bits in (8, 12, 16)
    ),
]
