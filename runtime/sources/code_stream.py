"""What a JPEG, JPEG-LS or JPEG 2000 code stream says of itself, and whether all of it is there, without decoding.

Sizes are checked before a decoder allocates what the stream declares. Not for: decoding (dicom/decoders.py, stills.py).
Source: ITU-T T.81 B.2.2 (SOF), T.87 C.2.2 (SOF55), T.800 A.5.1 (SIZ).
"""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from cathrt.runtime.sources._completeness import check_jpeg, check_jpeg2000, check_rle

Family = Literal["JPEG", "JPEG lossless", "JPEG-LS", "JPEG 2000"]

_FAMILY_OF_SOF: dict[int, Family] = {0xC0: "JPEG", 0xC1: "JPEG", 0xC2: "JPEG", 0xC3: "JPEG lossless", 0xF7: "JPEG-LS"}
# Start-of-frame markers of processes that DICOM does not use: hierarchical and arithmetic coding.
_OTHER_SOF = frozenset({0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})
END_MARKER = b"\xff\xd9"  # EOI, EOC; coded data cannot hold it
# Padding, or the last byte of coded data: in a stream that lacks its end it may stand for others.
_IN_DOUBT = "no end marker, and a last zero byte that may be padding: whether all coded data are there is not known"
STREAM_START = rb"(?:\xff\xd8\xff|\xff\x4f\xff\x51)"  # a pattern: SOI and a marker, or SOC and SIZ
_START = re.compile(STREAM_START)


class CodeStreamError(ValueError):
    """The bytes do not begin as a code stream this project decodes, or are not all of one."""


@dataclass(frozen=True, slots=True)
class CodeStreamHeader:
    """Sizes as the stream declares them. bits: precision of a sample."""

    family: Family
    rows: int
    columns: int
    components: int
    bits: int
    signed: bool


def read_code_stream_header(data: bytes) -> CodeStreamHeader:
    """Read the frame header. Raises CodeStreamError when there is none."""
    if data[:2] == b"\xff\xd8":
        return _jpeg_header(data)
    if data[:4] == b"\xff\x4f\xff\x51":
        return _jpeg2000_header(data)
    raise CodeStreamError(f"begins with {data[:4].hex() or 'nothing'}, not with a JPEG or JPEG 2000 marker")


def begins_as_stream(data: bytes) -> bool:
    """Whether the bytes begin as a JPEG, JPEG-LS or JPEG 2000 code stream."""
    return _START.match(data) is not None


def holds_stream(data: bytes) -> bool:
    """Whether a code stream begins anywhere in these bytes."""
    return _START.search(data) is not None


@dataclass(frozen=True, slots=True)
class WholeStream:
    """One code stream, all of its coded data. data: from its first marker to its end marker. rest: what follows it.

    end_marker: False where the bytes had none; `data` has one all the same, as decoders want it.
    """

    data: bytes
    rest: bytes
    end_marker: bool


def whole_stream(data: bytes, family: Family) -> WholeStream:
    """The first code stream of these bytes. Raises CodeStreamError, saying what is missing, unless it has all samples.

    libjpeg, OpenJPEG and OpenJPH draw a whole picture from a part of a stream and do not say so, even where an end
    marker closes that part: their streams are walked over first. CharLS refuses a scan that ends early itself; of one
    without an end marker ask require_every_sample() of jpeg_ls.py.
    Check the sizes of the header first: the walk takes memory by them.
    """
    try:
        if family == "JPEG 2000":
            return _whole_jpeg2000(data)
        return _whole_jpeg_ls(data) if family == "JPEG-LS" else _whole_jpeg(data)
    except ValueError as exc:
        raise CodeStreamError(str(exc)) from exc


def require_whole_stream(data: bytes, family: Family) -> None:
    """Raise CodeStreamError, saying what is missing, unless every coded sample and an end marker are there."""
    if not whole_stream(data, family).end_marker:
        raise CodeStreamError(f"no end marker ({'EOC' if family == 'JPEG 2000' else 'EOI'})")


def require_whole_motion_jpeg(data: bytes) -> None:
    """Raise CodeStreamError unless the packet is one whole JPEG picture, or the two fields of one.

    Some capture devices write no end marker: here all coded data are enough.
    """
    while data:
        try:
            end = check_jpeg(data + END_MARKER)
        except ValueError as exc:
            raise CodeStreamError(str(exc)) from exc
        rest = data[end:].lstrip(b"\0\xff")
        data = b"\xff" + rest if rest[:1] == b"\xd8" else b""


def require_whole_rle(data: bytes, samples: int, segments: int) -> None:
    """Raise CodeStreamError unless each RLE segment (one for each byte of a sample) comes to exactly so many samples.

    pylibjpeg-rle accepts segments that are too long, and panics at some; its panic is no Exception and would end the
    decoder process.
    """
    try:
        check_rle(data, samples, segments)
    except ValueError as exc:
        raise CodeStreamError(str(exc)) from exc


