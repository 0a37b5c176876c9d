"""A still as its format's reader hands it over, and how it becomes the grey values of a frame.

Not for: reading a format (png_picture.py, tiff_picture.py, bmp_picture.py, code_stream_picture.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.sources.messages import pixel_dtype
from cathrt.runtime.sources.orientation import turned

_LUMA_WEIGHTS = (0.299, 0.587, 0.114)  # ITU-R BT.601
# Of the full range, between the channels of a pixel: a grey picture with noise in each channel stays below it as a JPEG
# of quality 50 (tests/sources/test_grey_pictures.py); what was meant to be seen in colour does not.
_MOST_COLOUR = 0.1


class PictureError(Exception):
    """This still cannot be read, and why."""


@dataclass(frozen=True, slots=True)
class Picture:
    """cells: (rows, columns) of grey, or (rows, columns, 3) of red, green and blue, as stored; dark is 0.

    bits: of a value. orientation: as orientation.py counts. called: where it is refused for its colour.
    """

    cells: NDArray[Any]
    bits: int
    orientation: int = 1
    called: str = "a coloured picture"


def grey_of(picture: Picture, flags: set[str]) -> NDArray[Any]:
    """Grey values (rows, columns) as shown. Grey saved as colour is grey again; of a trace of colour, as JPEG and
    cameras leave it, the luma is taken and flagged. Raises PictureError for what is really coloured.
    """
    cells = picture.cells
    if cells.ndim == 3:
        full = (1 << picture.bits) - 1
        colour = int((cells.max(axis=-1) - cells.min(axis=-1)).max())
        if colour > _MOST_COLOUR * full:
            raise PictureError(
                f"{picture.called}, expected a grey picture: save it as grey (red, green and blue differ by up to "
                f"{colour} of {full})"
            )
        if colour:
            flags.add("colour_to_luma")
        cells = luma(cells) if colour else cells[..., 0]
    return np.ascontiguousarray(turned(cells, picture.orientation).astype(pixel_dtype(picture.bits), copy=False))


def luma(colour: NDArray[Any]) -> NDArray[Any]:
    """(rows, columns, 3) red, green and blue to (rows, columns) of the same type."""
    channels = [weight * colour[..., index] for index, weight in enumerate(_LUMA_WEIGHTS)]
    return np.rint(channels[0] + channels[1] + channels[2]).astype(colour.dtype)


def grey_of_inks(inks: NDArray[Any], full: int) -> NDArray[Any]:
    """(rows, columns, 4) cyan, magenta, yellow and black, `full` for all of an ink, to (rows, columns).

    Raises PictureError unless the first three are alike everywhere.
    """
    if (inks[..., :3] != inks[..., :1]).any():
        raise PictureError("a CMYK picture with coloured inks, expected a grey picture: save it as grey")
    paper = full - inks.astype(np.float64)
    return np.rint(paper[..., 0] * paper[..., 3] / full).astype(inks.dtype)


def require_opaque(alpha: NDArray[Any], full: int) -> None:
    """Raise PictureError unless every value of an alpha channel is `full`."""
    least = int(alpha.min())
    if least != full:
        raise PictureError(
            f"a transparent picture (alpha from {least}, opaque is {full}), expected an opaque one: "
            "put it on its background and save it as grey"
        )


def require_size(rows: int, columns: int, limits: LimitsConfig) -> None:
    """Raise PictureError where a picture is empty or beyond the limits."""
    if not (1 <= rows <= limits.max_rows and 1 <= columns <= limits.max_columns):
        raise PictureError(
            f"{rows} rows x {columns} columns, expected 1x1 to limits.max_rows x max_columns = "
            f"{limits.max_rows}x{limits.max_columns}"
        )
