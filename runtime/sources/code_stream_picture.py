"""JPEG, JPEG-LS and bare JPEG 2000 files as stills.

Source: ITU-T T.81 (markers), Exif 2.32 (APP1), CIPA DC-007 (MPF in APP2), Adobe TN 5116 (APP14).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.sources.code_stream import (
    CodeStreamError,
    CodeStreamHeader,
    read_code_stream_header,
    require_whole_stream,
    swallowed_errors_raised,
)
from cathrt.runtime.sources.orientation import OrientationError, orientation_in_exif, orientation_in_xmp
from cathrt.runtime.sources.picture import Picture, PictureError, grey_of_inks, require_size
from cathrt.runtime.sources.tiff_directory import Directory, DirectoryError

STARTS = (b"\xff\xd8", b"\xff\x4f")
_EXIF, _XMP, _MPF, _ADOBE = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"MPF\0", b"Adobe"
_APP1, _APP2, _APP14, _SOS = 0xE1, 0xE2, 0xEE, 0xDA
_NUMBER_OF_IMAGES = 0xB001
_MAY_HAVE_COLOUR = ("JPEG", "JPEG lossless")  # whose wholeness is checked for several components, too

_Segment = tuple[int, bytes]


def read_code_stream_picture(data: bytes, limits: LimitsConfig) -> Picture:
    """The picture of a file that begins as one of STARTS; what follows its end is ignored. Raises PictureError."""
    try:
        header = read_code_stream_header(data)
    except CodeStreamError as exc:
        raise PictureError(f"no code stream: {exc}") from exc
    require_size(header.rows, header.columns, limits)
    if header.signed or not 8 <= header.bits <= 16:
        raise PictureError(f"{header.bits} {'signed ' * header.signed}bits a sample: expected 8 to 16 unsigned")
    components = (1, 3, 4) if header.family in _MAY_HAVE_COLOUR else (1,)
    if header.components not in components:
        expected = " or ".join(map(str, components))
        raise PictureError(
            f"{header.components} components in a {header.family} picture, expected {expected}: save it as grey"
        )
    try:
        require_whole_stream(data, header.family)
    except CodeStreamError as exc:
        raise PictureError(f"incomplete code stream: {exc}") from exc
    segments = list(_segments(data)) if header.family != "JPEG 2000" else []
    _require_one_picture(segments)
    return _decoded(data, header, segments)


def _decoded(data: bytes, header: CodeStreamHeader, segments: list[_Segment]) -> Picture:
    import imagecodecs

    decoders = {"JPEG-LS": imagecodecs.jpegls_decode, "JPEG 2000": imagecodecs.jpeg2k_decode}
    try:
        with swallowed_errors_raised():
            cells = np.asarray(decoders.get(header.family, imagecodecs.jpeg8_decode)(data))
    except (RuntimeError, ValueError) as exc:  # what imagecodecs raises on damaged streams
        raise PictureError(f"damaged {header.family} stream ({type(exc).__name__}: {exc})") from exc
    samples = () if header.components == 1 else (header.components,)
    if cells.shape != (header.rows, header.columns, *samples) or int(cells.max()) >> header.bits:
        raise PictureError(f"decodes to {cells.shape} {cells.dtype}, not to what its header declares")
    orientation = _orientation(segments)
    if header.components != 4:
        return Picture(cells, header.bits, orientation)
    if not any(marker == _APP14 and content.startswith(_ADOBE) for marker, content in segments):
        raise PictureError(
            "a CMYK picture that does not state whether 0 is all of an ink or none (no Adobe marker): save it as grey"
        )
    full = (1 << header.bits) - 1
    return Picture(grey_of_inks(full - cells, full), header.bits, orientation)  # Adobe stores 0 for all of an ink


def _segments(data: bytes) -> Iterator[_Segment]:
    """Markers with a length, and their content, up to the first scan."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD7:  # fill byte, or a marker without a length
            at += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if marker == _SOS or length < 2:
            return
        yield marker, data[at + 4 : at + 2 + length]
        at += 2 + length


def _require_one_picture(segments: list[_Segment]) -> None:
    for marker, content in segments:
        if marker == _APP2 and content.startswith(_MPF):
            try:
                pictures = Directory(content.removeprefix(_MPF)).integer(_NUMBER_OF_IMAGES, 1)
            except DirectoryError as exc:
                raise PictureError(f"a damaged index of several pictures ({exc}): save one picture a file") from exc
            if pictures != 1:
                raise PictureError(f"several pictures in one file (MPF states {pictures}): save one picture a file")


def _orientation(segments: list[_Segment]) -> int:
    """As the Exif block states it, else XMP. Raises PictureError."""
    exif, xmp = (
        next((text[len(name) :] for marker, text in segments if marker == _APP1 and text.startswith(name)), b"")
        for name in (_EXIF, _XMP)
    )
    try:
        return orientation_in_exif(exif) or orientation_in_xmp(xmp) or 1
    except OrientationError as exc:
        raise PictureError(str(exc)) from exc
