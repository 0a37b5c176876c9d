"""BMP pictures, through Pillow: grey, palettes, RGB, and alpha where it is opaque."""

from __future__ import annotations

import io
import struct

import numpy as np

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.sources.picture import Picture, PictureError, require_opaque, require_size

SIGNATURE = b"BM"


def read_bmp(data: bytes, limits: LimitsConfig) -> Picture:
    """The picture of a BMP file; what follows its end is ignored. Raises PictureError."""
    from PIL import BmpImagePlugin

    try:
        with BmpImagePlugin.BmpImageFile(io.BytesIO(data)) as picture:
            require_size(picture.height, picture.width, limits)
            mode = picture.mode
            # A palette in any order of grey levels is Pillow's mode P, two levels are mode 1.
            cells = np.asarray(picture.convert({"P": "RGB", "1": "L"}.get(mode, mode)))
    # What Pillow raises on damaged pictures.
    except (OSError, SyntaxError, ValueError, ArithmeticError, TypeError, LookupError, struct.error) as exc:
        raise PictureError(f"damaged picture ({type(exc).__name__}: {exc})") from exc
    if mode == "RGBA":
        require_opaque(cells[..., 3], 255)
        return Picture(cells[..., :3], 8, called="a coloured picture with an alpha channel")
    return Picture(cells, 8, called="a picture with a coloured palette" if mode == "P" else "a coloured picture")