@contextmanager
def swallowed_errors_raised() -> Iterator[None]:
    """Raise RuntimeError for what a decoder threw and its wrapper lost.

    imagecodecs 2026.3 loses what OpenJPH throws in mid-picture and returns the picture as far as it got.
    """
    swallowed: list[str] = []
    before = sys.unraisablehook
    sys.unraisablehook = lambda event: swallowed.append(str(event.exc_value))
    try:
        yield
    finally:
        sys.unraisablehook = before
    if swallowed:
        raise RuntimeError(swallowed[0])


def _jpeg_header(data: bytes) -> CodeStreamHeader:
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            raise CodeStreamError(f"no marker at byte {position} of its header")
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker in _WITHOUT_LENGTH:
            position += 2
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        if marker in _FAMILY_OF_SOF and position + 10 <= len(data):
            bits, rows, columns, components = struct.unpack_from(">BHHB", data, position + 4)
            return CodeStreamHeader(_FAMILY_OF_SOF[marker], rows, columns, components, bits, signed=False)
        if marker in _OTHER_SOF:
            raise CodeStreamError(f"a JPEG process (SOF{marker - 0xC0}) that DICOM does not use")
        if marker in (0xD9, 0xDA) or length < 2:
            break
        position += 2 + length
    raise CodeStreamError("no JPEG frame header")


def _jpeg_scan(data: bytes) -> int:
    """Where the coded data of the first scan begin."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        after = position + 2 + int.from_bytes(data[position + 2 : position + 4])
        if marker == 0xDA:
            return after
        position = position + 1 if marker == 0xFF else position + 2 if marker in _WITHOUT_LENGTH else after
    raise CodeStreamError("no scan (SOS)")


def _whole_jpeg(data: bytes) -> WholeStream:
    closed = data + END_MARKER
    end = check_jpeg(closed)
    if end <= len(data):
        return WholeStream(data[:end], data[end:], end_marker=True)
    if data[-1:] == b"\0" and data[-2:] != b"\xff\0" and not _is_whole(check_jpeg, data[:-1] + END_MARKER):
        raise CodeStreamError(_IN_DOUBT)
    return WholeStream(closed, b"", end_marker=False)


def _whole_jpeg_ls(data: bytes) -> WholeStream:
    at = data.find(END_MARKER, _jpeg_scan(data))
    if at < 0:
        return WholeStream(data + END_MARKER, b"", end_marker=False)
    end = at + len(END_MARKER)
    return WholeStream(data[:end], data[end:], end_marker=True)


def _whole_jpeg2000(data: bytes) -> WholeStream:
    try:
        check_jpeg2000(data)
    except ValueError:
        # Without its marker, of which FF may be one half.
        closed = data.removesuffix(b"\0").removesuffix(b"\xff") + END_MARKER
        if data.endswith(END_MARKER):
            raise
        if _is_whole(check_jpeg2000, closed):
            return WholeStream(closed, b"", end_marker=False)
        if data.endswith(b"\0") and _is_whole(check_jpeg2000, data + END_MARKER):
            raise CodeStreamError(_IN_DOUBT) from None
        raise
    end = _jpeg2000_end(data)
    return WholeStream(data[:end], data[end:], end_marker=True)


def _is_whole(check: Callable[[bytes], object], stream: bytes) -> bool:
    try:
        check(stream)
    except ValueError:
        return False
    return True


def _jpeg2000_end(data: bytes) -> int:
    """The position after the end marker of a stream that check_jpeg2000() has passed."""
    position = 2
    while (marker := data[position : position + 2]) != END_MARKER:
        if marker != b"\xff\x90":  # a segment of the main header
            position += 2 + int.from_bytes(data[position + 2 : position + 4])
        elif length := int.from_bytes(data[position + 6 : position + 10]):  # a tile part
            position += length
        else:  # a last tile part of unknown length
            position = data.index(END_MARKER, position)
    return position + 2


def _jpeg2000_header(data: bytes) -> CodeStreamHeader:
    if len(data) < 45:
        raise CodeStreamError("cut off within its SIZ segment")
    right, lower, left, upper = struct.unpack_from(">IIII", data, 8)
    (components,) = struct.unpack_from(">H", data, 40)
    depth, step_x, step_y = data[42], data[43], data[44]
    if right <= left or lower <= upper or (step_x, step_y) != (1, 1):
        raise CodeStreamError("an empty or subsampled JPEG 2000 image area")
    return CodeStreamHeader(
        "JPEG 2000", lower - upper, right - left, components, (depth & 0x7F) + 1, bool(depth & 0x80)
    )
