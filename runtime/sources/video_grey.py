"""From a picture that FFmpeg has drawn to grey values as shown: where each pixel format keeps them, and which way up.

Values are taken as stored, never converted from one range to another. Not for: which pictures there are
(video_pictures.py). Source: FFmpeg's libavutil/pixfmt.h.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.sources.messages import pixel_dtype
from cathrt.runtime.sources.orientation import OrientationError, orientation_of_matrix
from cathrt.runtime.sources.picture import luma

# Where the values of one channel lie: plane, first value of a line, and from value to value.
_Channel = tuple[int, int, int]

_PLANAR = re.compile(r"(gray|yuva?j?4[0-9]{2}p|gbra?p)([0-9]{1,2})?(le|be)?")
_PACKED = re.compile(r"([rgba0]{3,4})(24|48|64)?(le|be)?")
_PACKED_LUMA: dict[str, tuple[int, int | None]] = {  # first luma and first alpha value, every second is one
    "yuyv422": (0, None), "yvyu422": (0, None), "uyvy422": (1, None), "ya8": (0, 1), "ya16le": (0, 1), "ya16be": (0, 1)
}  # fmt: skip
_MATRIX = "DISPLAYMATRIX"  # side data of a picture, as PyAV names it
_HALF_PLANAR = ("nv12", "nv21", "nv16", "nv24", "nv42")


@dataclass(frozen=True, slots=True)
class GreyForm:
    """Where a pixel format keeps its luma, or its red, green and blue. bits: of a value."""

    bits: int
    channels: tuple[_Channel, ...]
    alpha: _Channel | None = None
    big_endian: bool = False

    @property
    def is_colour(self) -> bool:
        return len(self.channels) == 3


def grey_form(pixel_format: str) -> GreyForm | None:
    """None for a format that FFmpeg has to convert first."""
    big = pixel_format.endswith("be")
    if found := _PLANAR.fullmatch(pixel_format):
        kind, bits = found[1], int(found[2] or 8)
        channels = tuple((plane, 0, 1) for plane in ((2, 0, 1) if kind.startswith("gb") else (0,)))
        alpha = (3, 0, 1) if kind.startswith(("gbra", "yuva")) else None
        return GreyForm(bits, channels, alpha, big) if 8 <= bits <= 16 else None
    if pixel_format in _PACKED_LUMA:
        first, alpha_first = _PACKED_LUMA[pixel_format]
        alpha = None if alpha_first is None else (0, alpha_first, 2)
        return GreyForm(16 if "16" in pixel_format else 8, ((0, first, 2),), alpha, big)
    if pixel_format in _HALF_PLANAR:
        return GreyForm(8, ((0, 0, 1),))
    if (found := _PACKED.fullmatch(pixel_format)) and {*"rgb"} <= {*found[1]}:
        order = found[1]
        channels = tuple((0, order.index(letter), len(order)) for letter in "rgb")
        alpha = (0, order.index("a"), len(order)) if "a" in order else None
        return GreyForm(16 if found[2] in ("48", "64") else 8, channels, alpha, big)
    return None


def grey_of_picture(picture: Any) -> tuple[NDArray[Any], int] | None:
    """Grey values (rows, columns) as stored, without the padding of the lines, and their bits.

    None where a part of the picture is transparent. The same alpha everywhere is opaque, or means nothing.
    """
    form = grey_form(picture.format.name)
    if form is None:
        picture = picture.reformat(format="rgba" if picture.format.name == "pal8" else "gray")
        form = grey_form(picture.format.name)
        assert form is not None
    if form.alpha is not None:
        alpha = _values(picture, form, form.alpha)
        if alpha.min() != alpha.max():
            return None
    channels = [_values(picture, form, channel) for channel in form.channels]
    grey = channels[0]
    if form.is_colour and not all(np.array_equal(grey, other) for other in channels[1:]):
        grey = luma(np.stack(channels, axis=-1))
    dtype = pixel_dtype(form.bits)
    return np.minimum(grey.astype(dtype, copy=False), dtype.type((1 << form.bits) - 1)), form.bits


def _values(picture: Any, form: GreyForm, channel: _Channel) -> NDArray[Any]:
    number, first, step = channel
    plane = picture.planes[number]
    dtype = np.dtype(np.uint8) if form.bits <= 8 else np.dtype(">u2" if form.big_endian else "<u2")
    lines = np.frombuffer(plane, dtype).reshape(-1, plane.line_size // dtype.itemsize)[: picture.height]
    return lines[:, first::step][:, : picture.width]


class Turns:
    """Which way up each picture is shown, in the order shown."""

    def __init__(self) -> None:
        self._last = 1

    def of(self, picture: Any) -> int:
        """As orientation.py counts. Raises OrientationError where it cannot be honoured.

        The container states it for every picture; a message in the coded data holds up to the next key picture.
        """
        try:
            beside = [bytes(data) for data in picture.side_data if data.type.name == _MATRIX]
        except ValueError as exc:  # PyAV 18 lists none where it does not know one of them, as Exif in Motion JPEG
            raise OrientationError(
                f"data beside its pictures that PyAV does not know ({exc}) and that may turn them: "
                "save the video as it is to be shown, without Exif"
            ) from exc
        matrices = [struct.unpack("=9i", matrix) for matrix in beside]
        orientations = {orientation_of_matrix(matrix) for matrix in matrices}
        if len(orientations) > 1:
            raise OrientationError("two display matrices that disagree: save the video as it is to be shown")
        if orientations:
            (self._last,) = orientations
        elif picture.key_frame:
            self._last = 1
        return self._last
